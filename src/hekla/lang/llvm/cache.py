"""Object code kept on disk between processes.

One file for each piece of code, named by the SHA-256 of all that decides it: the LLVM text, the target, the flags,
the versions. Two processes may fill the store at once: each writes its own temporary file and renames it.

    offset  size  meaning
    0       8     "HEKLAOBJ"
    8       32    SHA-256 of what follows
    40      -     the object file
"""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"HEKLAOBJ"
HEADER_BYTES = len(MAGIC) + 32


@dataclass(frozen=True, slots=True)
class CodeCache:
    """A folder of object code. A store that cannot be read or written costs time, never an error."""

    folder: Path | None

    @staticmethod
    def standard() -> "CodeCache":
        """Return the user's cache: HEKLA_CACHE, or `hekla/code` in the XDG cache folder; HEKLA_CACHE="" is none."""
        chosen = os.environ.get("HEKLA_CACHE")
        if chosen is not None:
            return CodeCache(Path(chosen) if chosen else None)
        base = os.environ.get("XDG_CACHE_HOME")
        try:
            return CodeCache((Path(base) if base else Path.home() / ".cache") / "hekla" / "code")
        except RuntimeError:  # nobody's home: a container may run under a number without a name
            return CodeCache(None)

    def path(self, key: str) -> Path | None:
        """Return where the code of a key lies."""
        return None if self.folder is None else self.folder / key[:2] / f"{key}.o"

    def get(self, key: str) -> bytes | None:
        """Return the code, or None when it is missing or damaged; a damaged entry is removed."""
        path = self.path(key)
        if path is None:
            return None
        try:
            content = path.read_bytes()
        except OSError:
            return None
        code = content[HEADER_BYTES:]
        if content[: len(MAGIC)] == MAGIC and content[len(MAGIC) : HEADER_BYTES] == hashlib.sha256(code).digest():
            return code
        try:
            path.unlink()
        except OSError:
            return None  # somebody else removed it, or the folder is read-only: it is rebuilt either way
        return None

    def put(self, key: str, code: bytes) -> bool:
        """Keep the code; False where the disk did not take it."""
        path = self.path(key)
        if path is None:
            return False
        temporary = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
            with os.fdopen(descriptor, "wb") as file:
                file.write(MAGIC + hashlib.sha256(code).digest() + code)
            os.replace(temporary, path)
        except OSError:
            if temporary and os.path.exists(temporary):
                os.unlink(temporary)
            return False
        return True
