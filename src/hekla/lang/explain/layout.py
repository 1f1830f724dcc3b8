"""Where the fields of a record lie, as written and as stored."""

from dataclasses import dataclass, replace

from hekla.lang import types as t

LINE_BYTES = 64


@dataclass(frozen=True, slots=True)
class FieldPlace:
    """One field: where it begins, and how many bytes before it hold nothing."""

    name: str
    type: t.Type
    offset: int
    size_bytes: int
    alignment: int
    padding_before: int

    @property
    def lines(self) -> tuple[int, int]:
        """The first and last cache line it touches, from 0, where the record begins on one."""
        return self.offset // LINE_BYTES, (self.offset + max(1, self.size_bytes) - 1) // LINE_BYTES


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields in their order in memory."""

    fields: tuple[FieldPlace, ...]
    size_bytes: int
    alignment: int

    @property
    def padding_bytes(self) -> int:
        """Bytes that hold nothing, those behind the last field included."""
        return self.size_bytes - sum(f.size_bytes for f in self.fields)

    @property
    def cache_lines(self) -> int:
        """How many cache lines one record touches, where it begins on one."""
        return -(-self.size_bytes // LINE_BYTES)

    @property
    def torn(self) -> tuple[str, ...]:
        """Fields that lie on two cache lines though one would hold them."""
        return tuple(f.name for f in self.fields if f.lines[0] != f.lines[1] and f.size_bytes <= LINE_BYTES)


@dataclass(frozen=True, slots=True)
class LayoutReport:
    """A record as written, which `layout="c"` keeps, and as stored."""

    name: str
    written: Layout
    stored: Layout

    @property
    def saved_bytes(self) -> int:
        """How many bytes the new order saves in each record."""
        return self.written.size_bytes - self.stored.size_bytes

    def text(self) -> str:
        """Return the report as lines of text."""
        parts = [f"{self.name}: {_summary(self.stored)}"]
        if self.written.fields == self.stored.fields:
            return "\n".join([*parts, *_rows(self.stored)])
        parts += ["", f"as written: {_summary(self.written)}", *_rows(self.written)]
        parts += ["", f"as stored: {_summary(self.stored)}", *_rows(self.stored)]
        if self.saved_bytes:
            parts += ["", f"the order saves {self.saved_bytes} of {self.written.size_bytes} bytes in each record"]
        return "\n".join(parts)


def explain_layout(record: t.StructType) -> LayoutReport:
    """Return where the fields of a `@struct` lie, in the order written and in the order stored."""
    written = replace(record, order=tuple(range(len(record.fields))))
    return LayoutReport(record.name, _layout(written), _layout(record))


def _layout(record: t.StructType) -> Layout:
    offsets, size = t.struct_layout(record)
    places: list[FieldPlace] = []
    end = 0
    for position in record.order:
        name, kind = record.fields[position]
        count, alignment = t.size_and_align(kind)
        places.append(FieldPlace(name, kind, offsets[position], count, alignment, offsets[position] - end))
        end = offsets[position] + count
    return Layout(tuple(places), size, t.size_and_align(record)[1])


def _summary(layout: Layout) -> str:
    lines = f"{layout.cache_lines} cache line{'s' if layout.cache_lines > 1 else ''}"
    torn = f", torn between two: {', '.join(layout.torn)}" if layout.torn else ""
    padding = f"{layout.padding_bytes} of them padding"
    return f"{layout.size_bytes} bytes, aligned to {layout.alignment}, {padding}, {lines}{torn}"


def _rows(layout: Layout) -> list[str]:
    rows = [f"  {'offset':>6}  {'size':>5}  {'line':>4}  field"]
    for place in layout.fields:
        if place.padding_before:
            start = place.offset - place.padding_before
            rows.append(f"  {start:>6}  {place.padding_before:>5}        (padding)")
        rows.append(f"  {place.offset:>6}  {place.size_bytes:>5}  {place.lines[0]:>4}  {place.name}: {place.type}")
    end = layout.fields[-1].offset + layout.fields[-1].size_bytes if layout.fields else 0
    if layout.size_bytes > end:
        rows.append(f"  {end:>6}  {layout.size_bytes - end:>5}        (padding)")
    return rows
