"""Why LLVM did or did not vectorise: its remarks, read from a process of their own.

LLVM says them on stderr, when flags that hold for a whole process ask for them, so another process is asked.
That costs about 0.3 s, and only where a kernel is refused or explained.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import llvmlite.binding as llvm

from hekla.lang.llvm.codegen import Flags, optimise
from hekla.lang.llvm.target import Target

TIMEOUT_S = 60.0
_REMARK = re.compile(r"^remark: (.*):(\d+):(\d+): (.*)$")
_WIDTH = re.compile(r"vectorized loop \(vectorization width: (?:vscale x )?(\d+), interleaved count: (\d+)\)")


@dataclass(frozen=True, slots=True)
class Remark:
    """What LLVM says of a place."""

    file: str
    line: int
    column: int
    text: str

    @property
    def width(self) -> tuple[int, int] | None:
        """(lanes, how many vectors one turn handles) where it says that a loop was vectorised."""
        found = _WIDTH.search(self.text)
        return (int(found[1]), int(found[2])) if found else None


# What LLVM says -> (what it means for the author, the cure); of several remarks, the one that stands first here counts.
REASONS: Mapping[str, tuple[str, str]] = {
    "could not determine number of loop iterations": (
        "how many turns it takes is not known beforehand", "count with range(n), without break or return",
    ),
    "reorder floating-point operations": (
        "a sum of floats is added in order", "allow @vectorize(..., reassociate=True), or sum into a Vec",
    ),
    "call instruction cannot be vectorized": (
        "it calls what has no vector form", "make the callee @kernel(inline=True) and free of loops and branches",
    ),
    "potentially faulting load": (
        "it may leave early, and what lies behind may not be read",
        "let every turn run, and note what was found in a variable",
    ),
    "early exit": ("it may leave early", "let every turn run, and note what was found in a variable"),
    "control flow is not understood": (
        "its control flow is not a plain counted loop", "drop break and return from it, or write it with Vec",
    ),
    "cannot identify array bounds": (
        "where it reads or writes is not known before it runs", "index by the counter, or use gather() and scatter()",
    ),
    "unsafe dependent memory operations": (
        "a turn may read what an earlier one wrote", "write to another view than the one read",
    ),
    "Backward loop carried data dependence": (
        "a turn reads what an earlier one wrote", "write to another view than the one read",
    ),
    "could not be identified as reduction": (
        "a value goes from turn to turn, and not as a sum or as a minimum or maximum of whole numbers",
        "compute it from the counter, or keep it in a Vec",
    ),
    "cost-model indicates that vectorization is not beneficial": (
        "vector code would be slower: its elements do not lie side by side",
        "make the innermost loop walk the last dimension",
    ),
    "cost-model indicates": ("vector code would be slower", "do more work in each turn, or write it with Vec"),
    "instruction cannot be vectorized": ("an operation has no vector form", "write it another way"),
    "instruction return type cannot be vectorized": ("an operation has no vector form", "write it another way"),
}  # fmt: skip


def explained(text: str) -> tuple[str, str]:
    """Return (reason, cure) for what LLVM says; its own words where we have none."""
    for sign, answer in REASONS.items():
        if sign in text:
            return answer
    return text.removeprefix("loop not vectorized: "), ""


def rank(text: str) -> int:
    """Return where the reason stands in REASONS; what we cannot explain comes last."""
    return next((i for i, sign in enumerate(REASONS) if sign in text), len(REASONS))


def remarks_of(text: str, target: Target, flags: Flags) -> list[Remark]:
    """Return what LLVM says of the loops of a module, from the same passes that compile it.

    Empty where no other process can be started, or LLVM says nothing.
    """
    asked = {"triple": target.triple, "cpu": target.cpu, "features": sorted(target.features), "flags": asdict(flags)}
    command = [sys.executable, "-c", "from hekla.lang.llvm import remarks; remarks.main()", json.dumps(asked)]
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    found = map(_REMARK.match, done.stderr.decode(errors="replace").splitlines())
    return [Remark(m[1], int(m[2]), int(m[3]), m[4]) for m in found if m]


def main() -> None:
    """Optimise the module on stdin, as the first argument asks, while LLVM says its remarks on stderr."""
    for option in ("-pass-remarks", "-pass-remarks-missed", "-pass-remarks-analysis"):
        llvm.set_option("hekla", f"{option}=loop-vectorize")
    wanted = json.loads(sys.argv[1])
    target = Target(wanted["triple"], wanted["cpu"], frozenset(wanted["features"]))
    flags = Flags(**wanted["flags"])
    machine = target.machine(flags.optimise)
    optimise(llvm.parse_assembly(sys.stdin.read()), machine, flags)
