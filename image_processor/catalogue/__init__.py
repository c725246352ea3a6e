"""The catalogue, in and out. Owns pandas, csv and calamine."""

from image_processor.catalogue.base import Catalogue, CSVLimits, TableOptions, Understood
from image_processor.catalogue.read import read_catalogue, warm_up
from image_processor.catalogue.rows import Row
from image_processor.catalogue.samples import plain_sample, shopify_sample, woocommerce_sample, workbook_sample
from image_processor.catalogue.writer import write_problems, write_replacements

__all__ = [
    "CSVLimits",
    "Catalogue",
    "Row",
    "TableOptions",
    "Understood",
    "plain_sample",
    "read_catalogue",
    "shopify_sample",
    "warm_up",
    "woocommerce_sample",
    "workbook_sample",
    "write_problems",
    "write_replacements",
]
