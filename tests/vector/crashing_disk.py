"""Disks that die: at their n-th call the process is killed, as by the system, or as by a power cut."""

import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hekla.vector.disk import Disk


class KilledAt(Disk):
    """Kills this process when the n-th call is about to begin. A power cut also takes what was not synced."""

    def __init__(self, fatal_call: int, *, cuts_power: bool = False) -> None:
        self._left = fatal_call
        self._cuts_power = cuts_power
        self._random = random.Random(fatal_call)
        self._synced_bytes: dict[Path, int] = {}
        self._unsynced_writes: list[tuple[Path, int, bytes]] = []  # what stood there before, in files' synced bytes
        self._noting = threading.Lock()  # one thread may write while another syncs
        self._unsynced_names: list[tuple[Path, Path | None]] = []

    def _call(self) -> None:
        if self._left == 0:
            with self._noting:  # the light goes out for all threads at once: none is told meanwhile that a sync is done
                if self._cuts_power:
                    self._lose()
                os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1

    def _lose(self) -> None:
        """Leave on disk what a power cut might: of unsynced bytes a part, garbled; of unsynced names the old ones."""
        for path, at, before in reversed(self._unsynced_writes):
            if path.exists() and self._random.random() < 0.7:
                with path.open("r+b") as file:
                    file.seek(at)
                    file.write(before[: self._random.randrange(len(before) + 1)])
        for path, size in self._synced_bytes.items():
            if not path.exists() or path.stat().st_size <= size:
                continue
            with path.open("r+b") as file:
                lost = path.stat().st_size - size
                file.truncate(size + self._random.randrange(lost + 1))
                if self._random.random() < 0.5:
                    file.seek(size)
                    file.write(self._random.randbytes(min(16, lost)))
        for target, old in reversed(self._unsynced_names):
            if self._random.random() < 0.5:
                target.unlink(missing_ok=True)
                if old is not None:
                    os.link(old, target)

    def write(self, descriptor: int, data: bytes | memoryview, at: int) -> int:
        self._call()
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced = self._synced_bytes.setdefault(path, os.fstat(descriptor).st_size)
        if at < synced:  # in room made beforehand
            old = os.pread(descriptor, min(memoryview(data).nbytes, synced - at), at)
            with self._noting:
                self._unsynced_writes.append((path, at, old))
        if self._left == 0:  # the next call is the last: this write is torn
            half = memoryview(data).cast("B")
            super().write(descriptor, half[: len(half) // 2], at)
            self._call()
        return super().write(descriptor, data, at)

    def sync(self, descriptor: int) -> None:
        self._call()
        path, size = Path(os.readlink(f"/proc/self/fd/{descriptor}")), os.fstat(descriptor).st_size
        with self._noting:
            synced = [entry for entry in self._unsynced_writes if entry[0] == path]
        super().sync(descriptor)
        with self._noting:
            self._synced_bytes[path] = size
            self._unsynced_writes = [entry for entry in self._unsynced_writes if not any(entry is e for e in synced)]

    def sync_folder(self, folder: Path) -> None:
        self._call()
        super().sync_folder(folder)
        self._unsynced_names = [entry for entry in self._unsynced_names if entry[0].parent != folder]

    def truncate(self, descriptor: int, path: Path, size: int) -> None:
        self._call()
        super().truncate(descriptor, path, size)

    def rename(self, source: Path, target: Path) -> None:
        self._call()
        old = None
        if self._cuts_power and target.exists():
            old = target.with_name(f"{target.name}.before-{self._left}")
            os.link(target, old)
        super().rename(source, target)
        if source in self._synced_bytes:
            self._synced_bytes[target] = self._synced_bytes.pop(source)
        self._unsynced_names.append((target, old))

    def link(self, source: Path, target: Path) -> None:
        self._call()
        super().link(source, target)

    def remove(self, path: Path) -> None:
        self._call()
        super().remove(path)

    def remove_folder(self, folder: Path) -> None:
        for path in sorted(folder.iterdir()):  # dies with half of the files gone, too
            self._call()
            path.unlink()
        self._call()
        super().remove_folder(folder)


def killed(run: Callable[[Disk, Callable[[Any], None]], None], disk: Disk) -> tuple[list[Any], bool]:
    """Run something in a child process on a disk that kills it; return what it acknowledged, and whether it ended.

    `run` gets the disk and a function that says a value is acknowledged. Any: JSON-like values.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        status = 1
        try:
            run(disk, lambda value: _tell(writer, value))
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as told:
        acknowledged = [eval(line) for line in told]  # what the child wrote, a line each
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed by itself"
    return acknowledged, os.WIFEXITED(status)


def _tell(writer: int, value: Any) -> None:
    os.write(writer, f"{value!r}\n".encode())
