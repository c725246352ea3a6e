"""A URL becomes the bytes of an image. Owns requests, ssl and socket."""

from image_processor.download.addresses import AllowedAddresses
from image_processor.download.client import GuardedClient
from image_processor.download.downloader import Downloader, retry_delay
from image_processor.download.host_limits import HostLimits
from image_processor.download.retry_header import retry_after
from image_processor.download.share_links import direct_link

__all__ = [
    "AllowedAddresses",
    "Downloader",
    "GuardedClient",
    "HostLimits",
    "direct_link",
    "retry_after",
    "retry_delay",
]
