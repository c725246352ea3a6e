"""Long lists in pages, and sums over them: requests, the images of a request, what failed, how large things were."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from image_processor.store.database import Database
from image_processor.store.models import (
    UNFINISHED_JOBS,
    ImageStatus,
    Job,
    Product,
    ProductImage,
    ProductStatus,
)

NOT_DONE_WELL = (ImageStatus.FAILED, ImageStatus.CANCELLED)
FAILURES_PER_READ = 1_000
# Upper bounds of the size classes, in bytes.
SIZE_CLASSES = (10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000)


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """Which images of a request are listed: by state, whether the original was kept, by words in product or URL."""

    status: str | None = None
    kept: bool | None = None
    search: str | None = None


@dataclass(frozen=True, slots=True)
class SizeClass:
    """How many images had less than `below` bytes (None: any number), before and after."""

    below: int | None
    before: int
    after: int


class Listings:
    """Reads that go over many rows. Nothing here changes anything."""

    def __init__(self, database: Database) -> None:
        self._read = database.read

    def requests(
        self, limit: int, after: tuple[datetime, str] | None = None, status: str | None = None
    ) -> Sequence[Job]:
        """Requests, newest first, those after a place (`created_at` and id of the last one seen)."""
        row = Job
        page = select(row).order_by(row.created_at.desc(), row.id.desc()).limit(limit)
        if status is not None:
            page = page.where(row.status == status)
        if after is not None:
            at, request_id = after
            page = page.where(or_(row.created_at < at, and_(row.created_at == at, row.id < request_id)))
        with self._read() as session:
            return session.scalars(page).all()

    def queue(self) -> tuple[int, int]:
        """How many requests are not done, and how many of their images are not final."""
        row = Job
        waiting = func.coalesce(func.sum(row.total - row.succeeded - row.failed - row.cancelled), 0)
        with self._read() as session:
            requests, images = session.execute(
                select(func.count(), waiting).where(row.status.in_(UNFINISHED_JOBS))
            ).one()
            return requests, images

    def images(
        self, request_id: str, limit: int, after_id: int, chosen: ImageFilter
    ) -> Sequence[tuple[ProductImage, Product]]:
        """Images with their products, in the order of the catalogue, those after an image id."""
        page = (
            _chosen(select(ProductImage, Product), request_id, chosen)
            .where(ProductImage.id > after_id)
            .order_by(ProductImage.id)
            .limit(limit)
        )
        with self._read() as session:
            return [(image, product) for image, product in session.execute(page).all()]

    def image(self, request_id: str, image_id: int) -> ProductImage | None:
        """One image of a request."""
        one = select(ProductImage).where(ProductImage.id == image_id, ProductImage.request_id == request_id)
        with self._read() as session:
            return session.scalars(one).one_or_none()

    def failures(self, request_id: str) -> Iterator[tuple[int, list[str], str]]:
        """Every row that has something to mend, in order: its number, the URLs without a result, and why."""
        row = 0
        while products := self._failed_products(request_id, row):
            for product, images in products:
                if not images and product.error is None:  # somebody asked to retry them in this very moment
                    continue
                reasons = dict.fromkeys(filter(None, (product.error, *(image.error_detail for image in images))))
                yield product.row, [image.input_url for image in images], " ".join(reasons)
            row = products[-1][0].row

    def _failed_products(self, request_id: str, after_row: int) -> list[tuple[Product, list[ProductImage]]]:
        with_failure = select(ProductImage.product_id).where(
            ProductImage.request_id == request_id, ProductImage.status.in_(NOT_DONE_WELL)
        )
        refused = and_(Product.status == ProductStatus.FAILED, Product.error.is_not(None))
        failed = (
            select(Product)
            .where(
                Product.request_id == request_id, Product.row > after_row, or_(Product.id.in_(with_failure), refused)
            )
            .order_by(Product.row)
            .limit(FAILURES_PER_READ)
        )
        with self._read() as session:
            products = {product.id: (product, list[ProductImage]()) for product in session.scalars(failed)}
            images = (
                select(ProductImage)
                .where(ProductImage.product_id.in_(products), ProductImage.status.in_(NOT_DONE_WELL))
                .order_by(ProductImage.id)
            )
            for image in session.scalars(images):
                products[image.product_id][1].append(image)
        return list(products.values())

    def files(self, request_id: str) -> Iterator[tuple[str, int, int, str, str]]:
        """Every file of a request once: its URL, row, position, serial and name. In the order of the catalogue."""
        after_id = 0
        while True:
            page = (
                select(
                    ProductImage.id,
                    ProductImage.output_url,
                    ProductImage.row,
                    ProductImage.position,
                    Product.serial_number,
                    Product.product_name,
                )
                .join(Product, Product.id == ProductImage.product_id)
                .where(
                    ProductImage.request_id == request_id,
                    ProductImage.status == ImageStatus.COMPLETED,
                    ProductImage.same_as_id.is_(None),
                    ProductImage.id > after_id,
                )
                .order_by(ProductImage.id)
                .limit(FAILURES_PER_READ)
            )
            with self._read() as session:
                found = session.execute(page).all()
            for _, url, row, position, serial, name in found:
                yield url or "", row, position, serial, name
            if not found:
                return
            after_id = found[-1].id

    def sizes(self, request_id: str) -> list[SizeClass]:
        """How the sizes of the compressed images are distributed, before and after."""
        both = (_size_class(ProductImage.bytes_in), _size_class(ProductImage.bytes_out))
        counts = (
            select(*both, func.count())
            .where(ProductImage.request_id == request_id, ProductImage.status == ImageStatus.COMPLETED)
            .group_by(*both)
        )
        before, after = Counter[int](), Counter[int]()
        with self._read() as session:
            for place_before, place_after, count in session.execute(counts):
                before[place_before] += count
                after[place_after] += count
        return [SizeClass(below, before[place], after[place]) for place, below in enumerate((*SIZE_CLASSES, None))]


def _size_class(column: "InstrumentedAttribute[int | None]") -> "ColumnElement[int]":
    return case(*((column < below, place) for place, below in enumerate(SIZE_CLASSES)), else_=len(SIZE_CLASSES))


def _chosen(
    page: "Select[ProductImage, Product]", request_id: str, chosen: ImageFilter
) -> "Select[ProductImage, Product]":
    page = page.join(Product, Product.id == ProductImage.product_id).where(ProductImage.request_id == request_id)
    if chosen.status is not None:
        page = page.where(ProductImage.status == chosen.status)
    if chosen.kept is not None:
        page = page.where(ProductImage.kept_original.is_(chosen.kept))
    if chosen.search:
        columns = (Product.serial_number, Product.product_name, ProductImage.input_url)
        page = page.where(or_(*(column.icontains(chosen.search, autoescape=True) for column in columns)))
    return page
