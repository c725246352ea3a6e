"""Sizes, times and URLs for people. Pure functions; the templates use them as filters."""

import json
import re
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from markupsafe import Markup, escape


def size(number: int) -> str:
    """Bytes in decimal units with two or three digits: `468 kB`, `1.2 MB`. As in `static/dom.js`."""
    value = float(number)
    for unit in ("B", "kB", "MB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def moment(at: str | datetime | None) -> str:
    """A time in UTC; scripts show it in the local time zone."""
    if at is None:
        return ""
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    return at.strftime("%d %b %Y, %H:%M UTC")


def pretty(content: Any) -> str:
    """An object, or JSON text, as indented JSON; other text as it is."""
    try:
        content = json.loads(content) if isinstance(content, str) else content
    except ValueError:
        return str(content)
    return json.dumps(content, indent=2, ensure_ascii=False)


def with_code(text: str) -> Markup:
    """A text whose `code` is between backticks."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def short_address(url: str) -> str:
    """An image URL, shortened to host and file name: at most 70 characters."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url[:70]
    folder, _, name = parts.path.rpartition("/")
    name = name + (f"?{parts.query}" if parts.query else "")
    return f"{parts.netloc}/{'…/' if folder else ''}{name if len(name) <= 40 else name[:24] + '…' + name[-15:]}"[-70:]
