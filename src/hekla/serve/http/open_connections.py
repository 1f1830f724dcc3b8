"""The connections a server has, and the moment it has none."""

import asyncio
from collections.abc import Iterator
from typing import Protocol


class Connection(Protocol):
    """What the server does to a connection of its own accord."""

    def check_time(self, now: float) -> None: ...

    def announce_end(self) -> None: ...

    def finish(self) -> None: ...


class OpenConnections:
    """Lives on the event loop."""

    def __init__(self) -> None:
        self._open: set[Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Connection]:
        return iter(tuple(self._open))

    def add(self, connection: Connection) -> None:
        """Note a connection that was made."""
        self._open.add(connection)
        self._empty.clear()

    def discard(self, connection: Connection) -> None:
        """Note a connection that was lost."""
        self._open.discard(connection)
        if not self._open:
            self._empty.set()

    async def wait_empty(self) -> None:
        """Wait until there is none."""
        await self._empty.wait()
