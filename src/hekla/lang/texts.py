"""What the key of a kernel needs of source files, kept beside the code: a warm process reads and splits no source.

An entry `KEY.text` of the cache (llvm/cache.py) is JSON, by the kernel's file, line and name:

    [stamps, texts]
    stamps: [[file, bytes, time of its content in ns, time of its record in ns, number of its record], ...]
    texts:  [[number of a file above, line, name, bytes of byte code, SHA-256 of the source text, [names, ...]], ...]

It is believed as long as every stamp is what the system says of the file now, and no file has been read in this
process with other content. A file is stamped only when its times are `SETTLED_NS` old: one that is written twice
within the grain of the clock would otherwise have one stamp with two contents. An entry is kept once there is code for
the key: names that stood for nothing then, and that byte code does not mention, are left out of it for good.
"""

import hashlib
import json
import linecache
import os
import time
from collections.abc import Iterable
from pathlib import Path

from hekla.lang.front.definition import Definition
from hekla.lang.llvm.cache import CodeCache

KIND = "text"
SETTLED_NS = 2_000_000_000
Stamp = list[str | int]
Text = tuple[str, tuple[str, ...]]  # the SHA-256 of a function's source, the names in it
_Place = tuple[str, int, str, int]


def stamp_of(path: str) -> Stamp | None:
    """Return what the system says of a file, which changes when its content does; None where there is no such file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return _stamp(path, found)


def _stamp(path: str, found: os.stat_result) -> Stamp:
    return [path, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def are_settled(stamps: Iterable[Stamp], now_ns: int) -> bool:
    """True where no file was written so lately that the next write could leave its stamp as it is."""
    return all(max(int(stamp[2]), int(stamp[3])) + SETTLED_NS < now_ns for stamp in stamps)


class Texts:
    """The source texts behind the key of one kernel, from the cache where it knows them."""

    def __init__(self, cache: CodeCache, definition: Definition) -> None:
        self._cache = cache
        code = definition.function.__code__
        name = f"texts\0{code.co_filename}\0{code.co_firstlineno}\0{code.co_qualname}"
        self._name = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
        self.useful: set[str] = set()  # names that were seen to stand for something: whoever looks at them adds them
        self._known: dict[_Place, Text] = self._kept()
        self._is_new = False

    def of(self, definition: Definition) -> Text | None:
        """Return the text of a function and the names that may decide its code, None where no source is kept."""
        place = _place_of(definition)
        known = self._known.get(place)
        if known is None:
            found = definition.text
            if found is None:
                return None
            digest = hashlib.sha256(found[2].encode(errors="surrogatepass")).hexdigest()
            known = self._known[place] = digest, found[3]
            self.useful.update(definition.function.__code__.co_names)
            self._is_new = True
        return known

    def keep(self, now_ns: int | None = None) -> bool:
        """Write what is new to the cache. Only for a kernel whose code is there. now_ns: `time.time_ns`."""
        if not self._is_new:
            return False
        self._is_new = False
        files = sorted({place[0] for place in self._known})
        stamps = [stamp for file in files if (stamp := _stamp_as_read(file)) is not None]
        if len(stamps) < len(files) or not are_settled(stamps, time.time_ns() if now_ns is None else now_ns):
            return False
        number = {file: i for i, file in enumerate(files)}
        texts = [
            [number[file], line, name, size, digest, [word for word in words if word in self.useful]]
            for (file, line, name, size), (digest, words) in self._known.items()
        ]
        return self._cache.put(self._name, json.dumps([stamps, texts], separators=(",", ":")).encode(), KIND)

    def _kept(self) -> dict[_Place, Text]:
        content = self._cache.get(self._name, KIND)
        if content is None:
            return {}
        stamps, texts = json.loads(content)
        if any(_stamp_as_read(stamp[0]) != stamp for stamp in stamps):
            return {}
        known = {}
        for number, line, name, size, digest, words in texts:
            known[stamps[number][0], line, name, size] = digest, tuple(words)
            self.useful.update(words)
        return known


class Folder:
    """A hash of the files of a folder, from the cache where none of them has changed since."""

    def __init__(self, cache: CodeCache, folder: Path, without: frozenset[str]) -> None:
        self._cache, self._folder, self._without = cache, folder, without
        self._name = hashlib.sha256(f"folder\0{folder}\0{sorted(without)}".encode(errors="surrogatepass")).hexdigest()

    def digest(self, now_ns: int | None = None) -> str:
        """Return the hash of all its Python files, less the folders named; now_ns: `time.time_ns`."""
        content = self._cache.get(self._name, KIND)
        if content is not None:
            stamps, digest = json.loads(content)
            if _are_as_they_were(stamps):
                return str(digest)
        paths = sorted(
            path for path in self._folder.rglob("*.py") if path.relative_to(self._folder).parts[0] not in self._without
        )
        # a folder's times change when files come and go; a file's own when it is written
        stamps = [stamp_of(str(path)) for path in (*{path.parent: None for path in paths}, *paths)]
        whole = hashlib.sha256()
        for path in paths:
            data = path.read_bytes()
            whole.update(f"{path.relative_to(self._folder)} {len(data)}\n".encode())
            whole.update(data)
        digest = whole.hexdigest()
        found = [stamp for stamp in stamps if stamp is not None]
        if len(found) == len(stamps) and are_settled(found, time.time_ns() if now_ns is None else now_ns):
            self._cache.put(self._name, json.dumps([found, digest], separators=(",", ":")).encode(), KIND)
        return digest


def _are_as_they_were(stamps: list[tuple[str, int, int, int, int]]) -> bool:
    """Return whether these are the stamps of the files now; as `stamp_of`, faster for many."""
    try:
        for path, size, content_ns, record_ns, number in stamps:
            found = os.stat(path)
            if (found.st_mtime_ns, found.st_ctime_ns) != (content_ns, record_ns):
                return False
            if (found.st_size, found.st_ino) != (size, number):
                return False
    except OSError:
        return False
    return True


def _place_of(definition: Definition) -> _Place:
    code = definition.function.__code__
    return code.co_filename, code.co_firstlineno, code.co_qualname, len(code.co_code)


def _stamp_as_read(file: str) -> Stamp | None:
    """Return the stamp of a file, None where this process has read something else under its name."""
    read = linecache.cache.get(file)
    try:
        found = os.stat(file)
    except OSError:
        return None
    is_other = read is not None and len(read) > 1 and (read[0] != found.st_size or read[1] != found.st_mtime)
    return None if is_other else _stamp(file, found)
