"""Files are whole or absent, and named by place."""

from pathlib import Path

import pytest

from image_processor.storage import Storage, image_name


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "images", tmp_path / "uploads")


def test_a_file_that_is_not_kept_leaves_nothing(storage: Storage) -> None:
    with storage.new_image("r1") as new:
        new.file.write(b"half")
        assert [path.suffix for path in (storage.images / "r1").iterdir()] == [".tmp"]

    assert list((storage.images / "r1").iterdir()) == []


def test_a_kept_file_appears_whole_under_its_name_and_replaces_the_older(storage: Storage) -> None:
    for content in (b"first", b"second"):
        with storage.new_image("r1") as new:
            new.file.write(content)
            new.keep("1-1.jpg")

    assert {path.name: path.read_bytes() for path in (storage.images / "r1").iterdir()} == {"1-1.jpg": b"second"}
    assert (storage.images / "r1" / "1-1.jpg").stat().st_mode & 0o777 == 0o644


def test_an_error_while_output_csv_is_written_keeps_the_old_one(storage: Storage) -> None:
    storage.write_output("r1", lambda file: file.write(b"old") and None)

    def fail(file: object) -> None:
        raise ValueError("midway")

    with pytest.raises(ValueError, match="midway"):
        storage.write_output("r1", fail)
    assert storage.output_path("r1").read_bytes() == b"old"


def test_a_short_or_missing_file_is_noticed(storage: Storage) -> None:
    with storage.new_image("r1") as new:
        new.file.write(b"12345")
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

    with storage.new_image("r1") as new:
        storage.remove_temporary()
        new.file.write(b"being written")
        new.keep("1-1.jpg")

    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["1-1.jpg", "r1.csv"]


def test_names_come_from_the_place_in_the_catalogue() -> None:
    assert image_name(12, 3, ".webp") == "12-3.webp"
