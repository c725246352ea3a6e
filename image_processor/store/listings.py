"""Long lists in pages: jobs, images, failures, files; and the distribution of sizes."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from image_processor.store.database import Database
from image_processor.store.models import UNFINISHED_JOBS, ImageStatus, Job, Product, ProductImage, ProductStatus

WITHOUT_RESULT = (ImageStatus.FAILED, ImageStatus.CANCELLED)
ROWS_PER_READ = 1_000
# Upper bounds of the size classes, in bytes.
SIZE_CLASSES = (10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000)


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """Which images of a job are listed: by status, whether the original was kept, text in product or URL."""

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
    """Queries over many rows."""

    def __init__(self, database: Database) -> None:
        self._read = database.read

    def jobs(self, limit: int, after: tuple[datetime, str] | None = None, status: str | None = None) -> Sequence[Job]:
        """Jobs, newest first, those after a place (`created_at` and id of the last one seen)."""
        page = select(Job).order_by(Job.created_at.desc(), Job.id.desc()).limit(limit)
        if status is not None:
            page = page.where(Job.status == status)
        if after is not None:
            at, job_id = after
            page = page.where(or_(Job.created_at < at, and_(Job.created_at == at, Job.id < job_id)))
        with self._read() as session:
            return session.scalars(page).all()

    def queue(self) -> tuple[int, int]:
        """How many jobs are not done, and how many of their images are not final."""
        waiting = func.coalesce(func.sum(Job.total - Job.succeeded - Job.failed - Job.cancelled), 0)
        with self._read() as session:
            jobs, images = session.execute(select(func.count(), waiting).where(Job.status.in_(UNFINISHED_JOBS))).one()
            return jobs, images

    def images(
        self, job_id: str, limit: int, after_id: int, chosen: ImageFilter
    ) -> Sequence[tuple[ProductImage, Product]]:
        """Images with their products, in the order of the catalogue, those after an image id."""
        page = (
            _chosen(select(ProductImage, Product), job_id, chosen)
            .where(ProductImage.id > after_id)
            .order_by(ProductImage.id)
            .limit(limit)
        )
        with self._read() as session:
            return [(image, product) for image, product in session.execute(page).all()]

    def image(self, job_id: str, image_id: int) -> ProductImage | None:
        """One image of a job."""
        one = select(ProductImage).where(ProductImage.id == image_id, ProductImage.request_id == job_id)
        with self._read() as session:
            return session.scalars(one).one_or_none()

    def failures(self, job_id: str) -> Iterator[tuple[int, list[str], str]]:
        """Every row with a failure, in order: its number, the URLs without a result, and why."""
        row = 0
        while products := self._failed_products(job_id, row):
            for product, images in products:
                if not images and product.error is None:  # they were restarted meanwhile
                    continue
                reasons = dict.fromkeys(filter(None, (product.error, *(image.error_detail for image in images))))
                yield product.row, [image.input_url for image in images], " ".join(reasons)
            row = products[-1][0].row

    def _failed_products(self, job_id: str, after_row: int) -> list[tuple[Product, list[ProductImage]]]:
        with_failure = select(ProductImage.product_id).where(
            ProductImage.request_id == job_id, ProductImage.status.in_(WITHOUT_RESULT)
        )
        refused = and_(Product.status == ProductStatus.FAILED, Product.error.is_not(None))
        failed = (
            select(Product)
            .where(Product.request_id == job_id, Product.row > after_row, or_(Product.id.in_(with_failure), refused))
            .order_by(Product.row)
            .limit(ROWS_PER_READ)
        )
        with self._read() as session:
            products = {product.id: (product, list[ProductImage]()) for product in session.scalars(failed)}
            images = (
                select(ProductImage)
                .where(ProductImage.product_id.in_(products), ProductImage.status.in_(WITHOUT_RESULT))
                .order_by(ProductImage.id)
            )
            for image in session.scalars(images):
                products[image.product_id][1].append(image)
        return list(products.values())

    def files(self, job_id: str) -> Iterator[tuple[ProductImage, Product]]:
        """The images of a job that have a file of their own, with their products, in the order of the catalogue."""
        after_id, completed = 0, ImageFilter(status=ImageStatus.COMPLETED)
        while page := self.images(job_id, ROWS_PER_READ, after_id, completed):
            yield from ((image, product) for image, product in page if image.same_as_id is None)
            after_id = page[-1][0].id

    def sizes(self, job_id: str) -> list[SizeClass]:
        """The distribution of the sizes of compressed images, before and after."""
        both = (_size_class(ProductImage.bytes_in), _size_class(ProductImage.bytes_out))
        counts = (
            select(*both, func.count())
            .where(ProductImage.request_id == job_id, ProductImage.status == ImageStatus.COMPLETED)
            .group_by(*both)
        )
        before, after = Counter[int](), Counter[int]()
        with self._read() as session:
            for class_before, class_after, count in session.execute(counts):
                before[class_before] += count
                after[class_after] += count
        return [SizeClass(below, before[index], after[index]) for index, below in enumerate((*SIZE_CLASSES, None))]


def _size_class(column: "InstrumentedAttribute[int | None]") -> "ColumnElement[int]":
    return case(*((column < below, index) for index, below in enumerate(SIZE_CLASSES)), else_=len(SIZE_CLASSES))


def _chosen(page: "Select[ProductImage, Product]", job_id: str, chosen: ImageFilter) -> "Select[ProductImage, Product]":
    page = page.join(Product, Product.id == ProductImage.product_id).where(ProductImage.request_id == job_id)
    if chosen.status is not None:
        page = page.where(ProductImage.status == chosen.status)
    if chosen.kept is not None:
        page = page.where(ProductImage.kept_original.is_(chosen.kept))
    if chosen.search:
        columns = (Product.serial_number, Product.product_name, ProductImage.input_url)
        page = page.where(or_(*(column.icontains(chosen.search, autoescape=True) for column in columns)))
    return page
