"""What was proved of a kernel's threads: its parallel loops, its locks, and what rests on an author's word."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.front.captures import captured_variables
from hekla.lang.front.tree import blocks_of, children_of, expressions_of, walk
from hekla.lang.kernel import Kernel
from hekla.lang.source import Span

NOT_PROVED = "NOT proved; its author says:"


@dataclass(frozen=True, slots=True)
class ParallelReport:
    """One parallel loop: the views its iterations share, and the author's word where nothing was proved."""

    kernel: str
    span: Span
    written: tuple[str, ...]
    read: tuple[str, ...]
    unproved: str
    reduced: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the loop and the verdict."""
        parts = [f"{self.span.line:>4} | {self.span.line_text()}"]
        if self.unproved:
            parts.append(f"     {self.kernel}: {NOT_PROVED} {self.unproved}")
        elif self.written:
            parts.append(f"     {self.kernel}: proved: no two iterations meet where one writes")
        else:
            parts.append(f"     {self.kernel}: proved: no iteration writes what another sees")
        named = (("may write", self.written), ("reads", self.read), ("reduces in a fixed order", self.reduced))
        return "\n".join([*parts, *(f"     {what}: {', '.join(names)}" for what, names in named if names)])


@dataclass(frozen=True, slots=True)
class WaitReport:
    """One place where a kernel may wait: for a lock or an actor, while it holds others; or for an Atomic to change."""

    kernel: str
    span: Span
    wanted: str
    held: tuple[str, ...]
    unproved: str

    def text(self) -> str:
        """Return the place and the verdict."""
        while_held = f"while {', '.join(self.held)} is held" if self.held else "while nothing is held"
        verdict = f"{NOT_PROVED} {self.unproved}" if self.unproved else "proved: no ring of waiting threads"
        place = f"{self.span.line:>4} | {self.span.line_text()}"
        return f"{place}\n     {self.kernel}: waits for {self.wanted} {while_held}: {verdict}"


@dataclass(frozen=True, slots=True)
class ProofReport:
    """The parallel loops and waits of a kernel and of all it calls. One that is not proved does not get this far."""

    name: str
    loops: tuple[ParallelReport, ...]
    waits: tuple[WaitReport, ...] = ()

    @property
    def is_proved(self) -> bool:
        """True where nothing rests on an author's word."""
        return not any(one.unproved for one in self.places)

    @property
    def places(self) -> tuple[ParallelReport | WaitReport, ...]:
        """Loops, then waits."""
        return (*self.loops, *self.waits)

    def text(self) -> str:
        """Return the report as lines of text."""
        heads = []
        if self.loops:
            proved = sum(not loop.unproved for loop in self.loops)
            heads.append(f"{self.name}: {proved} of {len(self.loops)} parallel loops proved free of races")
        if self.waits:
            proved = sum(not wait.unproved for wait in self.waits)
            heads.append(f"{self.name}: {proved} of {len(self.waits)} waits proved free of deadlock")
        if not heads:
            return f"{self.name}: no parallel loops; ownership is checked, so one thread alone sees what it writes"
        return "\n".join([*heads, *(one.text() for one in self.places)])


def explain_proof(kernel: Kernel, *kinds: t.Type, **named: Any) -> ProofReport:  # Any: compile-time values
    """Return what was proved of the parallel loops and the locks of a kernel.

    Errors: KernelError; RaceError with the two iterations where a loop is refused, DeadlockError with the two lock
        paths.
    """
    program, _ = kernel.elaborate(*kinds, **named)
    loops: list[ParallelReport] = []
    waits: list[WaitReport] = []
    for instance in program.in_order():
        loops += [_loop(instance, s) for s in walk(instance.body) if isinstance(s, hir.Parallel)]
        waits += _waits(instance, instance.body, (instance.holds,) if instance.holds else ())
    return ProofReport(kernel.__name__, tuple(loops), tuple(waits))


def _loop(instance: hir.Instance, s: hir.Parallel) -> ParallelReport:
    views = [(v.name, v.type) for v in captured_variables(s) if isinstance(v.type, t.ViewType)]
    written = tuple(f"{name}: {kind}" for name, kind in views if kind.mutable)
    read = tuple(f"{name}: {kind}" for name, kind in views if not kind.mutable)
    reduced = tuple(f"{r.variable.name} by {r.kind}" for r in s.reductions)
    return ParallelReport(instance.name, s.span, written, read, s.unproved, reduced)


def _waits(instance: hir.Instance, body: Sequence[hir.Statement], held: tuple[str, ...]) -> Iterator[WaitReport]:
    for s in body:
        for e in expressions_of(s):
            yield from _in_expression(instance, e, held)
        inside = held
        if isinstance(s, hir.Lock):
            kind = str(s.place.type)
            yield WaitReport(instance.name, s.place.span, kind, held, s.unproved)
            inside = (*held, kind)
        for block in blocks_of(s):
            yield from _waits(instance, block, inside)


def _in_expression(instance: hir.Instance, e: hir.Expr, held: tuple[str, ...]) -> Iterator[WaitReport]:
    if isinstance(e, hir.Op) and e.name == "memref.atomic_wait":
        yield WaitReport(instance.name, e.span, "an Atomic to change", held, e.attrs["unproved"])
    if isinstance(e, hir.Call) and held:
        for wanted in e.callee.waits:
            yield WaitReport(instance.name, e.span, f"{wanted} (in {e.callee.name})", held, "")
    for child in children_of(e):
        yield from _in_expression(instance, child, held)
