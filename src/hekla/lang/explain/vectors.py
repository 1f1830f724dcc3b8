"""Which loops became vector code, how wide, and why the others did not."""

from dataclasses import dataclass

from hekla.lang.explain.assembly import exported
from hekla.lang.kernel import Compiled
from hekla.lang.llvm.accept import why
from hekla.lang.llvm.codegen import compile_text
from hekla.lang.llvm.loops import Fate, fates_of
from hekla.lang.llvm.remarks import remarks_of
from hekla.lang.llvm.text import emit_module
from hekla.lang.source import Span


@dataclass(frozen=True, slots=True)
class LoopReport:
    """One innermost loop. `lanes` elements in one operation; `interleaved` operations in one turn, 0 if unknown."""

    kernel: str
    span: Span
    fate: Fate
    lanes: int
    bits: int
    interleaved: int
    reason: str = ""
    cure: str = ""

    def text(self) -> str:
        """Return one line, and the reason and the cure on lines of their own."""
        said = self.fate.value
        if self.lanes > 1:
            said += f", {self.lanes} lanes, {self.bits} bits"
        if self.interleaved > 1:
            said += f", {self.interleaved} vectors in a turn"
        parts = [f"{self.span.line:>4} | {self.span.line_text()}", f"     {self.kernel}: {said}"]
        parts += [f"     reason: {self.reason}"] if self.reason else []
        parts += [f"     cure: {self.cure}"] if self.cure else []
        return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class VectorReport:
    """The innermost loops of a kernel and of all it calls."""

    name: str
    target: str
    loops: tuple[LoopReport, ...]

    def text(self) -> str:
        """Return the report as lines of text."""
        good = sum(loop.fate.is_vector for loop in self.loops)
        head = f"{self.name} for {self.target}: {good} of {len(self.loops)} innermost loops are vector code"
        return "\n".join([head, *(loop.text() for loop in self.loops)])


def explain_vectors(compiled: Compiled) -> VectorReport:
    """Return what became of each innermost loop, compiled as the kernel is. Errors: KernelError."""
    text = emit_module(compiled.module, compiled.target, number_all=True)
    written = exported(text.finish(), compiled.function.symbol)
    optimised: list[str] = []
    compile_text(written, compiled.target, compiled.flags, optimised.append)
    remarks = remarks_of(written, compiled.target, compiled.flags)
    widths = {(r.file, r.line): r.width for r in remarks if r.width is not None}
    reports = []
    for fate in fates_of(text.loops, optimised[0]):
        if not fate.loop.innermost:
            continue
        span = fate.loop.span
        _, interleaved = widths.get((span.file, span.line), (0, 0))
        reason = cure = ""
        if not fate.fate.is_vector and compiled.flags.vectorise:
            reason, cure, _ = why(fate, remarks, text)
        elif not fate.fate.is_vector:
            reason, cure = (
                "a kernel with Vec, or without passes, is compiled as written",
                "write this loop with Vec too",
            )
        reports.append(
            LoopReport(fate.function.name, span, fate.fate, fate.lanes, fate.bits, interleaved, reason, cure)
        )
    return VectorReport(compiled.function.name, compiled.target.cpu, tuple(reports))
