"""Exports of platforms as templates: each can be rendered with its old and with new image URLs.

The header is the platform's own, the products are ours. In a template `⟦…⟧` encloses what is replaced by a new URL. So
the expected result does not come from the code under test: it is the same template, rendered with other URLs.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

# What is replaced; and (BigCommerce) a URL that stays where it is, while the new one is written into an empty `⟦⟧`.
_REPLACED = re.compile("⟦([^⟧]*)⟧")
_KEPT = re.compile("⟨([^⟩]*)⟩")
_FETCHED = re.compile("⟦([^⟧]+)⟧|⟨([^⟩]+)⟩")
_IN_BRACKETS = re.compile(r"[^()]*(?:\([^()]*\)[^()]*)*\((https?://[^()]+)\)")

Row = Mapping[str, str] | Sequence[str]


@dataclass(frozen=True)
class PlatformFile:
    """An export, and what is to be found in it.

    `images`, `name` and `id` are headers. `base` completes its paths; when `asks`, an upload has to give it as
    `image_base_url`. `rows` are the expected (serial number, product name), where these are not obvious.
    """

    key: str
    profile: str
    template: str
    images: tuple[str, ...]
    name: str | None = None
    id: str | None = None
    base: str | None = None
    asks: bool = False
    header_line: int = 1
    rows: tuple[tuple[str, str], ...] = ()
    encoding: str = "utf-8"

    @property
    def data(self) -> bytes:
        """The file as it is uploaded."""
        return _KEPT.sub(r"\1", _REPLACED.sub(r"\1", self.template)).encode(self.encoding)

    @property
    def urls(self) -> list[str]:
        """What is to be fetched, in order."""
        return [self._url(one or other) for one, other in _FETCHED.findall(self.template)]

    def with_urls(self, new: Sequence[str | None]) -> bytes:
        """The file as it comes back with these URLs; where one is None, the old one stays."""
        marks = list(zip(_REPLACED.finditer(self.template), new, self.urls, strict=True))
        line_of = {mark.start(): self.template.count("\n", 0, mark.start()) for mark, _, _ in marks}
        changed = {line_of[mark.start()] for mark, url, _ in marks if url is not None}
        waiting = iter(marks)

        def render(mark: "re.Match[str]") -> str:
            _, url, old = next(waiting)
            if url is not None:
                return url
            # Importers take the URLs alone, not `name (URL)`; a column that is only for new ones must not stay empty.
            alone = line_of[mark.start()] in changed and _IN_BRACKETS.fullmatch(mark[1])
            return old if alone or not mark[1] else mark[1]

        return _KEPT.sub(r"\1", _REPLACED.sub(render, self.template)).encode(self.encoding)

    def _url(self, written: str) -> str:
        if named := _IN_BRACKETS.fullmatch(written):
            return named[1]
        written = written.replace("\\/", "/")
        if written.startswith("//"):
            return "https:" + written
        if self.base and "://" not in written:
            return self.base.rstrip("/") + "/" + written.lstrip("/")
        return written


def export(
    header: str, *rows: Row, sep: str = ",", eol: str = "\n", quoted: str = "needed", above: str = "", end: bool = True
) -> str:
    """The template of a table. The names in `header` are separated by `;`; a row may be a mapping by these names.

    `quoted`: `needed`; `blanks` – as PHP writes, also where there is a blank; `all`.
    """
    names = columns(header)
    table = [names]
    for row in rows:
        assert not isinstance(row, Mapping) or set(row) <= set(names), set(row) - set(names)
        table.append([row.get(name, "") for name in names] if isinstance(row, Mapping) else list(row))
    quote = _quote(sep, quoted)
    return above + eol.join(sep.join(map(quote, cells)) for cells in table) + eol * end


def columns(header: str) -> list[str]:
    """The names in a header."""
    return [name.strip() for name in header.split(";")]


def numbered(form: str, last: int) -> str:
    """Some columns that differ by their number: `IMAGE#` gives IMAGE1;IMAGE2;…"""
    return ";".join(form.replace("#", str(number)) for number in range(1, last + 1))


def image(*urls: str, by: str = ", ") -> str:
    """A cell of images."""
    return by.join(f"⟦{url}⟧" for url in urls)


def _quote(sep: str, quoted: str) -> Callable[[str], str]:
    special = {sep, '"', "\r", "\n", *(" \t" if quoted == "blanks" else "")}

    def quote(cell: str) -> str:
        needed = quoted == "all" or not special.isdisjoint(cell)
        return '"' + cell.replace('"', '""') + '"' if needed else cell

    return quote
