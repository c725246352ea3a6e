"""The catalogue, in and out. Owns pandas, csv and calamine."""

from image_processor.catalogue.base import Catalogue, CSVLimits, TableOptions, Understood
from image_processor.catalogue.read import read_catalogue, warm_up
from image_processor.catalogue.rows import Row
from image_processor.catalogue.writer import sample_csv, write_problems, write_replacements

__all__ = [
    "CSVLimits",
    "Catalogue",
    "Row",
    "TableOptions",
    "Understood",
    "read_catalogue",
    "sample_csv",
    "warm_up",
    "write_problems",
    "write_replacements",
]
