"""What http.client, urllib3, ssl and the system raise, as one ImageError each."""

import functools
import http.client
import logging
import ssl
from collections.abc import Callable, Iterator
from typing import Final, ParamSpec, TypeVar

import urllib3

from image_processor.download.deadline import LONG_HEAD
from image_processor.errors import FetchConnectionError, FetchTimeout, ImageError, TLSError, TooLarge, Truncated

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

FOREIGN_ERRORS: Final = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError)  # requests': OSErrors

_CERTIFICATE_FAULTS = {  # X509_V_ERR_… of OpenSSL's x509_vfy.h
    10: "has expired",
    18: "is self-signed",
    19: "is self-signed",
    62: "belongs to another name",
    64: "belongs to another address",
}


def raises_image_errors(method: Callable[P, T]) -> Callable[P, T]:
    """Let `method` raise an ImageError in place of every foreign error."""

    @functools.wraps(method)
    def translated(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except (ImageError, *FOREIGN_ERRORS) as error:
            log.debug("a request failed", exc_info=True)
            failure = error if isinstance(error, ImageError) else _image_error(error)
        # Raised outside the handler and bare: an error that is kept for a report must not keep the frames, and with
        # them the bytes, of a download.
        failure.__traceback__ = failure.__context__ = failure.__cause__ = None
        raise failure

    return translated


def is_hang_up(error: BaseException) -> bool:
    """Whether the other side closed the connection."""
    return any(isinstance(cause, (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError)) for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _image_error(error: Exception) -> ImageError:
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            return _tls_error(cause)
        if isinstance(cause, TimeoutError):
            return FetchTimeout()
        if type(cause) is http.client.HTTPException:  # more than 100 headers
            return TooLarge(LONG_HEAD)
        if isinstance(cause, urllib3.exceptions.InvalidHeader):  # two lengths
            return Truncated()
        if isinstance(cause, http.client.BadStatusLine) and not isinstance(cause, ConnectionError):
            sentence = "The server does not respond like a web server; check the URL."
            return FetchConnectionError(sentence, responded=True)
    return FetchConnectionError()


def _tls_error(error: ssl.SSLError) -> ImageError:
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return FetchConnectionError()
    if not isinstance(error, ssl.SSLCertVerificationError):
        return TLSError("The secure connection failed: the server does not support HTTPS here, or only an unsafe form.")
    fault = _CERTIFICATE_FAULTS.get(error.verify_code, "is not signed by an authority that browsers know")
    return TLSError(f"The secure connection failed: the server's certificate {fault}.")
