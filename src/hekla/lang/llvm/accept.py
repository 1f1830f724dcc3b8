"""Refuses kernels under `@vectorize` whose loops stayed scalar, and targets without the instructions."""

from collections.abc import Sequence

from hekla.lang.demand import ARCHES
from hekla.lang.errors import TargetError, VectorizeError
from hekla.lang.ir.core import Function
from hekla.lang.llvm.codegen import Flags
from hekla.lang.llvm.loops import Fate, LoopFate, fates_of
from hekla.lang.llvm.remarks import Remark, explained, rank, remarks_of
from hekla.lang.llvm.target import Target
from hekla.lang.llvm.text import Text
from hekla.lang.source import Span

MAX_NOTES = 4


def check_targets(demands: Sequence[Function], target: Target) -> None:
    """Refuse demands for instructions the target has not. Errors: TargetError at the kernel."""
    for function in demands:
        assert function.demand is not None
        arch = ARCHES[function.demand.arch]
        family = target.triple.split("-")[0]
        if not family.startswith(arch.family):
            raise TargetError(
                f"{function.name} demands {function.demand.arch}, which is of {arch.family}; the target is {family}",
                span=function.span,
                cure='use arch="native", or compile it for another target',
            )
        missing = [f for f in arch.features if f not in target.needed]
        if missing:
            raise TargetError(
                f"{function.name} demands {function.demand.arch}; the target {target.cpu} has no {', '.join(missing)}",
                span=function.span,
                cure='use arch="native", or compile it for another target',
            )


def check_loops(text: Text, written: str, flags: Flags, optimised: str) -> None:
    """Refuse a module whose watched innermost loops are not all vector code.

    written, optimised: the module's text before and after LLVM's passes.
    Errors: VectorizeError at the first such loop, with LLVM's reason; other loops and the place of the reason
        are its notes.
    """
    fates = [f for f in fates_of(text.loops, optimised) if f.loop.innermost]
    scalar = [f for f in fates if not f.fate.is_vector]
    if not scalar:
        return
    remarks = remarks_of(written, text.target, flags)
    first, *others = sorted(scalar, key=lambda f: (f.loop.span.file, f.loop.span.line))
    reason, cure, place = why(first, remarks, text)
    notes = [("LLVM stopped here", place)] if place is not None else []
    for other in others[:MAX_NOTES]:
        notes.append((f"this loop too: {why(other, remarks, text)[0]}", other.loop.span))
    demand = first.function.demand or next((f.demand for f, _ in text.loops if f.demand), None)
    for_what = f" for {demand.arch}" if demand is not None else ""
    raise VectorizeError(
        f"this loop was not vectorised{for_what}: {reason}", span=first.loop.span, cure=cure, notes=notes
    )


def why(fate: LoopFate, remarks: Sequence[Remark], text: Text) -> tuple[str, str, Span | None]:
    """Return (reason, cure, place of the reason) for a scalar loop."""
    if fate.fate is Fate.UNROLLED_SCALAR:
        return "it is so short that it was unrolled into scalar code", "write it with Vec", None
    loop = fate.loop
    inside = [
        r
        for r in remarks
        if r.file == loop.span.file and loop.span.line <= r.line <= loop.last_line and "not vectorized: " in r.text
    ]
    if not inside:
        return "LLVM gave no reason", "write it with Vec", None
    chosen = min(inside, key=lambda r: rank(r.text))
    reason, cure = explained(chosen.text)
    place = text.lines.places.get((fate.function.symbol, chosen.line, chosen.column)) if text.lines else None
    return reason, cure, place if place != loop.span else None
