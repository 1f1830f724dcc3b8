"""The file of an upload: bodies of `multipart/form-data` (RFC 7578)."""

import re
from email.message import Message

from hekla.base.errors import InputError, UnsupportedError, quoted

_END_OF_HEAD = b"\r\n\r\n"
_NAME = re.compile(rb'\bname="?([^";\r\n]*)"?')


def read_part(body: bytes, media_type: str, name: str) -> memoryview:
    """Return the content of the part of that name, nothing copied. Errors: InputError; UnsupportedError."""
    header = Message()
    header["content-type"] = media_type
    boundary = header.get_boundary()
    if header.get_content_type() != "multipart/form-data" or not boundary:
        problem = f"expected multipart/form-data with a boundary, got {quoted(media_type)}"
        raise UnsupportedError(problem, where="content-type")
    mark = b"--" + boundary.encode("latin-1", "replace")
    at = 0 if body.startswith(mark) else body.find(b"\r\n" + mark) + 2
    if not body.startswith(mark, at):
        raise InputError("holds no part of the upload", where="request body")
    while not body.startswith(b"--", at + len(mark)):
        first = body.find(_END_OF_HEAD, at)
        last = body.find(b"\r\n" + mark, first + len(_END_OF_HEAD) - 2) if first >= 0 else -1
        if last < 0:
            raise InputError("ends within a part of the upload", where="request body")
        found = _disposition(body[at + len(mark) : first])
        if found == name.encode():
            return memoryview(body)[first + len(_END_OF_HEAD) : last]
        at = last + 2
    raise InputError(f"has no part named {quoted(name)}", where="request body", cure=f"-F {name}=@FILE, with curl")


def _disposition(head: bytes) -> bytes | None:
    """Return the name a part's head gives it."""
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-disposition:"):
            name = _NAME.search(line.replace(b"filename=", b"file="))
            return name[1] if name else None
    return None
