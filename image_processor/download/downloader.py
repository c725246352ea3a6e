"""URL -> the file of one image, and when to try again."""

import http.client
import random
from collections.abc import Callable
from http import HTTPStatus
from typing import BinaryIO

from image_processor.download.client import GuardedClient, Response
from image_processor.download.retry_header import retry_after
from image_processor.download.share_links import direct_link
from image_processor.errors import HTTPStatusError, ImageError, Truncated

# Responses that may be different next time (RFC 9110, section 15; 425 is RFC 8470).
_RETRYABLE = frozenset({408, 425, 429, *range(500, 600)})
_LONGEST_WAIT = 60.0
_LONGEST_BACKOFF = 30.0

_HINTS = {
    401: " The image needs a login.",
    403: " The image may need a login, or its server rejects programs.",
    429: " It asks for fewer requests; try again later.",
}


class Downloader:
    """Downloads images through the guarded client."""

    def __init__(self, client: GuardedClient) -> None:
        self._client = client

    def download(
        self,
        url: str,
        file: BinaryIO,
        *,
        own_base_url: str | None = None,
        is_abandoned: Callable[[], bool] | None = None,
    ) -> int:
        """Write the whole, non-empty body behind `url` into the empty `file` and return its size in bytes.

        Share links are turned into direct ones first; the other arguments are those of `GuardedClient.get`. Raises the
        ImageError that says what went wrong (its `retryable` says whether to try again), and StoreUnavailable when the
        file cannot be written.
        """
        response = self._client.get(direct_link(url), file, own_base_url=own_base_url, is_abandoned=is_abandoned)
        if response.status != HTTPStatus.OK:
            raise _status_error(response)
        if not response.size:
            raise Truncated("The server sent an empty file; check that the image opens in a browser.")
        file.flush()  # another process reads it
        return response.size


def retry_delay(error: ImageError, attempt: int) -> float:
    """Seconds to wait after the failed attempt number `attempt` (1 is the first): exponential backoff with full jitter.

    `Retry-After` is added to it, up to 60 seconds in all; the jitter keeps the images of one host from being tried all
    at once.
    """
    backoff = random.uniform(0.0, min(2.0 ** min(attempt - 1, 10), _LONGEST_BACKOFF))
    return min((error.retry_after or 0.0) + backoff, _LONGEST_WAIT)


def _status_error(response: Response) -> HTTPStatusError:
    retryable = response.status in _RETRYABLE
    return HTTPStatusError(
        _sentence(response.status),
        http_status=response.status,
        retry_after=retry_after(response.headers, _LONGEST_WAIT) if retryable else None,
        permanent=not retryable,
    )


def _sentence(status: int) -> str:
    # The standard's words, not the server's: those may say anything.
    name = f"{status} {http.client.responses.get(status, '')}".rstrip()
    return f"The server answered {name}.{_HINTS.get(status, '')}"
