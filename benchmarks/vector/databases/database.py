"""What every database under test does: the same points, the same questions. Run by each one's own interpreter."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

Array = Any  # a NumPy array; the peers' interpreters have no annotations of it
# The payload of a point: n, whose value is uniform in 0 to 999, so that n < 10 holds for 1 %, n < 100 for 10 %; and a
# sentence of English, which those that have full text index.
FILTERS = {"1 %": 10, "10 %": 100}
PREFETCH = 50  # of each half of a hybrid search, where a database lets that be said
RRF_K = 60


class Database(Protocol):
    """One database, embedded. k is 10 throughout; distances are squared Euclidean or in their order."""

    knobs: tuple[int, ...]  # of search, rising in recall
    settings: str  # what the tables say of it

    def create(self, folder: Path, dimension: int) -> None:
        """Make and open a collection with an index on n."""

    def upsert(self, first_id: int, vectors: Array, numbers: Array, texts: Sequence[str]) -> None:
        """Write points in one batch, as durably as the database does."""

    def build(self) -> None:
        """Do all that makes searches fast."""

    def open(self, folder: Path) -> None:
        """Open what is there."""

    def search(self, query: Array, k: int, knob: int, below: int | None = None) -> list[int]:
        """Return the ids of the nearest points; below: only those with n less than this."""

    def close(self) -> None:
        """Close."""


class Hybrid(Protocol):
    """A database that joins words and vectors by their ranks."""

    def hybrid(self, query: Array, words: str, k: int, knob: int) -> list[int]:
        """Return the ids of the best by reciprocal ranks of BM25 and of distance."""


class Pipelined(Protocol):
    """A database that can be given a batch before the one before it is acknowledged."""

    def upsert_later(self, first_id: int, vectors: Array, numbers: Array, texts: Sequence[str]) -> Any:
        """Begin to write; what is returned has `result()`, which returns once it is acknowledged."""
