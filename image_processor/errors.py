"""Every error SKUlight raises on purpose.

SkulightError
├── ConfigError                 a setting makes no sense; the start is refused
├── StoreUnavailable            disk or database cannot be used just now; the work pauses
├── UploadGone                  the kept upload of a request is not there any more
├── RequestError                a caller's call cannot be served (becomes problem+json)
│   ├── InvalidCSV              the catalogue has errors; carries all of them
│   ├── MissingFile             no file came with the upload
│   ├── InvalidOption           an option of the upload makes no sense
│   ├── InvalidWebhookURL       the webhook address cannot be called
│   ├── UnsupportedMediaType    the body is neither a form nor CSV
│   ├── UntrustedHost           the Host header names a server this is not
│   ├── Unauthorized            the API key is missing or wrong
│   ├── TooManyRequests         the caller is over its rate limit
│   ├── CrossSite               another web site tried to act in the visitor's name
│   ├── NotFound                no such request, file or delivery
│   ├── NotReady                the result does not exist yet
│   ├── Conflict                the request is not in a state for it
│   ├── IdempotencyMisuse       an Idempotency-Key was used for another upload
│   ├── SourceGone              the source of an image cannot be fetched again
│   ├── Unavailable             disk or database cannot be used; uploads are refused meanwhile
│   └── BadSignature            a received callback is not signed by a known sender
└── ImageError                  what became of one image, when it is not a file
    ├── InvalidURL              the entry is not a URL that can be fetched
    ├── BlockedAddress          the address is private or reserved
    ├── DNSFailure              the host name has no address
    ├── FetchTimeout            the server took too long
    ├── FetchConnectionError    the connection failed or broke
    ├── TLSError                the certificate or the handshake is wrong
    ├── HTTPStatusError         the server answered something other than 200
    ├── TooManyRedirects        the address forwards more often than is allowed
    ├── TooLarge                more bytes than the limit
    ├── NotAnImage              the bytes are not an image
    ├── UnsupportedFormat       an image, in a format that is not handled
    ├── TooManyPixels           an image that decodes to more than the limit
    ├── Truncated               the download or the image ends early
    ├── TooSlow                 processing the image takes longer than the limit
    ├── Crashed                 the image ended its process, twice
    ├── ImageCancelled          the request was cancelled before the image was worked
    └── InternalError           a defect of SKUlight; the log has the traceback
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self


def shorten(text: str, length: int = 100) -> str:
    """The text, at most `length` characters of it: one that is longer ends in an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"


class SkulightError(Exception):
    """The root: whatever SkulightError says is a sentence for a person."""


class ConfigError(SkulightError):
    """A setting makes no sense. The message names the variable and what it would take."""


class StoreUnavailable(SkulightError):
    """The disk or the database cannot be used just now. Nothing is wrong with the work itself."""


class UploadGone(SkulightError):
    """The kept upload of a request is not there any more; the request cannot be worked."""


