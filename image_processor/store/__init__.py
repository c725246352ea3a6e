"""What is remembered: the database and the files. Owns SQLAlchemy and every file that is written."""

from image_processor.store.database import Database, now, prepare_engine
from image_processor.store.files import OUTPUT_NAME, THUMBNAILS, Storage, image_name
from image_processor.store.health import Health
from image_processor.store.listings import ImageFilter, Listings, SizeClass
from image_processor.store.models import (
    WORKING,
    DeliveryState,
    ImageStatus,
    Job,
    JobStatus,
    Outcome,
    Product,
    ProductImage,
    ProductStatus,
    ReceivedCallback,
    WebhookAttempt,
    WebhookDelivery,
    db,
)
from image_processor.store.products import (
    ImageRecord,
    ImageTask,
    NewImage,
    NewProduct,
    ProductOutput,
    Repository,
)
from image_processor.store.webhooks import Outbox, new_delivery

__all__ = [
    "OUTPUT_NAME",
    "THUMBNAILS",
    "WORKING",
    "Database",
    "DeliveryState",
    "Health",
    "ImageFilter",
    "ImageRecord",
    "ImageStatus",
    "ImageTask",
    "Job",
    "JobStatus",
    "Listings",
    "NewImage",
    "NewProduct",
    "Outbox",
    "Outcome",
    "Product",
    "ProductImage",
    "ProductOutput",
    "ProductStatus",
    "ReceivedCallback",
    "Repository",
    "SizeClass",
    "Storage",
    "WebhookAttempt",
    "WebhookDelivery",
    "db",
    "image_name",
    "new_delivery",
    "now",
    "prepare_engine",
]
