"""Wakes a thread that waits in `poll`."""

import contextlib
import os
import threading


class Wake:
    """A bell: any thread rings it, one thread waits for it. Ringing after `close` does nothing."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._lock, self._is_closed = threading.Lock(), False

    def fileno(self) -> int:
        """The descriptor that is readable while the bell rings."""
        return self._read

    def ring(self) -> None:
        """Make `fileno` readable. Never waits."""
        with self._lock:
            if not self._is_closed:
                with contextlib.suppress(BlockingIOError):  # full: it is ringing already
                    os.write(self._write, b"\0")

    def quiet(self) -> None:
        """Stop the ringing."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)

    def close(self) -> None:
        """Close both ends."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                os.close(self._read)
                os.close(self._write)
