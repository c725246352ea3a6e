"""Products and images, the rows and URLs of a job: their queries and transactions."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import blake2b
from itertools import pairwise
from typing import Any

from sqlalchemy import Select, bindparam, func, insert, select, update
from sqlalchemy.orm import Session, aliased

from image_processor.store import outcomes
from image_processor.store.database import Database, read_rows
from image_processor.store.jobs import lock_job, to_process
from image_processor.store.models import ImageStatus, Product, ProductImage, ProductStatus
from image_processor.store.outcomes import ImageRecord, ImageTask, Portion

ROWS_PER_PAGE = 250
MAX_ID = 2**63 - 1


def url_key(url: str) -> int:
    """A signed 64-bit hash of a URL, indexed instead of the long text."""
    return int.from_bytes(blake2b(url.encode(), digest_size=8).digest(), signed=True)


@dataclass(frozen=True, slots=True)
class NewImage:
    """One URL of a row to be inserted: its 1-based place in the list, as written, and where it is fetched from."""

    position: int
    input_url: str
    fetch_url: str
    host: str


@dataclass(frozen=True, slots=True)
class NewProduct:
    """One row of the catalogue to be inserted; `error` says why it is not processed, if so."""

    row: int
    serial_number: str
    product_name: str
    input_image_urls: list[str]
    images: list[NewImage]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ProductOutput:
    """The result of one row, for output.csv and the products table."""

    id: int
    output_image_urls: list[str | None]
    status: str


class Products:
    """Inserts products, lists images, and records their outcomes."""

    def __init__(self, database: Database) -> None:
        self._read, self._write = database.read, database.write

    def last_row(self, job_id: str) -> int:
        """The highest row that was inserted, 0 for none. Rows are inserted in order, so there is no gap below it."""
        with self._read() as session:
            return _last_row(session, job_id)

    def insert(self, job_id: str, products: Sequence[NewProduct]) -> None:
        """Insert some rows with their images, in one transaction; rows that another process inserted are left out.

        An image whose URL the job has already points to the first image with it: a URL is fetched once.
        """
        with self._write() as session:
            if lock_job(session, job_id) is None:  # it was deleted
                return
            last_row = _last_row(session, job_id)
            products = [product for product in products if product.row > last_row]
            if products:
                _insert(session, job_id, products)

    def portions(self, job_id: str, size: int | None = None) -> list[Portion]:
        """What is to be processed, in portions of `size` images; in one without a size."""
        with self._read() as session:
            last_ids = list(_last_ids(session, job_id, size))
        return [Portion(job_id, *ids) for ids in pairwise([0, *last_ids])]

    def take_back(self, portion: Portion) -> None:
        """Make the images of a portion that were begun, but are not final, pending again."""
        with self._write() as session:
            outcomes.take_back(session, portion)

    def page(self, job_id: str, after_row: int = 0, limit: int = 100) -> list[Any]:
        """The products after a row, in order, as named tuples with the columns of `Product`."""
        with self._read() as session:
            return read_rows(session, _PAGE, request_id=job_id, after_row=after_row, limit=limit)

    def with_images(self, job_id: str) -> Iterator[list[tuple[Product, list[ProductImage]]]]:
        """All products with their images, in order, page by page."""
        row = 0
        while products := self.page(job_id, after_row=row, limit=ROWS_PER_PAGE):
            yield list(grouped(products, self.images_of([product.id for product in products])))
            row = products[-1].row

    def save_outputs(self, outputs: Sequence[ProductOutput]) -> None:
        """Write the results of some rows into the products table."""
        with self._write() as session:
            session.execute(update(Product), [asdict(output) for output in outputs])

    def images_of(self, product_ids: Sequence[int], limit: int | None = None) -> list[Any]:
        """The images of some products by row and position, as named tuples with the columns of `ProductImage`."""
        with self._read() as session:
            return read_rows(session, _IMAGES_OF, ids=product_ids, limit=limit or _ALL)

    def completed_images(self, job_id: str, after_id: int, limit: int) -> Sequence[ProductImage]:
        """The images that have a result, by id."""
        completed = (
            select(ProductImage)
            .where(
                ProductImage.request_id == job_id,
                ProductImage.status == ImageStatus.COMPLETED,
                ProductImage.id > after_id,
            )
            .order_by(ProductImage.id)
            .limit(limit)
        )
        with self._read() as session:
            return session.scalars(completed).all()

    def pending_images(
        self,
        job_id: str,
        after_id: int,
        limit: int,
        *,
        last_id: int = MAX_ID,
        host: str | None = None,
        without: Sequence[str] = (),
    ) -> list[ImageTask]:
        """Images to be processed, by id: those of one `host`, or of all hosts but those in `without`.

        A URL is listed once.
        """
        ids = {"request_id": job_id, "after_id": after_id, "last_id": last_id}
        chosen = {**ids, "limit": limit, "host": host, "without": without}
        with self._read() as session:
            return [ImageTask(*task) for task in session.execute(_pending(host is not None), chosen)]

    def record_images(
        self, job_id: str, started: Sequence[ImageTask], records: Sequence[ImageRecord]
    ) -> Sequence[ImageRecord]:
        """Write what was begun, what is final, and the counters, in one transaction.

        `started` are images in progress now. The outcome of an image is that of all images with its URL. Returns the
        records of images that were not final before: another process may have recorded the same ones.
        """
        with self._write() as session:
            return outcomes.record(session, job_id, started, records)

    def reset_images(self, job_id: str, images: Sequence[ProductImage]) -> None:
        """Make finished images, whose files are missing, pending again and take them out of the counters.

        So are all images with the same URLs. The third time they fail.
        """
        with self._write() as session:
            outcomes.reset(session, job_id, list({image.same_as_id or image.id for image in images}))


def grouped(
    products: Sequence[Product], images: Sequence[ProductImage]
) -> Iterator[tuple[Product, list[ProductImage]]]:
    """Each product with its images."""
    by_product: dict[int, list[ProductImage]] = {}
    for image in images:
        by_product.setdefault(image.product_id, []).append(image)
    return ((product, by_product.get(product.id, [])) for product in products)


def _last_row(session: Session, job_id: str) -> int:
    return session.scalar(select(func.max(Product.row)).where(Product.request_id == job_id)) or 0


def _insert(session: Session, job_id: str, products: Sequence[NewProduct]) -> None:
    ids = session.scalars(
        insert(Product).returning(Product.id, sort_by_parameter_order=True),
        [_product_values(job_id, product) for product in products],
    ).all()
    images = [
        _image_values(job_id, product_id, product.row, image)
        for product_id, product in zip(ids, products, strict=True)
        for image in product.images
    ]
    if images:
        session.execute(insert(ProductImage), images)
        _link_same_urls(session, ids)


def _link_same_urls(session: Session, product_ids: Sequence[int]) -> None:
    image, same = ProductImage, aliased(ProductImage)
    of_the_url = same.request_id == image.request_id, same.url_key == image.url_key
    first = select(func.min(same.id)).where(*of_the_url).scalar_subquery()
    session.execute(
        update(image)
        .where(image.product_id.in_(product_ids), image.id > first)
        .values(same_as_id=first)
        .execution_options(synchronize_session=False)
    )


def _last_ids(session: Session, job_id: str, size: int | None) -> Iterator[int]:
    """The last id of each portion."""
    waiting = to_process(job_id)
    if size is None:
        of_all = select(func.max(ProductImage.id)).where(ProductImage.request_id == job_id)
        if session.scalar(waiting.limit(1)) is not None:
            yield session.scalars(of_all).one()
        return
    last_id = 0
    while ids := session.scalars(waiting.where(ProductImage.id > last_id).order_by(ProductImage.id).limit(size)).all():
        last_id = ids[-1]
        yield last_id


def _product_values(job_id: str, product: NewProduct) -> dict[str, Any]:
    return {
        "request_id": job_id,
        "row": product.row,
        "serial_number": product.serial_number,
        "product_name": product.product_name,
        "input_image_urls": product.input_image_urls,
        "output_image_urls": [None] * len(product.input_image_urls),
        "status": _first_status(product),
        "error": product.error,
    }


def _first_status(product: NewProduct) -> ProductStatus:
    if product.error is not None:
        return ProductStatus.FAILED
    return ProductStatus.PENDING if product.images else ProductStatus.COMPLETED


def _image_values(job_id: str, product_id: int, row: int, image: NewImage) -> dict[str, Any]:
    return {
        "request_id": job_id,
        "product_id": product_id,
        "row": row,
        "position": image.position,
        "input_url": image.input_url,
        "url_key": url_key(image.fetch_url),
        "host": image.host,
    }


_ALL = 2**31
_PAGE = (
    select(Product.__table__)
    .where(Product.request_id == bindparam("request_id"), Product.row > bindparam("after_row"))
    .order_by(Product.row)
    .limit(bindparam("limit"))
)
_IMAGES_OF = (
    select(ProductImage.__table__)
    .where(ProductImage.product_id.in_(bindparam("ids", expanding=True)))
    .order_by(ProductImage.row, ProductImage.position)
    .limit(bindparam("limit"))
)


@cache  # to build it took longer than to execute it
def _pending(of_one_host: bool) -> Select[tuple[Any, ...]]:
    image, same = ProductImage, aliased(ProductImage)
    copies = select(func.count()).where(same.same_as_id == image.id).scalar_subquery()
    others = image.host.not_in(bindparam("without", expanding=True))
    return (
        select(image.id, image.row, image.position, image.input_url, image.host, copies + 1)
        .where(
            image.request_id == bindparam("request_id"),
            image.status == ImageStatus.PENDING,
            image.same_as_id.is_(None),
            image.id > bindparam("after_id"),
            image.id <= bindparam("last_id"),
            image.host == bindparam("host") if of_one_host else others,
        )
        .order_by(image.id)
        .limit(bindparam("limit"))
    )
