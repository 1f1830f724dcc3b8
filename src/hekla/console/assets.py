"""The console's files, as a server hands them out."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

_TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_PAGE = "index.html"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file and its media type."""

    content_type: str
    body: bytes


def assets() -> Mapping[str, Asset]:
    """Return the files by URL path; `/` is the page. Reads them from the package."""
    found: dict[str, Asset] = {}
    for file in files("hekla.console").joinpath("static").iterdir():
        suffix = f".{file.name.rpartition('.')[2]}"
        if suffix in _TYPES:
            found[f"/console/{file.name}"] = Asset(_TYPES[suffix], file.read_bytes())
    return {"/": found[f"/console/{_PAGE}"]} | found


def page() -> bytes:
    """Return the page."""
    return assets()["/"].body
