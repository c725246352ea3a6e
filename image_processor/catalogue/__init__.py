"""The product file, in and out. Owns pandas and csv."""

from image_processor.catalogue.reader import CSVLimits, ProductCSV, read_products
from image_processor.catalogue.rows import ProductRow
from image_processor.catalogue.writer import sample_csv, warm_up, write_errors, write_output, write_problems

__all__ = [
    "CSVLimits",
    "ProductCSV",
    "ProductRow",
    "read_products",
    "sample_csv",
    "warm_up",
    "write_errors",
    "write_output",
    "write_problems",
]
