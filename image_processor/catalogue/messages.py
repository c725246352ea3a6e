"""Why a table cannot be processed: what was found, what was understood, and what to do."""

from image_processor.catalogue.recognise import Recognised, names_image_files
from image_processor.errors import CSVProblem, listed, shorten


def no_images(found: Recognised, header_line: int, has_pictures: bool = False) -> CSVProblem:
    """The problem of a table without a column of images. `has_pictures`: pictures are embedded in the workbook."""
    url = next((column.name for column in found.columns if column.name.startswith(("http://", "https://"))), None)
    if url:
        detail = f"No header was found: line {header_line}, the first of the table, holds the URL “{shorten(url)}”."
        hint = "Put the names of the columns above it, or upload a plain list with one URL per line."
        return CSVProblem(header_line, None, None, shorten(url, 200), "no_header", detail, hint)
    suggested = found.suggested_images_column
    if suggested:
        detail, hint = _suggestion(found, suggested)
        return CSVProblem(header_line, None, suggested, "", "no_image_column", detail, hint)
    if has_pictures:
        detail = "The pictures of this workbook are embedded in its cells; they have no URLs to download from."
        hint = "Host the images, and put their URLs into a column."
        return CSVProblem(header_line, None, None, "", "embedded_images", detail, hint)
    detail = "No column holds URLs or paths of images."
    hint = (
        f"{_columns(found)} Expected a column such as “Input Image Urls”, “Images” or “Image Src”. Export the "
        "catalogue with its image URLs, or choose the column of images (images_column)."
    )
    return CSVProblem(header_line, None, None, "", "no_image_column", detail, hint)


def _suggestion(found: Recognised, suggested: str) -> tuple[str, str]:
    called = f"“{shorten(suggested)}”"
    if any(column.name == suggested and names_image_files(column.example) for column in found.columns):
        detail = f"It is not clear which column holds the images. {called} holds URLs or paths."
        return detail, f"{_columns(found)} Choose the column of images (images_column), for example {called}."
    detail = f"No column of images was found. {called} holds URLs, but it is not clear whether they lead to images."
    return detail, f"{_columns(found)} If they do, choose {called} as the column of images (images_column)."


def _columns(found: Recognised) -> str:
    sentences = [f"The columns are {listed(column.name for column in found.columns)}."]
    for role in ("id", "name"):
        sentences += [f"{listed([column.name])} is the {role}." for column in found.of(role)]
    return " ".join(sentences)
