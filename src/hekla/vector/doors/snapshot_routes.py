"""Snapshots of a collection: one tar file each, made, listed, fetched, removed, and put in a collection's place."""

import hashlib
import io
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from hekla.base.errors import InputError, NotFoundError, UnsupportedError, nearest_name, quoted
from hekla.protocols.api import ApiRequest, ApiResponse, Caller, Route
from hekla.vector.disk import telling_of
from hekla.vector.doors.desk import Desk
from hekla.vector.doors.envelope import answering
from hekla.vector.doors.json_fields import Fields, Json, read_json
from hekla.vector.doors.multipart import read_part
from hekla.vector.doors.scope import refuse_tenant

_ALL = "/collections/{name}/snapshots"
_PIECE_BYTES = 1 << 20


class SnapshotRoutes:
    """Copies of collections. Not for tenants: a copy holds everybody's points."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @property
    def routes(self) -> Sequence[Route]:
        """Every route."""
        return [
            Route("GET", _ALL, answering(self._list), False, 0),
            Route("POST", _ALL, answering(self._create), True, 0),
            Route("PUT", f"{_ALL}/recover", answering(self._recover), True, 0),
            Route("POST", f"{_ALL}/upload", answering(self._upload), True, 0),
            Route("GET", f"{_ALL}/{{snapshot}}", self._download, False, 0),
            Route("DELETE", f"{_ALL}/{{snapshot}}", answering(self._delete), True, 0),
        ]

    def _folder(self, name: str, caller: Caller) -> Path:
        refuse_tenant(caller)
        real = self._desk.catalogue.real_name(name, caller)
        return self._desk.catalogue.folder / "snapshots" / real

    def _list(self, request: ApiRequest) -> Json:
        folder = self._folder(request.parameters[0], request.caller)
        return [_described(path) for path in sorted(folder.glob("*.snapshot"))]

    def _create(self, request: ApiRequest) -> Json:
        folder = self._folder(request.parameters[0], request.caller)
        collection = self._desk.catalogue.get(request.parameters[0], request.caller)
        stamp = datetime.now(UTC).strftime("%Y-%m-%d-%H-%M-%S-%f")
        with telling_of(folder):
            folder.mkdir(parents=True, exist_ok=True)
            copy, beside = folder / f".{stamp}.copy", folder / f".{stamp}.part"
            path = folder / f"{folder.name}-{stamp}.snapshot"
            try:
                collection.snapshot(copy)
                with tarfile.open(beside, "w") as tar:
                    for file in sorted(copy.iterdir()):
                        tar.add(file, file.name)
                beside.with_name(f".{stamp}.sum").write_text(_checksum(beside))
                beside.with_name(f".{stamp}.sum").rename(_sum_path(path))
                beside.rename(path)
            finally:
                shutil.rmtree(copy, ignore_errors=True)
                beside.unlink(missing_ok=True)
        return _described(path)

    def _path(self, request: ApiRequest) -> Path:
        folder = self._folder(request.parameters[0], request.caller)
        names = [path.name for path in folder.glob("*.snapshot")]
        name = request.parameters[1]
        if name not in names:
            raise NotFoundError(f"Not found: Snapshot {quoted(name)} not found", cure=nearest_name(name, names))
        return folder / name

    def _download(self, request: ApiRequest) -> ApiResponse:
        path = self._path(request)
        headers = (("content-disposition", f'attachment; filename="{path.name}"'),)
        return ApiResponse(b"", 200, "application/octet-stream", headers, _FilePieces(path))

    def _delete(self, request: ApiRequest) -> Json:
        path = self._path(request)
        with telling_of(path):
            path.unlink()
            _sum_path(path).unlink(missing_ok=True)
        return True

    def _recover(self, request: ApiRequest) -> Json:
        refuse_tenant(request.caller)
        fields = Fields(read_json(request.body))
        location = urlsplit(fields.need_text("location"))
        checksum = fields.text("checksum")
        fields.ignore("priority")
        fields.refuse("api_key")
        fields.end()
        if location.scheme not in ("", "file"):
            cure = "upload it, or copy it where `recover_from` of [apis.vector] allows"
            raise UnsupportedError(
                "the server fetches nothing from elsewhere", where=fields.place("location"), cure=cure
            )
        path = self._snapshot_at(unquote(location.path), request.caller, fields.place("location"))
        if checksum is not None and checksum != _checksum(path):
            raise InputError("the checksum is another", where=fields.place("checksum"))
        with path.open("rb") as file:
            self._put(request, file)
        return True

    def _upload(self, request: ApiRequest) -> Json:
        refuse_tenant(request.caller)
        snapshot = read_part(request.body, request.media_type, "snapshot")
        checksum = request.query.get("checksum")
        if checksum is not None and checksum != hashlib.sha256(snapshot).hexdigest():
            raise InputError("the checksum is another", where="checksum")
        self._put(request, io.BytesIO(snapshot))
        return True

    def _put(self, request: ApiRequest, snapshot: BinaryIO) -> None:
        self._desk.catalogue.replace(request.parameters[0], lambda folder: _unpack(snapshot, folder), request.caller)

    def _snapshot_at(self, location: str, caller: Caller, where: str) -> Path:
        """Return a snapshot's file: those in the server's own folder, of collections the key reaches; for a key that
        reaches all, those in folders that the operator allows."""
        root = (self._desk.catalogue.folder / "snapshots").resolve()
        path = (root / location).resolve()
        if caller.collections is None and any(path.is_relative_to(each) for each in self._desk.options.recover_from):
            if path.is_file():
                return path
            raise NotFoundError(f"no file {quoted(location)}", where=where)
        if not path.is_relative_to(root) or path.suffix != ".snapshot" or not path.is_file():
            raise NotFoundError(f"no snapshot at {quoted(location)}", where=where, cure="GET .../snapshots lists them")
        if not caller.reaches(path.parent.name):
            raise NotFoundError(f"no snapshot at {quoted(location)}", where=where)
        return path


class _FilePieces(Sequence[bytes]):
    """A file's bytes in pieces, read when asked for."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")  # stays whole though its name be removed
        self._size = path.stat().st_size

    def __len__(self) -> int:
        return (self._size + _PIECE_BYTES - 1) // _PIECE_BYTES

    def __getitem__(self, at: "int | slice") -> "bytes":  # type: ignore[override]  # pieces one at a time only
        assert isinstance(at, int)
        self._file.seek(at * _PIECE_BYTES)
        return self._file.read(_PIECE_BYTES)

    def __iter__(self) -> Iterator[bytes]:
        return (self[at] for at in range(len(self)))


def _described(path: Path) -> Json:
    stat = path.stat()
    made = datetime.fromtimestamp(stat.st_mtime, UTC).replace(tzinfo=None, microsecond=0)
    checksum = _sum_path(path).read_text() if _sum_path(path).exists() else None
    return {"name": path.name, "creation_time": made.isoformat(), "size": stat.st_size, "checksum": checksum}


def _sum_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.checksum")


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpack(snapshot: BinaryIO, folder: Path) -> None:
    with telling_of(folder):
        try:
            with tarfile.open(fileobj=snapshot, mode="r:") as tar:
                for member in tar:
                    if not member.isfile() or "/" in member.name or member.name.startswith("."):
                        raise InputError(f"holds {quoted(member.name)}, which is no collection's", where="snapshot")
                    tar.extract(member, folder, filter="data")
                snapshot.seek(tar.offset)
                if snapshot.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):  # where the file ends as it should
                    raise InputError("is cut off", where="snapshot")
        except tarfile.TarError as error:
            raise InputError(f"is no snapshot: {error}", where="snapshot") from error
