"""The product file, in and out. Owns pandas and csv."""

from image_processor.catalogue.product_csv import (
    CSVLimits,
    ProductCSV,
    ProductRow,
    read_products,
    sample_csv,
    warm_up,
    write_errors,
    write_output,
    write_problems,
)

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