class RequestError(SkulightError):
    """A call cannot be served. `type` is the last part of the problem's URI, `title` its short name.

    `retry_after` says after how many seconds another try makes sense; `extra` holds further members of the problem body
    (RFC 9457, section 3.2).
    """

    type: ClassVar[str] = "bad-request"
    title: ClassVar[str] = "The request cannot be served"
    status: ClassVar[int] = 400

    def __init__(self, detail: str, *, retry_after: int | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after
        self.extra = extra


@dataclass(frozen=True, slots=True)
class CSVProblem:
    """One thing wrong with an uploaded catalogue.

    `line` is the physical line in the file (1-based), `row` the data row (1-based; None outside the rows), `column` the
    house's name of the column (None when it concerns no column), `value` what stood there, shortened to 200 characters.
    """

    line: int | None
    row: int | None
    column: str | None
    value: str
    code: str
    detail: str
    hint: str

    def as_dict(self) -> dict[str, Any]:
        """The members of one entry of the problem's `errors` list."""
        return asdict(self)


class InvalidCSV(RequestError):
    """The catalogue has errors. `problems` holds every one of them, in the order of the file."""

    type = "invalid-csv"
    title = "The CSV has errors"

    MAX_LISTED: ClassVar[int] = 100

    def __init__(self, detail: str, problems: Sequence[CSVProblem]) -> None:
        listed = [problem.as_dict() for problem in problems[: self.MAX_LISTED]]
        super().__init__(detail, error_count=len(problems), errors=listed)
        self.problems = problems

    @classmethod
    def whole_file(
        cls, code: str, detail: str, hint: str, *, line: int | None = None, column: str | None = None, value: str = ""
    ) -> Self:
        """The file as a whole cannot be read, for one reason."""
        return cls(detail, [CSVProblem(line, None, column, shorten(value, 200), code, detail, hint)])


class UploadTooLarge(InvalidCSV):
    """The catalogue has more bytes, rows or URLs than the limit."""

    type = "too-large"
    title = "The upload is too large"
    status = 413


class MissingFile(RequestError):
    """No file came with the upload."""

    type = "missing-file"
    title = "No file was sent"


class InvalidOption(RequestError):
    """An option of the upload, or a parameter of a query, makes no sense."""

    type = "invalid-option"
    title = "An option is not valid"


class InvalidWebhookURL(RequestError):
    """The webhook address cannot be called."""

    type = "invalid-webhook-url"
    title = "The webhook URL is not valid"


class UnsupportedMediaType(RequestError):
    """The body is neither a form with a file nor CSV."""

    type = "unsupported-media-type"
    title = "The body is not a CSV upload"
    status = 415


class UntrustedHost(RequestError):
    """The Host header names a server this is not."""

    type = "untrusted-host"
    title = "This host name is not served here"


class Unauthorized(RequestError):
    """The API key is missing or wrong."""

    type = "unauthorized"
    title = "The API key is needed"
    status = 401


class TooManyRequests(RequestError):
    """The caller is over its rate limit."""

    type = "too-many-requests"
    title = "Too many requests"
    status = 429


class CrossSite(RequestError):
    """Another web site tried to act in the visitor's name."""

    type = "cross-site"
    title = "The call came from another site"
    status = 403


class NotFound(RequestError):
    """No such request, file or delivery."""

    type = "not-found"
    title = "Not found"
    status = 404


class NotReady(RequestError):
    """The result does not exist yet."""

    type = "not-ready"
    title = "Not ready yet"
    status = 409


class Conflict(RequestError):
    """The request is not in a state for it."""

    type = "conflict"
    title = "Not in this state"
    status = 409


class IdempotencyMisuse(RequestError):
    """An Idempotency-Key was used before, for another upload."""

    type = "idempotency-key-misuse"
    title = "The Idempotency-Key was used before"
    status = 422


class SourceGone(RequestError):
    """The source of an image cannot be fetched again."""

    type = "source-unavailable"
    title = "The source cannot be fetched"
    status = 502


class Unavailable(RequestError):
    """Disk or database cannot be used; uploads are refused meanwhile."""

    type = "unavailable"
    title = "Not available just now"
    status = 503


class BadSignature(RequestError):
    """A received callback is not signed by a known sender, or it is too old."""

    type = "bad-signature"
    title = "The signature is not valid"
    status = 401


class ImageError(SkulightError):
    """One image has no result. `code` is the contract's error code; the message is a sentence for a shop owner.

    `permanent` decides about retrying: a permanent error is never tried again. `http_status` is the answer's status
    where there was one, `retry_after` the number of seconds the server asked to be left alone for. `answered` tells a
    server that is too slow from one that gives no sign of life.
    """

    code: ClassVar[str] = "internal_error"
    permanent: ClassVar[bool] = True
    sentence: ClassVar[str] = "Something went wrong inside SKUlight; the log has the details."

    def __init__(
        self,
        detail: str | None = None,
        *,
        http_status: int | None = None,
        retry_after: float | None = None,
        permanent: bool | None = None,
        answered: bool = False,
    ) -> None:
        super().__init__(detail or self.sentence)
        self.detail = detail or self.sentence
        self.http_status = http_status
        self.retry_after = retry_after
        self.answered = answered
        self.retryable = not (self.permanent if permanent is None else permanent)


class InvalidURL(ImageError):
    """The entry is not a URL that can be fetched."""

    code = "invalid_url"
    sentence = "This is not a web address that can be fetched; it must start with http:// or https:// and name a host."


class BlockedAddress(ImageError):
    """The address is private or reserved."""

    code = "blocked_address"
    sentence = (
        "This address belongs to a private or reserved network, which this server does not fetch from; "
        "host the image on a public address."
    )


class DNSFailure(ImageError):
    """The host name has no address."""

    code = "dns_failure"
    sentence = "The host name could not be found; check its spelling."


class FetchTimeout(ImageError):
    """The server took too long."""

    code = "timeout"
    permanent = False
    sentence = "The server took too long to send the image; try again later."


class FetchConnectionError(ImageError):
    """The connection failed or broke."""

    code = "connection_error"
    permanent = False
    sentence = "The server could not be reached or closed the connection; check that the address opens in a browser."


class TLSError(ImageError):
    """The certificate or the handshake is wrong."""

    code = "tls_error"
    sentence = "The secure connection failed: the server's certificate is not valid for this address."


class HTTPStatusError(ImageError):
    """The server answered something other than 200."""

    code = "http_error"
    sentence = "The server answered with an error instead of the image."


class TooManyRedirects(ImageError):
    """The address forwards more often than is allowed."""

    code = "too_many_redirects"
    sentence = "The address forwards to other addresses too many times; use the final address of the image."


class TooLarge(ImageError):
    """More bytes than the limit."""

    code = "too_large"
    sentence = "The file is larger than the limit; host a smaller version of the image."


class NotAnImage(ImageError):
    """The bytes are not an image."""

    code = "not_an_image"
    sentence = "The server sent something that is not an image; the address may be a web page or need a login."


class UnsupportedFormat(ImageError):
    """An image, in a format that is not handled."""

    code = "unsupported_format"
    sentence = "Images of this format are not handled; save it as JPEG, PNG or WebP."


class TooManyPixels(ImageError):
    """An image that decodes to more than the limit."""

    code = "too_many_pixels"
    sentence = "The image has more pixels than the limit; host a smaller version of it."


class Truncated(ImageError):
    """The download or the image ends early."""

    code = "truncated"
    permanent = False
    sentence = "The image arrived incomplete; check that it opens in a browser."


class TooSlow(ImageError):
    """Processing the image takes longer than the limit."""

    code = "too_slow"
    sentence = "Compressing this image takes too long; export it again as an ordinary JPEG, PNG or WebP."


class Crashed(ImageError):
    """The image ended its process, twice."""

    code = "crashed"
    sentence = "The file is damaged in a way that stops the program that reads it; export the image again."


class ImageCancelled(ImageError):
    """The request was cancelled before the image was worked."""

    code = "cancelled"
    sentence = "The request was cancelled before this image was worked."


class InternalError(ImageError):
    """A defect of SKUlight; the log has the traceback."""
