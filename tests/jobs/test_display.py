"""Thumbnails and originals, which the pages show, on a disk that is full."""

from pathlib import Path

import pytest
import requests
from catalogues import ALLOW, NewServer, catalogue, hosted
from servers import ImageHost


def test_an_image_that_cannot_be_shown_because_the_disk_is_full_can_be_later(
    server: NewServer, host: ImageHost, small_disk: Path
) -> None:
    running = server(**ALLOW, PROCESSED_IMAGES_PATH=str(small_disk / "images"))
    running.instance.mkdir()
    (running.instance / "downloads").symlink_to(small_disk, target_is_directory=True)
    running.start()
    request_id = running.upload(catalogue(hosted(host, 1)))["request_id"]
    [image] = running.wait_until_done(request_id)["products"][0]["images"]
    shown = (
        f"{running.url}/thumbnails/{request_id}/{image['output_url'].rpartition('/')[2]}",
        f"{running.url}/api/v1/requests/{request_id}/images/{image['id']}/source",
    )

    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 1_000_000)
    for url in shown:
        refused = requests.get(url, timeout=120)
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/unavailable"), url
        assert refused.json()["detail"].endswith(" written: No space left on device.")
        assert refused.headers["Retry-After"]

    filler.unlink()
    assert [requests.get(url, timeout=120).status_code for url in shown] == [200, 200]
