"""A job in a database of its own, for tests of the record."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine

from image_processor.store.database import Database, prepare_engine
from image_processor.store.jobs import Jobs
from image_processor.store.models import Base, ImageStatus, Job
from image_processor.store.outcomes import ImageRecord, ImageTask
from image_processor.store.products import NewImage, NewProduct, Products

ID = "6f1c0f0e-5d5c-4c39-9a34-0d9c4e3c1a11"


@contextmanager
def opened(folder: Path) -> Iterator[Database]:
    """The database in a folder, as a process opens it. The first one makes the tables."""
    engine = create_engine(f"sqlite:///{folder / 'test.db'}", pool_size=20, max_overflow=50)
    prepare_engine(engine)
    Base.metadata.create_all(engine.execution_options(writes=True))
    yield Database(engine)
    engine.dispose()


def new_job(total: int) -> Job:
    return Job(
        id=ID,
        row_count=1,
        total=total,
        quality=50,
        max_dimension=2048,
        format="keep",
        on_invalid="reject",
        base_url="b",
    )


def with_images(jobs: Jobs, products: Products, *urls: str) -> list[ImageTask]:
    """A claimed job of one row with these URLs."""
    jobs.add(new_job(len(urls)))
    images = [NewImage(place, url, url, "host") for place, url in enumerate(urls, start=1)]
    products.insert(ID, [NewProduct(1, "1", "SKU", list(urls), images)])
    jobs.claim(ID)
    return products.pending_images(ID, 0, 100_000)


def done(image: ImageTask) -> ImageRecord:
    return ImageRecord(image, ImageStatus.COMPLETED, 1, output_url=f"u{image.id}", bytes_in=10, bytes_out=4)


def counts(jobs: Jobs) -> tuple[int, ...]:
    """Pending, processing, succeeded, failed, bytes in, bytes out."""
    found = jobs.get(ID)
    assert found is not None
    return (found.pending, found.processing, found.succeeded, found.failed, found.bytes_in, found.bytes_out)
