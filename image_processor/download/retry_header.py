"""The `Retry-After` header (RFC 9110, section 10.2.3), read tolerantly."""

import datetime
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime


def retry_after(headers: Mapping[str, str], longest: float) -> float | None:
    """The seconds to wait, given as a number or as a date, 0 … `longest`; None when there is none, or nonsense."""
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,300}(?:\.[0-9]{1,300})?", text):
        return min(float(text), longest)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    seconds = (moment - datetime.datetime.now(datetime.UTC)).total_seconds()
    return min(max(seconds, 0.0), longest)
