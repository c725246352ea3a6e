"""One image: what it takes at its host is given back, whatever goes wrong."""

from pathlib import Path

import pytest

from image_processor.download.addresses import AllowedAddresses
from image_processor.download.client import GuardedClient
from image_processor.download.downloader import Downloader
from image_processor.download.host_limits import HostLimits
from image_processor.errors import ImageCancelled
from image_processor.imaging.compressor import CompressOptions, Compressor
from image_processor.imaging.pool import ImagePool
from image_processor.jobs.image_job import DownloadThreads, ImageProcessor
from image_processor.jobs.metrics import Metrics
from image_processor.logs import http_request_id, with_http_request_id
from image_processor.store.files import Storage
from image_processor.store.outcomes import ImageTask

IMAGE = ImageTask(1, 1, 1, "http://127.0.0.1:2/a.jpg", "127.0.0.1:2", 1)


@pytest.mark.parametrize("abandoned", [True, False])
def test_the_place_at_a_host_is_given_back_when_the_disk_takes_no_file(tmp_path: Path, abandoned: bool) -> None:
    storage, limits = Storage(tmp_path / "images", tmp_path / "uploads"), HostLimits(1)
    (tmp_path / "downloads").rmdir()
    client = GuardedClient(user_agent="test", allowed=AllowedAddresses())
    pool = ImagePool(1, seconds=60, memory_bytes=1_000_000_000)
    processor = ImageProcessor(storage, Downloader(client), limits, Compressor(), pool, Metrics(lambda: (0, 0)))
    assert limits.acquire(IMAGE.host)

    with pytest.raises(ImageCancelled if abandoned else FileNotFoundError):
        processor.process("job", "http://localhost", IMAGE, CompressOptions(), lambda: abandoned)

    assert limits.acquire(IMAGE.host)
    client.close()


def test_what_a_download_thread_logs_belongs_to_the_http_request_of_the_upload() -> None:
    threads = DownloadThreads(1)
    for sent in ("first", "second"):
        with with_http_request_id(sent):
            assert threads.submit(http_request_id).result(120) == sent  # type: ignore[arg-type]
    threads.stop()
