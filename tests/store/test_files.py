"""Files are whole or absent, and named by place."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import create_app
from image_processor.store.files import Storage, image_name

ROOT = Path(__file__).parents[2]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "images", tmp_path / "uploads")


def test_a_file_that_is_not_kept_leaves_nothing(storage: Storage) -> None:
    storage.make_folder("r1")
    with storage.new_image("r1") as new:
        Path(new.path).write_bytes(b"half")
        assert [path.suffix for path in (storage.images / "r1").iterdir()] == [".tmp"]

    assert list((storage.images / "r1").iterdir()) == []


def test_a_kept_file_appears_whole_under_its_name_and_replaces_the_older(storage: Storage) -> None:
    storage.make_folder("r1")
    for content in (b"first", b"second"):
        with storage.new_image("r1") as new:
            Path(new.path).write_bytes(content)
            new.keep("1-1.jpg")

    assert {path.name: path.read_bytes() for path in (storage.images / "r1").iterdir()} == {"1-1.jpg": b"second"}
    assert (storage.images / "r1" / "1-1.jpg").stat().st_mode & 0o777 == 0o644


@pytest.fixture(params=[0o022, 0o077, 0o000], ids=["umask 022", "umask 077", "umask 000"])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def rights(folder: Path) -> dict[str, str]:
    """The rights of everything in a folder, by name."""
    return {str(path.relative_to(folder)): f"{path.stat().st_mode & 0o777:o}" for path in folder.rglob("*")}


def test_only_images_can_be_read_by_others_whatever_the_umask_is(umask: None, tmp_path: Path) -> None:
    app = create_app(instance_path=tmp_path / "instance", processed_images_path=tmp_path / "images")
    storage: Storage = app.extensions["services"].storage
    storage.keep_upload("r1", b"catalogue")
    storage.make_folder("r1")
    for new_file in (storage.new_image, storage.new_thumbnail):
        with new_file("r1") as new:
            Path(new.path).touch()
            assert Path(new.path).stat().st_mode & 0o777 == 0o600
            new.keep("1-1.jpg")
    storage.write_output("r1", lambda file: file.write(b"prices") and None)

    found = rights(tmp_path)
    assert {found[name] for name in ("instance/uploads/r1.csv", "images/r1/output.csv")} == {"600"}
    assert {found[name] for name in ("images/r1", "images/r1/thumbnails")} == {"755"}
    assert found["images/r1/1-1.jpg"] == "644"


def test_the_folder_of_the_database_is_closed_to_others(umask: None, tmp_path: Path) -> None:
    folders = {"instance_path": tmp_path / "i", "processed_images_path": tmp_path / "p"}
    folders["instance_path"].mkdir()
    folders["instance_path"].chmod(0o755)  # as older versions made it

    create_app(**folders)

    found = rights(tmp_path)
    assert found.pop("p") in ("755", "700", "777"), "as the umask has it"
    assert (found["i"], found["i/uploads"], found["i/skulight.db"]) == ("700", "700", "600")
    assert {mode[-2:] for mode in found.values()} == {"00"}, found


def test_an_error_while_output_csv_is_written_keeps_the_old_one(storage: Storage) -> None:
    storage.make_folder("r1")
    storage.write_output("r1", lambda file: file.write(b"old") and None)

    def fail(file: object) -> None:
        raise ValueError("midway")

    with pytest.raises(ValueError, match="midway"):
        storage.write_output("r1", fail)
    assert storage.output_path("r1").read_bytes() == b"old"


def test_a_short_or_missing_file_is_noticed(storage: Storage) -> None:
    storage.make_folder("r1")
    with storage.new_image("r1") as new:
        Path(new.path).write_bytes(b"12345")
        new.keep("1-1.jpg")
    url = storage.url("http://shop.example", "r1", "1-1.jpg")

    assert url == "http://shop.example/processed_images/r1/1-1.jpg"
    assert storage.holds("r1", url, 5)
    assert not storage.holds("r1", url, 6)
    assert not storage.holds("r1", url.replace("1-1", "1-2"), 5)


def test_half_written_files_of_a_killed_process_go(storage: Storage, tmp_path: Path) -> None:
    (storage.images / "r1").mkdir()
    for path in (storage.images / "r1" / "x.tmp", tmp_path / "uploads" / "y.tmp"):
        path.write_bytes(b"half")
    storage.keep_upload("r1", b"whole")

    with storage.new_image("r1") as new, storage.original() as original:
        Path(new.path).write_bytes(b"being written")
        storage.remove_temporary()
        new.keep("1-1.jpg")

    files = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert files == sorted(["1-1.jpg", "r1.csv", Path(original.name).name])


def test_an_image_that_is_still_processed_does_not_bring_a_deleted_folder_back(storage: Storage) -> None:
    storage.make_folder("r1")
    with pytest.raises(FileNotFoundError), storage.new_image("r1") as new:
        Path(new.path).write_bytes(b"image")
        storage.remove("r1")
        new.keep("1-1.jpg")
    assert list(storage.images.iterdir()) == []


def test_what_was_downloaded_is_not_kept(storage: Storage) -> None:
    with storage.original() as original:
        original.write(b"an image")
    assert Path(original.name).read_bytes() == b""


CLEARING_AWAY = """
import sys
from pathlib import Path
from image_processor.store.files import Storage

storage = Storage(Path(sys.argv[1]), Path(sys.argv[2]))
print("ready", flush=True)
while True:
    storage.remove_temporary()
"""


def test_a_process_that_takes_over_clears_nothing_away_that_another_one_writes(
    storage: Storage, tmp_path: Path
) -> None:
    folders = [str(storage.images), str(tmp_path / "uploads")]
    (storage.images / "r1").mkdir()
    other = subprocess.Popen([sys.executable, "-c", CLEARING_AWAY, *folders], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        for number in range(5_000):
            with storage.new_thumbnail("r1") as new:
                new.keep(f"{number % 10}.webp")
        for number in range(200):
            storage.keep_upload(f"u{number}", b"catalogue")
        for _ in range(1_000):
            with storage.shown_original() as original:
                assert Path(original.name).exists()
        assert other.poll() is None, "it cleared away all the time"
    finally:
        other.kill()
        other.communicate(timeout=120)

    assert len(list((storage.images / "r1" / "thumbnails").iterdir())) == 10
    assert len(list((tmp_path / "uploads").iterdir())) == 200


def test_names_come_from_the_place_in_the_catalogue() -> None:
    assert image_name(12, 3, ".webp") == "12-3.webp"
