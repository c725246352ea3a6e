"""Outcomes of images, and the counters of their job. The functions are parts of a transaction.

Counters change by SQL, in the transaction of what they count: `+= 1` in Python lost 80% of them under 32 threads. Only
rows that a statement has changed are counted: two processes may record the same images.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Update, bindparam, case, func, or_, select, update
from sqlalchemy.orm import Session

from image_processor.errors import FileLost
from image_processor.store.database import execute_counting
from image_processor.store.jobs import lock_job, update_job
from image_processor.store.models import UNFINISHED_IMAGES, ImageStatus, Job, ProductImage

# How often a file may be missing before its image fails.
MAX_LOST = 3


@dataclass(frozen=True, slots=True)
class Portion:
    """The images of a job with `after_id < id <= last_id`; `isolated` ones are processed one at a time."""

    job_id: str
    after_id: int
    last_id: int
    isolated: bool = False


@dataclass(frozen=True, slots=True)
class ImageTask:
    """One image to be processed, in plain values. `slots` counts the images of the job that have this URL."""

    id: int
    row: int
    position: int
    url: str
    host: str
    slots: int


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """The outcome of one image, as it is recorded."""

    image: ImageTask
    status: ImageStatus
    attempts: int = 1
    output_url: str | None = None
    kept_original: bool = False
    note: str | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None
    width: int | None = None
    height: int | None = None
    error_code: str | None = None
    error_detail: str | None = None
    http_status: int | None = None


def record(
    session: Session, job_id: str, started: Sequence[ImageTask], records: Sequence[ImageRecord]
) -> Sequence[ImageRecord]:
    """Write what was begun and what is final; return the records of images that were not final before."""
    if lock_job(session, job_id) is None:  # it was deleted
        return []
    unfinished = _unfinished(session, [record.image.id for record in records])
    records = [record for record in records if record.image.id in unfinished]
    _finalise(session, _FINALISE, [record for record in records if record.image.slots == 1])
    _finalise(session, _FINALISE_ALL, [record for record in records if record.image.slots > 1])
    begun = _mark_started(session, [image.id for image in started])
    if records or begun:
        _count(session, job_id, begun, [(record, *unfinished[record.image.id]) for record in records])
    return records


def reset(session: Session, job_id: str, first: Sequence[int]) -> None:
    """Make completed images, whose files are missing, pending again; the third time they fail.

    `first` are the first images with their URLs.
    """
    lock_job(session, job_id)
    bytes_in, bytes_out = session.execute(_BYTES, {"ids": first}).one()
    why = {"error_code": FileLost.code, "error_detail": FileLost.sentence}
    failed = _reset(session, first, ProductImage.lost >= MAX_LOST - 1, status=ImageStatus.FAILED, **why)
    again = _reset(session, first, status=ImageStatus.PENDING)
    update_job(
        session,
        job_id,
        succeeded=Job.succeeded - failed - again,
        failed=Job.failed + failed,
        bytes_in=Job.bytes_in - bytes_in,
        bytes_out=Job.bytes_out - bytes_out,
    )


def take_back(session: Session, portion: Portion) -> None:
    """Make the images of a portion that were begun, but are not final, pending again."""
    lock_job(session, portion.job_id)
    first = func.coalesce(ProductImage.same_as_id, ProductImage.id)
    begun = ProductImage.request_id == portion.job_id, ProductImage.status == ImageStatus.PROCESSING
    taken = update(ProductImage).where(*begun, first > portion.after_id, first <= portion.last_id)
    if execute_counting(session, taken.values(status=ImageStatus.PENDING)):
        left = select(func.count()).select_from(ProductImage).where(*begun)
        update_job(session, portion.job_id, processing=left.scalar_subquery())


def _with_urls_of(ids: Any) -> "ColumnElement[bool]":
    """The images with some ids, and those that have the same URLs."""
    return or_(ProductImage.id.in_(ids), ProductImage.same_as_id.in_(ids))


def _unfinished(session: Session, ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """How many images with the URLs of some are not final, and how many of these are begun, by id."""
    if not ids:
        return {}
    return {first: (number, begun) for first, number, begun in session.execute(_UNFINISHED, {"ids": ids})}


def _mark_started(session: Session, ids: Sequence[int]) -> int:
    return execute_counting(session, _START, {"ids": ids}) if ids else 0


def _reset(session: Session, first: Sequence[int], *conditions: "ColumnElement[bool]", **values: Any) -> int:
    completed = _with_urls_of(first), ProductImage.status == ImageStatus.COMPLETED, *conditions
    reset = update(ProductImage).where(*completed).values(_NO_FILE | {"lost": ProductImage.lost + 1} | values)
    return execute_counting(session, reset.execution_options(synchronize_session=False))


def _count(session: Session, job_id: str, begun: int, records: Sequence[tuple[ImageRecord, int, int]]) -> None:
    """Count `begun` images, and records, each with its number of images and how many of these were begun before."""

    def images(status: ImageStatus) -> int:
        return sum(number for record, number, _ in records if record.status is status)

    succeeded, failed = images(ImageStatus.COMPLETED), images(ImageStatus.FAILED)
    final = Job.succeeded + Job.failed + Job.cancelled + succeeded + failed
    # Within a run it never falls, not even when files were lost and are processed again.
    progress = 100.0 * (final - Job.run_base) / func.nullif(Job.total - Job.run_base, 0)
    update_job(
        session,
        job_id,
        processing=Job.processing + begun - sum(begun_before for _, _, begun_before in records),
        succeeded=Job.succeeded + succeeded,
        failed=Job.failed + failed,
        progress=case((progress > Job.progress, progress), else_=Job.progress),
        bytes_in=Job.bytes_in + sum((record.bytes_in or 0) * number for record, number, _ in records),
        bytes_out=Job.bytes_out + sum((record.bytes_out or 0) * number for record, number, _ in records),
    )


_FINAL_COLUMNS = [field.name for field in fields(ImageRecord) if field.name != "image"]
_VALUES: dict[str, Any] = {name: bindparam(f"new_{name}") for name in _FINAL_COLUMNS}
_OF_IMAGE = ProductImage.id == bindparam("image_id")
# For executemany. An image that has its URL alone needs no search for others.
_FINALISE = update(ProductImage).where(_OF_IMAGE).values(_VALUES)
_FINALISE_ALL = (
    update(ProductImage)
    .where(
        or_(_OF_IMAGE, ProductImage.same_as_id == bindparam("image_id")),
        or_(*(ProductImage.status == status for status in UNFINISHED_IMAGES)),  # executemany takes no IN
    )
    .values(_VALUES)
)


def _finalise(session: Session, statement: Update, records: Sequence[ImageRecord]) -> None:
    if records:
        session.connection().execute(statement, [_record_values(record) for record in records])


def _record_values(record: ImageRecord) -> dict[str, Any]:
    return {"image_id": record.image.id} | {f"new_{name}": getattr(record, name) for name in _FINAL_COLUMNS}


_IDS: BindParameter[int] = bindparam("ids", expanding=True)
_UNFINISHED = (
    select(
        func.coalesce(ProductImage.same_as_id, ProductImage.id).label("first"),
        func.count(),
        func.sum(case((ProductImage.status == ImageStatus.PROCESSING, 1), else_=0)),
    )
    .where(_with_urls_of(_IDS), ProductImage.status.in_(UNFINISHED_IMAGES))
    .group_by("first")
)
_START = (
    update(ProductImage)
    .where(_with_urls_of(_IDS), ProductImage.status == ImageStatus.PENDING)
    .values(status=ImageStatus.PROCESSING)
    .execution_options(synchronize_session=False)
)
_NO_FILE = {
    **dict.fromkeys(("output_url", "note", "bytes_in", "bytes_out", "width", "height")),
    "kept_original": False,
}
_BYTES = select(
    func.coalesce(func.sum(ProductImage.bytes_in), 0), func.coalesce(func.sum(ProductImage.bytes_out), 0)
).where(_with_urls_of(_IDS), ProductImage.status == ImageStatus.COMPLETED)
