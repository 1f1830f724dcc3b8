"""What a batch costs by its size, learned from the calls made: the judge of whether batching pays."""

_SLOWER, _FASTER = 0.2, 0.5  # weight of the newest call: what slows a call down is mostly not its size
_WORSE = 1.1  # a larger batch must cost this much more per row to be called harmful: less is noise
_TRY_EVERY = 64  # decisions between two tries of a size that would not be chosen: machines change
_TRY_FIRST = 8  # and between the first ones, while little is known


class LatencyModel:
    """Seconds per engine call, by batch rows rounded up to a power of two.

    EfficientNet on ONNX Runtime, one core, is slower per row at 8 than at 1; a tiny MLP is 40 times faster at 64.
    """

    def __init__(self) -> None:
        self._per_row_s: dict[int, float] = {}  # size class (2**class rows) -> seconds per row
        self._decisions = self._tries = 0

    def observe(self, rows: int, seconds: float) -> None:
        """Learn from one call."""
        size = _size_class(rows)
        per_row = seconds / max(rows, 1)
        known = self._per_row_s.get(size)
        if known is None:
            self._per_row_s[size] = per_row
        elif per_row < known:
            # The first calls also pay for warm-up: what they said is unlearned fast.
            self._per_row_s[size] = known + _FASTER * (per_row - known)
        else:
            # A call that was pre-empted took many times as long and says nothing of the next: it counts as double.
            self._per_row_s[size] = known + _SLOWER * (min(per_row, 2 * known) - known)

    def call_s(self, rows: int) -> float | None:
        """Return what a call with so many rows is expected to take; None if none of that size class was made."""
        per_row = self._per_row_s.get(_size_class(rows))
        return None if per_row is None else per_row * max(rows, 1)

    def drain_s(self, rows: int) -> float:
        """Return how long so many waiting rows take at the best known rate; 0 while nothing is known."""
        return rows * min(self._per_row_s.values(), default=0.0)

    def best_rows(self, available: int) -> int:
        """Return how many of the available rows (at least 1) the next batch should take.

        All of them, unless that size was measured to cost more per row than a smaller one: then the size that is
        cheapest. A size never measured counts as good: that is how it gets measured. Now and then another size than
        the best is tried, for a model that never sees few requests at a time, and for a machine that changed.
        """
        size = _size_class(available)
        if size == 0:
            return available
        self._decisions += 1
        if self._decisions % (_TRY_FIRST if self._decisions < _TRY_EVERY else _TRY_EVERY) == 0:
            best = self._tries % (size + 1)
            self._tries += 1
        else:
            best = self._best_class(size)
        return available if best == size else min(available, 1 << best)

    def pays_to_wait(self, rows: int) -> bool:
        """True unless the next larger batch was measured to cost more per row: then company only harms."""
        size = _size_class(rows)
        cost, larger = self._per_row_s.get(size), self._per_row_s.get(size + 1)
        return cost is None or larger is None or larger <= _WORSE * cost

    def _best_class(self, size: int) -> int:
        costs = self._per_row_s
        cost = costs.get(size)
        if cost is None:
            return size
        best = min((s for s in costs if s <= size), key=costs.__getitem__)
        if cost <= _WORSE * costs[best]:
            return size
        unknown = next((s for s in range(size - 1, best, -1) if s not in costs), None)
        return best if unknown is None else unknown


def _size_class(rows: int) -> int:
    return max(rows - 1, 0).bit_length()
