"""A server as a process tree: pinned to a core, started, paused, weighed, stopped."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_STOP_S = 20.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Memory:
    """Of the whole tree, in MB (10^6 bytes): each page a process maps, shared pages split, and pages nobody shares."""

    rss_mb: float
    pss_mb: float
    private_mb: float


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a server."""

    command: list[str]
    environment: Mapping[str, str]
    folder: Path  # the working folder; its log goes there too


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess:
    """One running server. Use as a context manager: leaving it stops the whole tree."""

    def __init__(self, launch: Launch, core: int) -> None:
        self.log = launch.folder / "server.log"
        self._file: IO[bytes] = self.log.open("wb")
        self.started_s = time.perf_counter()
        self._process = subprocess.Popen(
            launch.command,
            cwd=launch.folder,
            env={**os.environ, **launch.environment},
            stdin=subprocess.DEVNULL,
            stdout=self._file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),  # noqa: PLW1509  # this process has one thread here
        )

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def tree(self) -> list[int]:
        """Return the process ids of the server and all its descendants."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
        found = [self._process.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def memory(self) -> Memory:
        """Weigh the tree now."""
        sums = {"Rss": 0, "Pss": 0, "Private_Clean": 0, "Private_Dirty": 0}
        for pid in self.tree():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    name, _, value = line.partition(":")
                    if name in sums:
                        sums[name] += int(value.split()[0]) * 1024
        private = sums["Private_Clean"] + sums["Private_Dirty"]
        return Memory(sums["Rss"] / 1e6, sums["Pss"] / 1e6, private / 1e6)

    def cpu_meter(self) -> Callable[[], float]:
        """Return a quick reading of the CPU time, user and system, of the processes the tree has now; in seconds."""
        pids = self.tree()

        def read() -> float:
            ticks = 0
            for pid in pids:
                with contextlib.suppress(OSError):
                    fields = _stat(pid)
                    ticks += int(fields[11]) + int(fields[12])
            return ticks / _TICKS_PER_S

        return read

    def pause(self) -> None:
        """Stop the tree's clocks: it uses no CPU until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """Ask the server to end, then end what is left of its tree."""
        tree = self.tree()
        self.resume()
        if self.is_running:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)
        for pid in tree:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._file.close()

    def _signal(self, number: signal.Signals) -> None:
        for pid in self.tree():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on: state, parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
