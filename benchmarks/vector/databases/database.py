"""What every database under test does: the same points, the same questions. Run by each one's own interpreter."""

from pathlib import Path
from typing import Any, Protocol

Array = Any  # a NumPy array; the peers' interpreters have no annotations of it
# The payload of a point: n, whose value is uniform in 0 to 999, so that n < 10 holds for 1 %, n < 100 for 10 %.
FILTERS = {"1 %": 10, "10 %": 100}


class Database(Protocol):
    """One database, embedded. k is 10 throughout; distances are squared Euclidean or in their order."""

    knobs: tuple[int, ...]  # of search, rising in recall

    def create(self, folder: Path, dimension: int) -> None:
        """Make and open a collection with an index on n."""

    def upsert(self, first_id: int, vectors: Array, numbers: Array) -> None:
        """Write points in one batch, as durably as the database does."""

    def build(self) -> None:
        """Do all that makes searches fast."""

    def open(self, folder: Path) -> None:
        """Open what is there."""

    def search(self, query: Array, k: int, knob: int, below: int | None = None) -> list[int]:
        """Return the ids of the nearest points; below: only those with n less than this."""

    def close(self) -> None:
        """Close."""
