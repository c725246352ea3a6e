"""Every platform's export: recognised without an option, and given back with only its image cells changed."""

import io
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
from platform_files import PlatformFile
from platform_local import LOCAL
from platform_markets import MARKETS
from platform_shops import SHOPS
from platform_systems import SYSTEMS

from image_processor.catalogue import TableOptions, read_catalogue
from image_processor.catalogue.profiles import PROFILES

FILES = {file.key: file for file in (*SHOPS, *LOCAL, *MARKETS, *SYSTEMS)}
OF_PATHS = [key for key, file in FILES.items() if file.asks]
every_file = pytest.mark.parametrize("file", FILES.values(), ids=FILES)


def read(file: PlatformFile, **options: Any) -> Any:
    if file.asks:
        options = {"image_base_url": file.base, **options}
    return read_catalogue(file.data, options=TableOptions(**options), filename="export.csv")


def result(catalogue: Any, new: Sequence[str | None]) -> bytes:
    """What comes back with these URLs."""
    waiting = iter(new)
    outputs = [[next(waiting) for _ in row.image_urls] for row in catalogue.rows()]
    destination = io.BytesIO()
    catalogue.write_output(outputs, destination)
    return destination.getvalue()


def new_urls(file: PlatformFile) -> list[str]:
    return [f"https://img.example/i/{number}.jpg" for number, _ in enumerate(file.urls)]


def names(catalogue: Any, role: str) -> tuple[str, ...]:
    return tuple(column.name for column in catalogue.understood.columns if column.role == role)


@every_file
def test_it_is_recognised_without_an_option(file: PlatformFile) -> None:
    catalogue = read_catalogue(file.data, filename="export.csv")

    layout = catalogue.understood
    assert (layout.profile, layout.header_line) == (file.profile, file.header_line)
    assert (layout.output, layout.failed) == ("replace", "keep")
    if file.header_line:
        assert names(catalogue, "images") == file.images
    assert names(catalogue, "name") == ((file.name,) if file.name else ())
    assert names(catalogue, "id") == ((file.id,) if file.id else ())
    assert [column.number for column in layout.columns] == list(range(1, len(layout.columns) + 1))


@every_file
def test_its_images_are_found_in_order(file: PlatformFile) -> None:
    catalogue = read(file)

    rows = list(catalogue.rows())
    assert [url for row in rows for url in row.image_urls] == file.urls
    assert list(catalogue.problems) == []
    assert catalogue.is_valid
    assert (catalogue.row_count, catalogue.image_count) == (len(rows), len(file.urls))
    assert catalogue.hosts == Counter(urlsplit(url).hostname for url in file.urls)


@every_file
def test_it_comes_back_with_only_its_urls_replaced(file: PlatformFile) -> None:
    new = new_urls(file)
    expected = file.with_urls(new)
    assert all(expected.decode(file.encoding).count(url) == 1 for url in new)

    assert result(read(file), new) == expected


@every_file
@pytest.mark.parametrize("failing", [1, 2, 3], ids=["all", "every second", "every third"])
def test_a_failed_image_keeps_its_old_url(file: PlatformFile, failing: int) -> None:
    new = [url if number % failing else None for number, url in enumerate(new_urls(file), start=1)]

    assert result(read(file), new) == file.with_urls(new)


@every_file
def test_a_failed_image_is_left_empty_when_that_is_wanted(file: PlatformFile) -> None:
    new = [url if number % 2 else None for number, url in enumerate(new_urls(file), start=1)]

    assert result(read(file, failed="empty"), new) == file.with_urls([url or "" for url in new])


@pytest.mark.parametrize("key", OF_PATHS)
def test_paths_ask_for_their_base_url(key: str) -> None:
    catalogue = read(FILES[key], image_base_url=None)

    assert not catalogue.is_valid
    assert {problem.code for problem in catalogue.problems} == {"invalid_url"}
    assert all("image_base_url" in problem.hint for problem in catalogue.problems)
    assert {problem.column for problem in catalogue.problems} <= set(FILES[key].images)


@pytest.mark.parametrize("key", [key for key, file in FILES.items() if file.rows])
def test_a_row_without_a_name_has_that_of_its_group(key: str) -> None:
    rows = [(row.serial_number, row.product_name) for row in read(FILES[key]).rows()]

    assert tuple(rows) == FILES[key].rows


