"""The status of a product, by its images and by what is recorded."""

import pytest

from image_processor.jobs.status import product_status
from image_processor.store.models import Product, ProductImage

CASES = [
    # what is recorded, the images that are listed, how many URLs the row has, what is reported
    ("Pending", ["Pending", "Pending"], 2, "Pending"),
    ("Pending", ["Completed", "Pending"], 2, "Processing"),
    ("Pending", ["Completed", "Completed"], 2, "Completed"),
    ("Pending", ["Completed", "Failed"], 2, "Partial"),
    ("Pending", ["Completed", "Completed"], 3, "Processing"),
    ("Pending", ["Pending", "Pending"], 3, "Pending"),
    ("Partial", ["Completed", "Completed"], 3, "Partial"),
    ("Completed", [], 3, "Completed"),
    ("Failed", [], 0, "Failed"),
]


@pytest.mark.parametrize(("recorded", "listed", "urls", "reported"), CASES)
def test_a_product_whose_images_are_not_all_listed_has_the_recorded_status(
    recorded: str, listed: list[str], urls: int, reported: str
) -> None:
    product = Product(status=recorded, input_image_urls=[f"https://a.example/{number}.jpg" for number in range(urls)])

    assert product_status(product, [ProductImage(status=status) for status in listed]) == reported
