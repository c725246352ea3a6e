"""Every error that SKUlight raises on purpose.

SkulightError
├── ConfigError                 a setting is invalid; the server does not start
├── StoreUnavailable            the disk or the database cannot be used at the moment; processing pauses
├── UploadGone                  the stored upload of a job no longer exists
├── RequestError                an HTTP request is refused (the response is a problem+json document)
│   ├── InvalidCSV              the catalogue has errors; carries all of them
│   │   └── UploadTooLarge      the catalogue has more bytes, rows or URLs than the limit
│   ├── MissingFile             the upload contains no file
│   ├── InvalidOption           an option of an upload, or a parameter of a query, is invalid
│   ├── InvalidWebhookURL       the webhook URL cannot be used
│   ├── UnsupportedMediaType    the body is neither a form with a file nor CSV
│   ├── UntrustedHost           the Host header names another server
│   ├── Unauthorized            the API key is missing or wrong
│   ├── TooManyRequests         the client is over its rate limit
│   ├── CrossSite               the request was sent by a page of another site
│   ├── NotFound                no such job, file or delivery
│   ├── NotReady                the result does not exist yet
│   ├── Conflict                the state of the job does not allow the action
│   ├── IdempotencyMisuse       the Idempotency-Key was used for another upload
│   ├── SourceGone              the original of an image cannot be downloaded again
│   ├── Unavailable             the disk or the database cannot be used; uploads are refused meanwhile
│   └── BadSignature            a received webhook is too old, or not signed by a known sender
└── ImageError                  an image has no result
    ├── InvalidURL              the entry is not a URL that can be downloaded
    ├── BlockedAddress          the address is private or reserved
    ├── DNSFailure              the host name has no address
    ├── FetchTimeout            the server took too long
    ├── FetchConnectionError    the connection failed or broke
    ├── TLSError                the certificate or the handshake is invalid
    ├── HTTPStatusError         the status of the response is not 200
    ├── TooManyRedirects        more redirects than the limit
    ├── TooLarge                more bytes than the limit
    ├── NotAnImage              the bytes are not an image
    ├── UnsupportedFormat       an image in a format that is not supported
    ├── TooManyPixels           more pixels than the limit, or more memory than an image may use
    ├── Truncated               the download or the image ends early
    ├── TooSlow                 compressing the image takes longer than the limit
    ├── Crashed                 the process that read the image died, twice
    ├── FileLost                the compressed file was removed from its folder, several times
    ├── ImageCancelled          the job was cancelled before the image was processed
    └── InternalError           a defect of SKUlight; the log has the traceback
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self


def shorten(text: str, length: int = 100) -> str:
    """The text, at most `length` characters of it; a longer one ends in an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"


def listed(names: Iterable[str]) -> str:
    """Names for a sentence, in quotation marks: the first 30, without empty ones, and the number of the others."""
    quoted = [f"“{shorten(name, 60)}”" for name in names if name]
    more = f" and {len(quoted) - 30:,} more" if len(quoted) > 30 else ""
    return ", ".join(quoted[:30]) + more


class SkulightError(Exception):
    """The root of the tree. The message of every error is a sentence for people."""


class ConfigError(SkulightError):
    """The message names the variable and the values that are valid."""


class StoreUnavailable(SkulightError):
    """Nothing is wrong with the job itself: it resumes when the disk and the database can be used again."""


class UploadGone(SkulightError):
    """The job cannot be processed."""


class RequestError(SkulightError):
    """An HTTP request is refused. `type` is the last part of the problem's URI, `title` its short name.

    `retry_after` is in seconds; `extra` holds further members of the problem document (RFC 9457, section 3.2).
    """

    type: ClassVar[str] = "bad-request"
    title: ClassVar[str] = "The request is not valid"
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
    name of the column (None when it concerns no column), `value` the text of the cell, cut to 200 characters.
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
        """One problem that concerns the file as a whole."""
        return cls(detail, [CSVProblem(line, None, column, shorten(value, 200), code, detail, hint)])


class UploadTooLarge(InvalidCSV):
    type = "too-large"
    title = "The upload is too large"
    status = 413


class MissingFile(RequestError):
    type = "missing-file"
    title = "No file was sent"


class InvalidOption(RequestError):
    type = "invalid-option"
    title = "An option is not valid"


class InvalidWebhookURL(RequestError):
    type = "invalid-webhook-url"
    title = "The webhook URL is not valid"


class UnsupportedMediaType(RequestError):
    type = "unsupported-media-type"
    title = "The body is not a CSV upload"
    status = 415


