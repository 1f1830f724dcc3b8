"""A cancellation that knows when an engine has begun to listen to it."""

import threading
from collections.abc import Callable

from hekla.protocols.engine import Cancellation


class Announced(Cancellation):
    """Cancels a run that has begun, from another thread, without guessing how long that takes."""

    def __init__(self) -> None:
        super().__init__()
        self._awaited = threading.Event()

    def on_set(self, stop: Callable[[], None]) -> None:
        super().on_set(stop)
        self._awaited.set()

    def set_once_awaited(self) -> None:
        """Wait for the engine to register, then cancel."""
        self._awaited.wait()
        self.set()
