"""Reading an upload: which kind of file and of table it is."""

from dataclasses import replace

from image_processor.catalogue.base import SPLIT, Catalogue, CSVLimits, TableOptions
from image_processor.catalogue.encoding import Encoding, Source, likely_encoding, size_of, true_encoding
from image_processor.catalogue.layout import recognise_layout
from image_processor.catalogue.reader import ProductCSV
from image_processor.catalogue.samples import plain_sample
from image_processor.catalogue.sheet_table import is_workbook, read_workbook
from image_processor.catalogue.text_table import read_text
from image_processor.errors import UploadTooLarge, shorten

_NO_OPTIONS = TableOptions()


def read_catalogue(
    source: Source,
    limits: CSVLimits | None = None,
    options: TableOptions = _NO_OPTIONS,
    *,
    filename: str | None = None,
) -> Catalogue:
    """Read and check a catalogue, from its bytes or from the path of the kept upload: both give the same rows.

    Problems of single rows are in `.problems`. Raises InvalidCSV when the file as a whole cannot be read or an option
    does not fit it, UploadTooLarge when it exceeds `limits`. `filename` is only used in sentences.
    """
    limits = limits or CSVLimits()
    if size_of(source) > limits.max_bytes:
        raise UploadTooLarge.whole_file(
            "too_large",
            # In bytes: else one byte too many reads “1.0 MB; at most 1 MB”.
            f"The file has {size_of(source):,} bytes; at most {limits.max_bytes:,} ({limits.max_bytes / 1e6:g} MB) "
            "are accepted.",
            SPLIT,
        )
    called = f"“{shorten(filename)}”" if filename else "The file"
    if is_workbook(source):
        return read_workbook(source, called, limits, options)
    encoding = likely_encoding(source, called)
    try:
        return _read_text(source, encoding, limits, options)
    except UnicodeError:
        return _read_text(source, true_encoding(source, encoding), limits, options)


def _read_text(source: Source, encoding: Encoding, limits: CSVLimits, options: TableOptions) -> Catalogue:
    layout = recognise_layout(source, encoding)
    if layout and not (options.columns or options.image_base_url or options.output == "replace"):
        return ProductCSV(source, layout, limits, options)
    if layout and options.output is None:
        options = replace(options, output="add")
    return read_text(source, true_encoding(source, encoding), limits, options)


def warm_up() -> None:
    """Import pandas and read a tiny catalogue, so that the first upload does not wait for it. Takes about 0.5 s."""
    list(read_catalogue(plain_sample("http://localhost")).rows())
