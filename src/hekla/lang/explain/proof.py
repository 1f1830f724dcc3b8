"""What was proved of a kernel's parallel loops."""

from dataclasses import dataclass
from typing import Any

from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.front.captures import captured_variables
from hekla.lang.front.tree import walk
from hekla.lang.kernel import Kernel
from hekla.lang.source import Span


@dataclass(frozen=True, slots=True)
class ParallelReport:
    """One parallel loop: the views its iterations share, and the author's word where nothing was proved."""

    kernel: str
    span: Span
    written: tuple[str, ...]
    read: tuple[str, ...]
    unproved: str

    def text(self) -> str:
        """Return the loop and the verdict."""
        parts = [f"{self.span.line:>4} | {self.span.line_text()}"]
        if self.unproved:
            parts.append(f"     {self.kernel}: NOT proved; its author says: {self.unproved}")
        elif self.written:
            parts.append(f"     {self.kernel}: proved: no two iterations meet where one writes")
        else:
            parts.append(f"     {self.kernel}: proved: no iteration writes what another sees")
        for what, names in (("may write", self.written), ("reads", self.read)):
            if names:
                parts.append(f"     {what}: {', '.join(names)}")
        return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class ProofReport:
    """The parallel loops of a kernel and of all it calls. A kernel that is not proved does not get this far."""

    name: str
    loops: tuple[ParallelReport, ...]

    @property
    def is_proved(self) -> bool:
        """True where nothing rests on an author's word."""
        return not any(loop.unproved for loop in self.loops)

    def text(self) -> str:
        """Return the report as lines of text."""
        if not self.loops:
            return f"{self.name}: no parallel loops; ownership is checked, so one thread alone sees what it writes"
        proved = sum(not loop.unproved for loop in self.loops)
        head = f"{self.name}: {proved} of {len(self.loops)} parallel loops proved free of races"
        return "\n".join([head, *(loop.text() for loop in self.loops)])


def explain_proof(kernel: Kernel, *kinds: t.Type, **named: Any) -> ProofReport:  # Any: compile-time values
    """Return what was proved of the parallel loops of a kernel.

    Errors: KernelError; RaceError with the two iterations where a loop is refused.
    """
    program, _ = kernel.elaborate(*kinds, **named)
    reports = []
    for instance in program.in_order():
        for s in walk(instance.body):
            if isinstance(s, hir.Parallel):
                views = [(v.name, v.type) for v in captured_variables(s) if isinstance(v.type, t.ViewType)]
                written = tuple(f"{name}: {kind}" for name, kind in views if kind.mutable)
                read = tuple(f"{name}: {kind}" for name, kind in views if not kind.mutable)
                reports.append(ParallelReport(instance.name, s.span, written, read, s.unproved))
    return ProofReport(kernel.__name__, tuple(reports))