def test_every_profile_has_an_export() -> None:
    assert {profile.key for profile in PROFILES} <= {file.profile for file in FILES.values()}


@every_file
def test_a_template_is_what_it_says(file: PlatformFile) -> None:
    """Guards the fixtures themselves: marks are gone, and unchanged URLs give the uploaded file."""
    text = file.data.decode(file.encoding)

    assert not set("⟦⟧⟨⟩") & set(text)
    assert file.urls
    if "⟦⟧" not in file.template:
        assert file.with_urls([None for _ in file.urls]) == file.data


def test_columns_of_images_that_stay_as_they_are_are_named() -> None:
    data = b"id,name,image,image_url,Close-up\n1,Mug,a.jpg,https://a.example/1.jpg,https://a.example/2.jpg\n"

    warnings = " ".join(read_catalogue(data).warnings)
    assert "“image” holds paths, not URLs" in warnings
    assert "“Close-up” holds URLs of images, too" in warnings
    with_base = read_catalogue(data, options=TableOptions(image_base_url="https://b.example/"))
    assert next(with_base.rows()).image_urls == ("https://b.example/a.jpg", "https://a.example/1.jpg")
    chosen = read_catalogue(data, options=TableOptions(images_column=("image_url", "Close-up")))
    assert chosen.warnings == []


ASSIGNED = "S. No.,Product Name,Input Image Urls\n1,Mug,{}\n"


def test_options_for_the_assignments_header_keep_its_strict_rows_and_its_added_column() -> None:
    based = read_catalogue(ASSIGNED.format("/a.jpg").encode(), options=TableOptions(image_base_url="https://a.example"))
    assert (based.understood.profile, based.understood.output, based.is_valid) == ("assignment", "add", True)
    assert next(based.rows()).image_urls == ("https://a.example/a.jpg",)

    replaced = read_catalogue(ASSIGNED.format("").encode(), options=TableOptions(output="replace"))
    assert [problem.code for problem in replaced.problems] == ["no_url"]

    given = read_catalogue(
        ASSIGNED.format("https://a.example/1.jpg").encode(), options=TableOptions(images_column=("3",))
    )
    assert (given.understood.profile, given.understood.output) == ("given", "add")


def test_a_row_with_surplus_cells_is_not_changed() -> None:
    url = "https://a.example/1.jpg"
    data = f"sku,Images\nA,{url}\nB,{url},precious\n".encode()
    found = read_catalogue(data, options=TableOptions(output="add"))
    file = io.BytesIO()

    found.write_output([["u1"], [None]], file)

    assert [problem.code for problem in found.problems] == ["too_many_cells"]
    assert file.getvalue().decode() == f"sku,Images,Output Image Urls\nA,{url},u1\nB,{url},precious\n"


def test_quoted_names_after_blanks_are_names_without_quotes() -> None:
    data = b'sku, "Images", "Name, long"\n1, "https://a.example/1.jpg, https://a.example/2.jpg", "Mug, blue"\n'

    found = read_catalogue(data, options=TableOptions(images_column=("Images",)))

    assert [column.name for column in found.understood.columns] == ["sku", "Images", "Name, long"]
    assert found.image_count == 2


def test_utf_16_without_a_mark_is_read() -> None:
    found = read_catalogue("sku;Bild\n1;https://a.example/1.jpg\n".encode("utf-16-le"))

    assert (found.image_count, found.charset) == (1, "utf-16le")


def test_an_export_in_windows_1251_is_recognised_and_comes_back_in_it() -> None:
    text = "Артикул;Название;Изображения\n1;Кружка керамическая, синяя;https://a.example/1.jpg\n"
    found = read_catalogue(text.encode("cp1251"))
    file = io.BytesIO()

    found.write_output([["https://n.example/1"]], file)

    assert (found.charset, next(found.rows()).product_name) == ("windows-1251", "Кружка керамическая, синяя")
    assert found.warnings == [
        "The file is not UTF-8; it was read as Windows-1251, for Cyrillic. Check the Cyrillic letters."
    ]
    assert file.getvalue().decode("cp1251") == text.replace("https://a.example/1.jpg", "https://n.example/1")
    german = "Artikelnummer;Name;Bilder\n1;Große Schüssel, blaugrün;https://a.example/1.jpg\n"
    assert read_catalogue(german.encode("cp1252")).charset == "windows-1252"
