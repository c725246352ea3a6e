"""Uploads become jobs; a worker processes them. Owns threads."""

from image_processor.jobs.actions import Actions
from image_processor.jobs.bodies import ImageBody, ProductBody, StatusBody, WebhookBody
from image_processor.jobs.deliveries import Deliveries
from image_processor.jobs.image_job import DownloadThreads, ImageJob, ImageProcessor
from image_processor.jobs.inbox import Inbox
from image_processor.jobs.metrics import Metrics
from image_processor.jobs.originals import Originals
from image_processor.jobs.pipeline import Pipeline
from image_processor.jobs.queries import Queries
from image_processor.jobs.services import Services
from image_processor.jobs.short_queue import client_is_gone
from image_processor.jobs.status import image_body, links, live_message, status_body, timestamp
from image_processor.jobs.thumbnails import Thumbnails
from image_processor.jobs.uploads import RETRY_SECONDS, UploadOptions, Uploads, clean_name
from image_processor.jobs.webhook import INBOX_PATH, SECRET_FORM, new_secret, valid_secret
from image_processor.jobs.worker import Worker

__all__ = [
    "INBOX_PATH",
    "RETRY_SECONDS",
    "SECRET_FORM",
    "Actions",
    "Deliveries",
    "DownloadThreads",
    "ImageBody",
    "ImageJob",
    "ImageProcessor",
    "Inbox",
    "Metrics",
    "Originals",
    "Pipeline",
    "ProductBody",
    "Queries",
    "Services",
    "StatusBody",
    "Thumbnails",
    "UploadOptions",
    "Uploads",
    "WebhookBody",
    "Worker",
    "clean_name",
    "client_is_gone",
    "image_body",
    "links",
    "live_message",
    "new_secret",
    "status_body",
    "timestamp",
    "valid_secret",
]
