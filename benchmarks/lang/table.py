"""Rows of measurements and how they are printed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.lang.timing import Call, Timing, time_in_turns

MISSING = "not installed"


@dataclass(frozen=True, slots=True)
class Row:
    """One kernel at one size. `work` is what one call does, in units; `limit` the machine's units per second, or 0."""

    what: str
    size: str
    ours: Timing
    peers: Mapping[str, Timing | None]
    work: float
    unit: str  # "Gop/s": units per nanosecond; "us": microseconds a call
    limit: float = 0.0

    @property
    def ratio(self) -> float | None:
        """How many times as fast as the best peer; None without peers."""
        there = [p.best for p in self.peers.values() if p is not None]
        return min(there) / self.ours.best if there else None

    def show(self, timing: Timing | None) -> str:
        """Return a timing in the row's unit."""
        if timing is None:
            return MISSING
        if self.unit == "us":
            return f"{timing.best * 1e6:.4g}"
        if self.unit == "ns":
            return f"{timing.best / self.work * 1e9:.3g}"
        return f"{self.work / timing.best / 1e9:.4g}"

    def cells(self) -> list[str]:
        """Return what the table shows."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        share = f"{self.work / self.ours.best / self.limit:.0%}" if self.limit else ""
        others = ", ".join(f"{name} {self.show(timing)}" for name, timing in self.peers.items())
        return [self.what, self.size, self.unit, self.show(self.ours), ratio, share, f"{self.ours.spread:.0%}", others]


HEADS = ("kernel", "size", "unit", "Hekla", "x best peer", "of limit", "spread", "peers")


def measure(
    what: str,
    size: str,
    ours: Call,
    peers: Mapping[str, Call | None],
    seconds: float,
    *,
    work: float = 1.0,
    unit: str = "us",
    limit: float = 0.0,
) -> Row:
    """Time a kernel beside its peers, in turns."""
    there = {name: call for name, call in peers.items() if call is not None}
    first, *rest = time_in_turns([ours, *there.values()], seconds)
    timings = dict(zip(there, rest, strict=True))
    return Row(what, size, first, {name: timings.get(name) for name in peers}, work, unit, limit)


def show_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool) -> str:
    """Return a table as text."""
    lines = [f"## {title}" if markdown else title]
    widths = [max(len(r[i]) for r in [heads, *rows]) for i in range(len(heads))]
    for position, row in enumerate([heads, *rows]):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append(f"| {' | '.join(cells)} |" if markdown else "  ".join(cells).rstrip())
        if position == 0 and markdown:
            lines.append("|" + "---|" * len(heads))
    return "\n".join(lines) + "\n"
