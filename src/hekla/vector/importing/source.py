"""What an importer gives: chunks of points, so that a file of any size passes through little memory."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Protocol

from hekla.base.errors import UnsupportedError
from hekla.vector.point import Payload, Point, PointId
from hekla.vector.rows import AnyArray


@dataclass(frozen=True, slots=True)
class Names:
    """What columns, keys and arrays of a file are called."""

    id: str = "id"
    vector: str = ""  # "": the format's own name, see each importer
    into: str = ""  # the collection's vector that a file's one vector becomes


@dataclass(frozen=True, slots=True)
class Arrays:
    """n points as columns."""

    vectors: Mapping[str, AnyArray]  # (n, dimension) each
    ids: AnyArray | Sequence[PointId] | None = None  # (n,); None: numbers, counted on
    payloads: Sequence[Payload] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.vectors.values())))


@dataclass(frozen=True, slots=True)
class Unnumbered:
    """Points whose ids are still to be counted on. Their own `id` says nothing."""

    points: Sequence[Point]

    def __len__(self) -> int:
        return len(self.points)


Chunk = Arrays | Unnumbered | Sequence[Point]


class Source(Protocol):
    """A file of points, read from its beginning to its end, once."""

    @property
    def total(self) -> int:
        """What `done` counts up to: points, or bytes where the number of points is not known before."""

    @property
    def done(self) -> int:
        """How much of it was given."""

    def chunks(self, points: int) -> Iterator[Chunk]:
        """Yield the points in order, about so many at a time.

        Errors: PointError for what is no point, naming line or row; DamagedError for a file that breaks off.
        """


def needed(module: str, package: str, kind: str) -> ModuleType:
    """Return a module that only some imports need. Errors: UnsupportedError with the cure where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UnsupportedError(
            f"{kind} files are read by {package}, which is not installed", cure="pip install 'hekla[vector-import]'"
        ) from error
