"""What a batch costs by its size, learned from the calls made: the judge of whether batching pays."""

_SMOOTHING = 0.2  # weight of the newest call
_WORSE = 1.1  # a larger batch must cost this much more per row to be called harmful: less is noise
_RETRY_EVERY = 64  # decisions between two tries of a size that was found harmful: machines change


class LatencyModel:
    """Seconds per engine call, by batch rows rounded up to a power of two.

    EfficientNet on ONNX Runtime, one core, is slower per row at 8 than at 1; a tiny MLP is 40 times faster at 64.
    """

    def __init__(self) -> None:
        self._per_row_s: dict[int, float] = {}  # size class (2**class rows) -> seconds per row
        self._cheapest_s = 0.0  # the smallest of them, 0 while there is none
        self._until_retry = _RETRY_EVERY

    def observe(self, rows: int, seconds: float) -> None:
        """Learn from one call."""
        size = _size_class(rows)
        per_row = seconds / max(rows, 1)
        known = self._per_row_s.get(size)
        # A call that was pre-empted took many times as long and says nothing about the next: it counts as double.
        self._per_row_s[size] = per_row if known is None else known + _SMOOTHING * (min(per_row, 2 * known) - known)
        self._cheapest_s = min(self._per_row_s.values())

    def call_s(self, rows: int) -> float | None:
        """Return what a call with so many rows is expected to take; None if none of that size class was made."""
        per_row = self._per_row_s.get(_size_class(rows))
        return None if per_row is None else per_row * max(rows, 1)

    def drain_s(self, rows: int) -> float:
        """Return how long so many waiting rows take at the best known rate; 0 while nothing is known."""
        return rows * self._cheapest_s

    def best_rows(self, available: int) -> int:
        """Return how many of the available rows (at least 1) the next batch should take.

        All of them, unless that size was measured to cost more per row than a smaller one: then the size that is
        cheapest. A size never measured counts as good: that is how it gets measured.
        """
        size = _size_class(available)
        cost = self._per_row_s.get(size)
        if cost is None:
            return available
        best = min((s for s in self._per_row_s if s <= size), key=self._per_row_s.__getitem__)
        if cost <= _WORSE * self._per_row_s[best]:
            return available
        self._until_retry -= 1
        if self._until_retry <= 0:
            self._until_retry = _RETRY_EVERY
            return available
        return min(available, 1 << best)


def _size_class(rows: int) -> int:
    return max(rows - 1, 0).bit_length()
