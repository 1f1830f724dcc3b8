"""Object code kept on disk between processes.

Each piece of code has up to two files, named by the SHA-256 of all that decides it. `KEY.image` (llvm/built.py) is the
linked code, by the kernel's source and whatever that refers to (keys.py): a warm process needs no more. `KEY.o` is the
object file, by the LLVM text, the target, the flags and the versions: an edit that changes no code still finds it.
Beside them lies `KEY.text` (texts.py), what the keys of a kernel need of its source files, by the place it stands at.
Two processes may fill the store at once: each writes its own temporary file and renames it.

    offset  size  meaning
    0       8     "HEKLAOBJ"
    8       32    SHA-256 of what follows
    40      -     the object file, the image, or the texts
"""

import contextlib
import hashlib
import os
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

    def path(self, key: str, kind: str = "o") -> Path | None:
        """Return where the code of a key lies; the kind is the file's ending."""
        return None if self.folder is None else self.folder / key[:2] / f"{key}.{kind}"

    def get(self, key: str, kind: str = "o") -> bytes | None:
        """Return the code, or None when it is missing or damaged; a damaged entry is removed."""
        path = self.path(key, kind)
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

    def put(self, key: str, code: bytes, kind: str = "o") -> bool:
        """Keep the code; False where the disk did not take it."""
        path = self.path(key, kind)
        if path is None:
            return False
        temporary = path.parent / f"{os.urandom(8).hex()}.tmp"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as file:
                file.write(MAGIC + hashlib.sha256(code).digest() + code)
            temporary.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            return False
        return True