class UntrustedHost(RequestError):
    type = "untrusted-host"
    title = "This host name is not served here"


class Unauthorized(RequestError):
    type = "unauthorized"
    title = "The API key is needed"
    status = 401


class TooManyRequests(RequestError):
    type = "too-many-requests"
    title = "Too many requests"
    status = 429


class CrossSite(RequestError):
    type = "cross-site"
    title = "The request came from another site"
    status = 403


class NotFound(RequestError):
    type = "not-found"
    title = "Not found"
    status = 404


class NotReady(RequestError):
    type = "not-ready"
    title = "Not ready yet"
    status = 409


class Conflict(RequestError):
    type = "conflict"
    title = "Not in this state"
    status = 409


class IdempotencyMisuse(RequestError):
    type = "idempotency-key-misuse"
    title = "The Idempotency-Key was used before"
    status = 422


class SourceGone(RequestError):
    type = "source-unavailable"
    title = "The source cannot be fetched"
    status = 502


class Unavailable(RequestError):
    type = "unavailable"
    title = "Not available at the moment"
    status = 503


class BadSignature(RequestError):
    type = "bad-signature"
    title = "The signature is not valid"
    status = 401


class ImageError(SkulightError):
    """An image has no result. `code` is the error code of the API; the message is a sentence for a shop owner.

    A permanent error is never retried. `http_status` is the status of the response, if there was one; `retry_after`
    the seconds that the server asked to wait. `responded`: the server sent something before the time was up.
    """

    code: ClassVar[str] = "internal_error"
    permanent: ClassVar[bool] = True
    sentence: ClassVar[str] = "An internal error occurred in SKUlight; the log has the details."

    def __init__(
        self,
        detail: str | None = None,
        *,
        http_status: int | None = None,
        retry_after: float | None = None,
        permanent: bool | None = None,
        responded: bool = False,
    ) -> None:
        super().__init__(detail or self.sentence)
        self.detail = detail or self.sentence
        self.http_status = http_status
        self.retry_after = retry_after
        self.responded = responded
        self.retryable = not (self.permanent if permanent is None else permanent)


class InvalidURL(ImageError):
    code = "invalid_url"
    sentence = "This is not a URL that can be downloaded; it must start with http:// or https:// and name a host."


class BlockedAddress(ImageError):
    code = "blocked_address"
    sentence = (
        "This address belongs to a private or reserved network, from which this server does not download; "
        "host the image on a public address."
    )


class DNSFailure(ImageError):
    code = "dns_failure"
    sentence = "The host name could not be found; check its spelling."


class FetchTimeout(ImageError):
    code = "timeout"
    permanent = False
    sentence = "The server took too long to send the image; try again later."


class FetchConnectionError(ImageError):
    code = "connection_error"
    permanent = False
    sentence = "The server could not be reached or closed the connection; check that the URL opens in a browser."


class TLSError(ImageError):
    code = "tls_error"
    sentence = "The secure connection failed: the server's certificate is not valid for this host."


class HTTPStatusError(ImageError):
    code = "http_error"
    sentence = "The server responded with an error instead of the image."


class TooManyRedirects(ImageError):
    code = "too_many_redirects"
    sentence = "The URL redirects too many times; use the final URL of the image."


class TooLarge(ImageError):
    code = "too_large"
    sentence = "The file is larger than the limit; host a smaller version of the image."


class NotAnImage(ImageError):
    code = "not_an_image"
    sentence = "The server sent something that is not an image; the URL may be that of a web page or need a login."


class UnsupportedFormat(ImageError):
    code = "unsupported_format"
    sentence = "Images of this format are not supported; save it as JPEG, PNG or WebP."


class TooManyPixels(ImageError):
    code = "too_many_pixels"
    sentence = "The image has more pixels than the limit; host a smaller version of it."


class Truncated(ImageError):
    code = "truncated"
    permanent = False
    sentence = "The image arrived incomplete; check that it opens in a browser."


class TooSlow(ImageError):
    code = "too_slow"
    sentence = "Compressing this image takes too long; export it again as an ordinary JPEG, PNG or WebP."


class Crashed(ImageError):
    code = "crashed"
    sentence = "The file is damaged in a way that crashes the image decoder; export the image again."


class FileLost(ImageError):
    code = "file_lost"
    sentence = (
        "The compressed file was removed from its folder several times; find out what removes files there, then retry."
    )


class ImageCancelled(ImageError):
    code = "cancelled"
    sentence = "The job was cancelled before this image was processed."


class InternalError(ImageError):
    """A defect of SKUlight; the log has the traceback."""
