"""Which lock is waited for while which is held, over all kernels and actors of a process; no two may go both ways.

A deadlock is a ring of threads, each of which holds what the one before it waits for. So there is none while the graph
of "held, then waited for" has no ring. Its nodes are kinds of locks (the type, with its label) and actors (a handler
holds its actor; a send that may wait, waits for the actor it is sent to). Several locks of one kind are kept in order
by their addresses, which front/locks.py proves; a second actor of one kind cannot be told from the first.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

from hekla.lang.errors import DeadlockError, Note
from hekla.lang.source import Span


@dataclass(frozen=True, slots=True)
class Edge:
    """`wanted` is waited for while `held` is held.

    path: where `held` is taken, then the calls on the way, then where `wanted` is waited for; each with a text.
    """

    held: str
    wanted: str
    path: tuple[Note, ...]

    @property
    def span(self) -> Span:
        """The place of this kernel from where `wanted` is waited for."""
        return self.path[1][1]


@dataclass(eq=False)
class LockOrder:
    """The edges known so far. What was refused is not added."""

    edges: dict[tuple[str, str], Edge] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, found: Iterable[Edge]) -> None:
        """Add edges. Errors: DeadlockError with both ways where one closes a ring."""
        with self._lock:
            grown = dict(self.edges)
            for edge in found:
                back = _way(grown, edge.wanted, edge.held)
                if back is not None:
                    raise _refused(edge, back)
                grown.setdefault((edge.held, edge.wanted), edge)
            self.edges = grown


@cache
def standard_order() -> LockOrder:
    """Return the process's order, which every kernel keeps that is compiled without one of its own."""
    return LockOrder()


def _way(edges: dict[tuple[str, str], Edge], start: str, end: str) -> list[Edge] | None:
    """Return the edges from one node to another, [] where they are one, None where there is no way."""
    ways: dict[str, list[Edge]] = {start: []}
    waiting = [start]
    while waiting:
        here = waiting.pop(0)
        if here == end:
            return ways[here]
        for (held, wanted), edge in edges.items():
            if held == here and wanted not in ways:
                ways[wanted] = [*ways[here], edge]
                waiting.append(wanted)
    return None


def _refused(edge: Edge, back: Sequence[Edge]) -> DeadlockError:
    if not back:
        message = f"this waits for {edge.wanted} while one is held, and the order of the two was not shown"
    else:
        message = f"this waits for {edge.wanted} while {edge.held} is held, and elsewhere it is the other way round"
    notes = [edge.path[0], *edge.path[2:]]
    for other in back:
        notes += [(f"the other way: {text}" if i == 0 else text, span) for i, (text, span) in enumerate(other.path)]
    cure = "take them in one order everywhere, or give unproved='the reason'"
    return DeadlockError(message, span=edge.span, cure=cure, notes=notes)
