"""From ids to rows of a segment, by searching sorted columns that lie on disk.

Sections: `lookup.number` (n,) u64 rising and `lookup.number.row` (n,) u32; for UUIDs `lookup.uuid.high` (n,) u64,
rising, `lookup.uuid.low` (n,) u64, rising where high is equal, and `lookup.uuid.row` (n,) u32.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hekla.vector.rows import AnyArray, Ids

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
                first, last = (
                    np.searchsorted(self._high, ids.high[i]),
                    np.searchsorted(self._high, ids.high[i], "right"),
                )
                at_low = first + np.searchsorted(self._low[first:last], ids.low[i])
                if at_low < last and self._low[at_low] == ids.low[i]:
                    found[i] = self._uuid_rows[at_low]
        return found
