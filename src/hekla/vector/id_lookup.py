"""From ids to rows of a segment, by searching sorted columns that lie on disk.

Sections: `lookup.number` (n,) u64 rising and `lookup.number.row` (n,) u32; for UUIDs `lookup.uuid.high` (n,) u64,
rising, `lookup.uuid.low` (n,) u64, rising where high is equal, and `lookup.uuid.row` (n,) u32.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hekla.vector.rows import UUID_KEY, AnyArray, Ids

ABSENT = -1


def lookup_sections(ids: Ids) -> dict[str, AnyArray]:
    """Return the sections that find these ids."""
    numbers = np.flatnonzero(~ids.is_uuid)
    numbers = numbers[np.argsort(ids.low[numbers], kind="stable")]
    sections: dict[str, AnyArray] = {
        "lookup.number": ids.low[numbers],
        "lookup.number.row": numbers.astype(np.uint32),
    }
    uuids = np.flatnonzero(ids.is_uuid)
    if len(uuids):
        uuids = uuids[np.lexsort((ids.low[uuids], ids.high[uuids]))]
        sections["lookup.uuid.high"] = ids.high[uuids]
        sections["lookup.uuid.low"] = ids.low[uuids]
        sections["lookup.uuid.row"] = uuids.astype(np.uint32)
    return sections


class IdLookup:
    """Finds rows by id."""

    def __init__(self, sections: Mapping[str, AnyArray]) -> None:
        self._numbers, self._number_rows = sections["lookup.number"], sections["lookup.number.row"]
        self._has_uuids = "lookup.uuid.high" in sections
        if self._has_uuids:
            self._high, self._low = sections["lookup.uuid.high"], sections["lookup.uuid.low"]
            self._uuid_rows = sections["lookup.uuid.row"]

    def row_of(self, key: int) -> int:
        """Return the row of one id, as `Ids.as_keys` has it; ABSENT where there is none."""
        if key >= UUID_KEY:
            return self._row_of_uuid(key - UUID_KEY) if self._has_uuids else ABSENT
        wanted = np.uint64(key)
        at = int(self._numbers.searchsorted(wanted))
        is_here = at < len(self._numbers) and self._numbers[at] == wanted
        return int(self._number_rows[at]) if is_here else ABSENT

    def _row_of_uuid(self, number: int) -> int:
        high, low = np.uint64(number >> 64), np.uint64(number & (2**64 - 1))
        first, last = int(self._high.searchsorted(high)), int(self._high.searchsorted(high, "right"))
        at = first + int(self._low[first:last].searchsorted(low))
        return int(self._uuid_rows[at]) if at < last and self._low[at] == low else ABSENT

    def rows(self, ids: Ids) -> NDArray[np.int64]:
        """Return the row of each id, ABSENT where there is none. (n,) -> (n,)."""
        found = np.full(len(ids), ABSENT, np.int64)
        numbers = np.flatnonzero(~ids.is_uuid)
        if len(numbers) and len(self._numbers):
            wanted = ids.low[numbers]
            at = np.minimum(np.searchsorted(self._numbers, wanted), len(self._numbers) - 1)
            is_here = self._numbers[at] == wanted
            found[numbers[is_here]] = self._number_rows[at[is_here]]
        if self._has_uuids:
            for i in np.flatnonzero(ids.is_uuid).tolist():
                found[i] = self._row_of_uuid((int(ids.high[i]) << 64) + int(ids.low[i]))
        return found

    def rows_from(self, start: Ids) -> tuple[AnyArray, AnyArray]:
        """Return the rows in the order of their ids, from one id on: of numbers, then of UUIDs."""
        numbers = self._number_rows[: 0 if start.is_uuid[0] else None]
        if len(numbers):
            numbers = numbers[int(np.searchsorted(self._numbers, start.low[0])) :]
        if not self._has_uuids or not start.is_uuid[0]:
            return numbers, self._uuid_rows if self._has_uuids else numbers[:0]
        first = int(np.searchsorted(self._high, start.high[0]))
        last = int(np.searchsorted(self._high, start.high[0], "right"))
        return numbers, self._uuid_rows[first + int(np.searchsorted(self._low[first:last], start.low[0])) :]
