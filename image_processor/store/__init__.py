"""The database and the files. Owns SQLAlchemy and every file that is written."""

from image_processor.store.database import Database, now, prepare_engine
from image_processor.store.files import (
    OUTPUT_NAME,
    THUMBNAILS,
    WORKBOOK_NAME,
    Storage,
    image_name,
    is_job_id,
    raises_store_unavailable,
)
from image_processor.store.health import Health
from image_processor.store.jobs import Jobs
from image_processor.store.listings import ImageFilter, Listings, SizeClass
from image_processor.store.models import (
    PROCESSING_MESSAGE,
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
from image_processor.store.outcomes import ImageRecord, ImageTask, Portion
from image_processor.store.products import NewImage, NewProduct, ProductOutput, Products, grouped
from image_processor.store.webhooks import Outbox, new_delivery

__all__ = [
    "OUTPUT_NAME",
    "PROCESSING_MESSAGE",
    "THUMBNAILS",
    "WORKBOOK_NAME",
    "Database",
    "DeliveryState",
    "Health",
    "ImageFilter",
    "ImageRecord",
    "ImageStatus",
    "ImageTask",
    "Job",
    "JobStatus",
    "Jobs",
    "Listings",
    "NewImage",
    "NewProduct",
    "Outbox",
    "Outcome",
    "Portion",
    "Product",
    "ProductImage",
    "ProductOutput",
    "ProductStatus",
    "Products",
    "ReceivedCallback",
    "SizeClass",
    "Storage",
    "WebhookAttempt",
    "WebhookDelivery",
    "db",
    "grouped",
    "image_name",
    "is_job_id",
    "new_delivery",
    "now",
    "prepare_engine",
    "raises_store_unavailable",
]
