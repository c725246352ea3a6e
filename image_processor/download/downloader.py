"""URL -> the file of one image, and when to try again."""

import random
from collections.abc import Callable
from http import HTTPStatus
from typing import BinaryIO

from image_processor.download.client import GuardedClient, Response
from image_processor.download.retry_header import retry_after
from image_processor.errors import HTTPStatusError, ImageError, Truncated
from image_processor.urls import direct_link

# Queries that may be different next time (RFC 9110, section 15; 425 is RFC 8470).
_PASSING = frozenset({408, 425, 429})
_LONGEST_WAIT = 60.0
_LONGEST_BACKOFF = 30.0

_HINTS = {
    401: "The image needs a login.",
    403: "The image may need a login, or its server turns programs away.",
    429: "It asks for fewer requests; try again later.",
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
        """Write the whole, non-empty body behind `url` into the empty `file` and give its size in bytes.

        Share links are turned into direct ones first. `own_base_url` is this server's own address, whose samples may be
        fetched. The download is cut soon after `is_abandoned` says yes. Raises the ImageError that says what went wrong
        (its `retryable` says whether to try again), and StoreUnavailable when the disk does not take the file.
        """
        answer = self._client.get(direct_link(url), file, own_base_url=own_base_url, is_abandoned=is_abandoned)
        if answer.status != HTTPStatus.OK:
            raise _status_error(answer)
        if not answer.size:
            raise Truncated("The server sent an empty file; check that the image opens in a browser.")
        file.flush()  # another process reads it
        return answer.size


def retry_delay(error: ImageError, attempt: int) -> float:
    """Seconds to wait after the failed attempt number `attempt` (1 is the first): exponential backoff with full jitter.

    What the server asked for (`Retry-After`) comes first, up to 60 seconds; the jitter keeps the images of one host
    from coming back all at once.
    """
    backoff = random.uniform(0.0, min(2.0 ** min(attempt - 1, 10), _LONGEST_BACKOFF))
    return min((error.retry_after or 0.0) + backoff, _LONGEST_WAIT)


def _status_error(answer: Response) -> HTTPStatusError:
    passing = answer.status in _PASSING or 500 <= answer.status <= 599
    return HTTPStatusError(
        _sentence(answer.status),
        http_status=answer.status,
        retry_after=retry_after(answer.headers, _LONGEST_WAIT) if passing else None,
        permanent=not passing,
    )


def _sentence(status: int) -> str:
    # The standard's words, not the server's: those may say anything.
    try:
        sentence = f"The server answered {status} {HTTPStatus(status).phrase}."
    except ValueError:
        sentence = f"The server answered {status}."
    return f"{sentence} {_HINTS[status]}" if status in _HINTS else sentence
