"""The collections of a server, by name, and their aliases.

<folder>/lock                        one process at a time
<folder>/aliases.json                {"alias": "collection"}
<folder>/collections/<name>/         one collection
<folder>/snapshots/<name>/*.snapshot one tar file each
"""

import contextlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import orjson

from hekla.base.errors import (
    ConflictError,
    HeklaError,
    InputError,
    NotFoundError,
    UnavailableError,
    nearest_name,
    quoted,
)
from hekla.protocols.api import Caller
from hekla.vector.collection import Collection
from hekla.vector.disk import Disk, telling_of
from hekla.vector.errors import DamagedError, DiskError
from hekla.vector.opening import FolderLock
from hekla.vector.schema import CollectionSchema

_NAME = re.compile(r"[^/\\\x00-\x1f<>:\"|?*.][^/\\\x00-\x1f<>:\"|?*]{0,254}")


class Catalogue:
    """Every collection in a folder, open. Any thread; what names are there changes under one lock."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        """Open a folder, made if it is not there. Errors: LockedError if another process has it; DiskError."""
        self.folder, self._disk = folder, disk or Disk()
        self._changing = threading.RLock()
        self._lock: FolderLock | None = None
        try:
            self._disk.make_folder(folder / "collections")
            self._lock = FolderLock(folder)
        except DiskError:
            if not (folder / "collections").is_dir() or os.access(folder, os.W_OK):
                raise
            # A folder nobody may write to is served for reading.
        if self._lock is not None:
            self._finish()
        self._open: dict[str, Collection] = {}
        self.broken: dict[str, str] = {}  # collections that cannot be opened, and why
        self._writing: dict[str, threading.Lock] = {}
        for path in sorted((folder / "collections").iterdir()):
            if path.is_dir() and not path.name.startswith("."):
                self._open_one(path)
        self._aliases: dict[str, str] = {}
        if self._aliases_path.exists():
            self._aliases = orjson.loads(self._aliases_path.read_bytes())

    @property
    def _aliases_path(self) -> Path:
        return self.folder / "aliases.json"

    @property
    def is_read_only(self) -> bool:
        """True if the folder cannot be written to."""
        return self._lock is None

    def _open_one(self, path: Path) -> None:
        try:
            self._open[path.name] = Collection.open(path, is_read_only=self.is_read_only, disk=self._disk)
        except (DamagedError, NotFoundError) as error:
            self.broken[path.name] = str(error)

    # ---- asking

    def names(self, caller: Caller) -> list[str]:
        """Return the names of the collections a caller reaches."""
        return sorted(name for name in {**self._open, **self.broken} if caller.reaches(name))

    def has(self, name: str, caller: Caller) -> bool:
        """Return whether there is such a collection, or alias, for this caller."""
        real = self._aliases.get(name, name)
        return (real in self._open or real in self.broken) and caller.reaches(real)

    def real_name(self, name: str, caller: Caller) -> str:
        """Return the name of the collection behind a name or alias. Errors: as `get`."""
        real = self._aliases.get(name, name)
        if real not in self._open or not caller.reaches(real):
            # What a key does not reach is not there: to say more would tell that it is.
            if real in self.broken and caller.reaches(real):
                raise UnavailableError(f"collection {quoted(name)} is damaged: {self.broken[real]}")
            cure = nearest_name(name, self.names(caller)) if len(self._open) < 1000 else ""
            raise NotFoundError(f"Not found: Collection `{name[:100]}` doesn't exist!", cure=cure)
        return real

    def get(self, name: str, caller: Caller) -> Collection:
        """Return a collection by name or alias. The one way to any: keys are held to their collections here.

        Errors: NotFoundError; UnavailableError for one that could not be opened.
        """
        return self._open[self.real_name(name, caller)]

    def items(self) -> list[tuple[str, Collection]]:
        """Return every open collection with its name."""
        return sorted(self._open.items())

    def writing(self, name: str) -> threading.Lock:
        """Return the lock that checks which must hold while a collection is written take."""
        return self._writing.setdefault(name, threading.Lock())

    # ---- changing

    def create(self, name: str, schema: CollectionSchema, caller: Caller) -> None:
        """Make a collection. Errors: InputError for a name; ConflictError; DiskError; ConfigError."""
        _check_name(name)
        with self._changing:
            if name in self._open or name in self.broken or name in self._aliases:
                raise ConflictError(f"Wrong input: Collection `{name}` already exists!")
            if not caller.reaches(name):
                raise NotFoundError(f"the key does not reach collections named {quoted(name)}")
            self._writable()
            path = self.folder / "collections" / name
            if path.exists():
                shutil.rmtree(path)  # half-made, by a process that died
            self._open[name] = Collection.create(path, schema, disk=self._disk)

    def delete(self, name: str, caller: Caller) -> bool:
        """Remove a collection, its aliases too; False if there was none. Errors: DiskError."""
        with self._changing:
            if name not in {**self._open, **self.broken} or not caller.reaches(name):
                return False
            self._writable()
            self._close_one(name)
            self._remove(self.folder / "collections" / name)
            self._set_aliases({alias: real for alias, real in self._aliases.items() if real != name})
            return True

    def replace(self, name: str, make: Callable[[Path], None], caller: Caller) -> None:
        """Put another collection in the place of one, or of none; `make` fills an empty folder with it.

        Errors: those of `make` and of opening what it made; InputError if it is damaged. Then everything is as before.
        """
        _check_name(name)
        if not caller.reaches(name):
            raise NotFoundError(f"the key does not reach collections named {quoted(name)}")
        beside = self.folder / "collections" / f".{name}.new"
        with self._changing:
            self._writable()
            shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir()
            try:
                make(beside)
                with Collection.open(beside, has_upkeep=False) as opened:
                    damaged = opened.status().damaged
                if damaged:
                    raise InputError(f"is damaged: {damaged[0]}", where="snapshot", cure="take another snapshot")
            except BaseException:
                shutil.rmtree(beside, ignore_errors=True)
                raise
            path = self.folder / "collections" / name
            self._close_one(name)
            old = path.with_name(f".{name}.old")
            with telling_of(path):
                if path.exists():
                    self._disk.rename(path, old)
                self._disk.rename(beside, path)
                self._disk.sync_folder(path.parent)
            self._discard(old)
            self._open_one(path)

    def _close_one(self, name: str) -> None:
        self.broken.pop(name, None)
        collection = self._open.pop(name, None)
        if collection is not None:
            collection.close()

    def _remove(self, path: Path) -> None:
        """Remove a folder: first its name, so that half of it is never found."""
        gone = path.with_name(f".{path.name}.gone")
        self._discard(gone)
        with telling_of(path):
            self._disk.rename(path, gone)
            self._disk.sync_folder(path.parent)
        self._discard(gone)

    def _discard(self, hidden: Path) -> None:
        """Remove a folder that means nothing, if it is there. What cannot be removed now is at the next start."""
        if hidden.exists():
            with contextlib.suppress(DiskError):
                self._disk.remove_folder(hidden)

    def _finish(self) -> None:
        """Do to its end, or undo, what a killed process left half-done."""
        collections = self.folder / "collections"
        for old in collections.glob(".*.old"):
            path = collections / old.name[1 : -len(".old")]
            if not path.exists():  # killed between taking one away and putting another there
                with telling_of(path):
                    self._disk.rename(old, path)
        for hidden in [*collections.glob(".*.old"), *collections.glob(".*.new"), *collections.glob(".*.gone")]:
            self._discard(hidden)

    def _writable(self) -> None:
        if self.is_read_only:
            raise UnavailableError("the server's folder is read-only", cure="give the server the right to write there")

    # ---- aliases

    def aliases(self, caller: Caller) -> list[tuple[str, str]]:
        """Return (alias, collection) of the collections a caller reaches."""
        return sorted((alias, real) for alias, real in self._aliases.items() if caller.reaches(real))

    def change_aliases(self, actions: Sequence[tuple[str, str, str]], caller: Caller) -> None:
        """Do ("create", alias, collection), ("rename", old, new), ("delete", alias, ""), all of them or none.

        Errors: NotFoundError, ConflictError, InputError.
        """
        with self._changing:
            self._writable()
            changed = dict(self._aliases)
            for kind, alias, other in actions:
                if kind == "create":
                    _check_name(alias)
                    self.real_name(other, caller)
                    if alias in self._open:
                        raise ConflictError(f"{quoted(alias)} is a collection")
                    changed[alias] = self.real_name(other, caller)
                    continue
                if alias not in changed or not caller.reaches(changed[alias]):
                    raise NotFoundError(f"no alias {quoted(alias)}")
                real = changed.pop(alias)
                if kind == "rename":
                    _check_name(other)
                    if other in self._open:
                        raise ConflictError(f"{quoted(other)} is a collection")
                    changed[other] = real
            self._set_aliases(changed)

    def _set_aliases(self, aliases: Mapping[str, str]) -> None:
        if aliases != self._aliases:
            self._disk.write_new(self._aliases_path, [orjson.dumps(aliases)])
            self._aliases = dict(aliases)

    def close(self) -> None:
        """Close every collection. A second call does nothing. Errors: the first collection's that cannot be closed."""
        with self._changing:
            failed: list[HeklaError] = []
            for name in list(self._open):
                try:
                    self._close_one(name)
                except HeklaError as error:
                    failed.append(error)
            if self._lock is not None:
                self._lock.release()
            if failed:
                raise failed[0]


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or len(name.encode()) > 255:
        cure = '1 to 255 bytes, without a dot in front and without / \\ : * ? " < > |'
        raise InputError(f"{quoted(name)} cannot name a collection", where="$.collection_name", cure=cure)
