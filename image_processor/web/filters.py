"""Sizes, times and addresses as people read them. Pure functions; the templates use them as filters."""

import json
import re
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from markupsafe import Markup, escape


def size(number: int) -> str:
    """Bytes for people, in decimal units with two or three digits: `468 kB`, `1.2 MB`. As `static/dom.js` does."""
    value = float(number)
    for unit in ("B", "kB", "MB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def moment(at: str | datetime | None) -> str:
    """A time for people, in UTC; scripts show it in the visitor's own zone."""
    if at is None:
        return ""
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    return at.strftime("%d %b %Y, %H:%M UTC")


def pretty(content: Any) -> str:
    """JSON with a line for each member, of an object or of its text."""
    try:
        content = json.loads(content) if isinstance(content, str) else content
    except ValueError:
        return str(content)
    return json.dumps(content, indent=2, ensure_ascii=False)


def with_code(text: str) -> Markup:
    """A text whose `code` is between backticks."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def short_address(url: str) -> str:
    """What tells one image address from another at a glance: the host and the last part, at most 70 characters."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url[:70]
    folder, _, name = parts.path.rpartition("/")
    name = name + (f"?{parts.query}" if parts.query else "")
    return f"{parts.netloc}/{'…/' if folder else ''}{name if len(name) <= 40 else name[:24] + '…' + name[-15:]}"[-70:]
