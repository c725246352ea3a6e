"""What the pages, the API and the command line use of the application: one object, built by `app.py`."""

from dataclasses import dataclass

from image_processor.config import Settings
from image_processor.jobs.actions import Actions
from image_processor.jobs.inbox import Inbox
from image_processor.jobs.metrics import Metrics
from image_processor.jobs.originals import Originals
from image_processor.jobs.queries import Queries
from image_processor.jobs.thumbnails import Thumbnails
from image_processor.jobs.uploads import Uploads
from image_processor.jobs.worker import Worker
from image_processor.store import Health, Storage


@dataclass(frozen=True, slots=True)
class Services:
    """The services of one application, kept as `app.extensions["services"]`."""

    settings: Settings
    uploads: Uploads
    queries: Queries
    actions: Actions
    originals: Originals
    thumbnails: Thumbnails
    inbox: Inbox
    storage: Storage
    health: Health
    metrics: Metrics
    worker: Worker
