"""Who holds how many bytes: an object one passes to buffers, arenas and mapped files, and that a server exports."""

import threading
from dataclasses import dataclass

from hekla.runtime.errors import NoMemoryError


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes of one kind: held now, the most ever held at once, and how many times memory was taken."""

    current_bytes: int = 0
    peak_bytes: int = 0
    charges: int = 0


class MemoryAccount:
    """Counts bytes by kind ("weights", "kv cache", "mapped"); any thread may use it.

    limit_bytes: over all kinds together; None is no limit. Mapped files are charged like any other kind, though
    the operating system may give their pages back.
    """

    def __init__(self, limit_bytes: int | None = None) -> None:
        self.limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._usage: dict[str, Usage] = {}
        self._total = Usage()

    def charge(self, kind: str, count: int) -> None:
        """Count bytes as held. Errors: NoMemoryError when that would pass the limit; nothing is counted then."""
        assert count >= 0
        with self._lock:
            if self.limit_bytes is not None and self._total.current_bytes + count > self.limit_bytes:
                raise NoMemoryError(
                    f"{count} bytes for {kind} do not fit: {self._total.current_bytes} of {self.limit_bytes} are held",
                    asked_bytes=count,
                    cure="give the account a higher limit, or free something",
                )
            self._usage[kind] = _more(self._usage.get(kind, Usage()), count)
            self._total = _more(self._total, count)

    def release(self, kind: str, count: int) -> None:
        """Count bytes as given back."""
        with self._lock:
            held = self._usage.get(kind, Usage())
            assert 0 <= count <= held.current_bytes, f"{count} bytes of {kind} were never charged"
            self._usage[kind] = Usage(held.current_bytes - count, held.peak_bytes, held.charges)
            total = self._total
            self._total = Usage(total.current_bytes - count, total.peak_bytes, total.charges)

    def snapshot(self) -> dict[str, Usage]:
        """Return the usage of each kind, by name, all read at one moment."""
        with self._lock:
            return dict(sorted(self._usage.items()))

    @property
    def total(self) -> Usage:
        """All kinds together; its peak is the most that was held at once, not the sum of the kinds' peaks."""
        with self._lock:
            return self._total


def _more(usage: Usage, count: int) -> Usage:
    current = usage.current_bytes + count
    return Usage(current, max(usage.peak_bytes, current), usage.charges + 1)
