"""The page of a sharing site -> the URL of the image itself. Pure."""

import base64
import re
from collections.abc import Callable
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

_GITHUB_FILE = re.compile(r"/([^/]+)/([^/]+)/(?:blob|raw)/([^/]+/.+)")
_DRIVE_FILE = re.compile(r"/(?:a/[^/]+/)?file/(?:u/\d+/)?d/([\w-]{10,})(?:/.*)?", re.ASCII)
_DRIVE_ID = re.compile(r"[\w-]{10,}", re.ASCII)
_DROPBOX_FILE = re.compile(r"/(?:s|scl/fi)/[^/]+/.+|/sh/[^/]+/[^/]+/.+")
# `/:i:/…` is a file anyone with the link may see; /:f:/ is a folder.
_SHAREPOINT_FILE = re.compile(r"/:[a-eg-z]:/.+")


def direct_link(url: str) -> str:
    """The URL of the image itself, where `url` is the page a sharing site shows round it; otherwise `url` unchanged.

    Knows GitHub blob and raw pages, Google Drive, Dropbox, OneDrive and SharePoint links. Never raises.
    """
    try:
        link = urlsplit(url.strip())
    except ValueError:
        return url
    if link.scheme not in ("http", "https"):
        return url
    host = link.netloc.lower().removesuffix(":443").removesuffix(":80").removeprefix("www.")
    convert = _sharepoint if host.endswith(".sharepoint.com") else _SHARING_SITES.get(host)
    return (convert and convert(link)) or url


def _parameters(link: SplitResult) -> dict[str, str]:
    return dict(parse_qsl(link.query, keep_blank_values=True))


def _github(link: SplitResult) -> str | None:
    file = _GITHUB_FILE.fullmatch(link.path)
    return file and f"https://raw.githubusercontent.com/{file[1]}/{file[2]}/{file[3]}"


def _google_drive(link: SplitResult) -> str | None:
    parameters = _parameters(link)
    file = _DRIVE_FILE.fullmatch(link.path)
    file_id = file[1] if file else parameters.get("id", "") if link.path in ("/open", "/uc") else ""
    if not _DRIVE_ID.fullmatch(file_id):
        return None
    wanted = {"export": "download", "id": file_id}
    if "resourcekey" in parameters:  # files shared before 2021 are not found without it
        wanted["resourcekey"] = parameters["resourcekey"]
    return "https://drive.google.com/uc?" + urlencode(wanted)


def _dropbox(link: SplitResult) -> str | None:
    """dl=0 is the page, dl=1 the file; the other parameters (`rlkey` of the newer links) are the permission."""
    parameters = _parameters(link)
    if not _DROPBOX_FILE.fullmatch(link.path) or parameters.get("dl") == "1" or parameters.pop("raw", "") == "1":
        return None
    parameters.pop("dl", None)
    return f"https://{link.netloc.lower()}{link.path}?" + urlencode({**parameters, "dl": "1"})


def _onedrive_short(link: SplitResult) -> str | None:
    return None if link.path in ("", "/") or link.path.startswith("/f/") else _onedrive_share(link)


def _onedrive_share(link: SplitResult) -> str:
    """The shares API takes any sharing link, base64url-coded, and redirects to the file without an account."""
    page = link._replace(fragment="").geturl()
    token = base64.urlsafe_b64encode(page.encode("utf-8", "surrogatepass")).decode().rstrip("=")
    return "/".join(("https://api.onedrive.com/v1.0/shares", f"u!{token}", "root", "content"))


def _onedrive_page(link: SplitResult) -> str | None:
    parameters = {name.lower() for name in _parameters(link)}
    if link.path.lower() in ("/embed", "/redir", "/download") and "resid" in parameters:
        return f"https://onedrive.live.com/download?{link.query}"
    return _onedrive_share(link) if parameters & {"resid", "authkey", "redeem"} else None


def _sharepoint(link: SplitResult) -> str | None:
    parameters = _parameters(link)
    if not _SHAREPOINT_FILE.fullmatch(link.path) or "download" in parameters:
        return None
    return f"https://{link.netloc.lower()}{link.path}?" + urlencode({**parameters, "download": "1"})


_SHARING_SITES: dict[str, Callable[[SplitResult], str | None]] = {
    "github.com": _github,
    "drive.google.com": _google_drive,
    "docs.google.com": _google_drive,
    "dropbox.com": _dropbox,
    "m.dropbox.com": _dropbox,
    "1drv.ms": _onedrive_short,
    "onedrive.live.com": _onedrive_page,
}
