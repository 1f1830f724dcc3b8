"""What became of each loop of the source in LLVM's optimised code.

Loops carry a number (`!{!"hekla.loop", i32 N}`) from llvm/text.py through all passes. LLVM's vectoriser marks what
it made with `llvm.loop.isvectorized`. A loop without a trace was unrolled, became a block operation, or was
computed away: what is left of its lines decides.
"""

import enum
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hekla.lang.ir.core import Function, Loop

_METADATA = re.compile(r"^!(\d+) = (?:distinct )?(.*)$")
_NUMBER = re.compile(r'^!\{!"hekla\.loop", i32 (\d+)\}$')
_LATCH = re.compile(r"!llvm\.loop !(\d+)")
_LABEL = re.compile(r'^("[^"]+"|[-\w.$]+):')
_TARGET = re.compile(r'label %("[^"]+"|[-\w.$]+)')
_LANES = re.compile(r"<(?:vscale x )?(\d+) x (i\d+|half|bfloat|float|double)>")
_BITS = {"half": 16, "bfloat": 16, "float": 32, "double": 64}
_PLACE = re.compile(r"^!DILocation\(line: (\d+),.* scope: !(\d+)")
_SCOPE = re.compile(r'DISubprogram\(name: "([^"]+)"')
_WORK = re.compile(r"\b(load|store|fadd|fsub|fmul|fdiv|mul|sdiv|udiv|call)\b")


class Fate(enum.Enum):
    """What became of a loop."""

    VECTORISED = "vectorised"
    WRITTEN = "vector code as written"
    UNROLLED = "unrolled into vector operations"
    BLOCK = "became a block operation"
    COMPUTED = "computed away"
    UNROLLED_SCALAR = "unrolled into scalar operations"
    SCALAR = "scalar"

    @property
    def is_vector(self) -> bool:
        """True where nothing is left that runs element by element."""
        return self not in (Fate.SCALAR, Fate.UNROLLED_SCALAR)


@dataclass(frozen=True, slots=True)
class LoopFate:
    """A loop of the source and what became of it.

    lanes: the most elements in one operation, 1 where scalar. bits: of the widest operation, 0 where scalar.
    """

    function: Function
    loop: Loop
    fate: Fate
    lanes: int
    bits: int


def fates_of(loops: Sequence[tuple[Function, Loop]], optimised: str) -> list[LoopFate]:
    """Return the fate of each numbered loop, in the order of their numbers.

    optimised: LLVM's text of the module after all passes.
    """
    lines = optimised.splitlines()
    metadata = {int(m[1]): m[2] for m in map(_METADATA.match, lines) if m}
    found: dict[int, list[tuple[bool, int, int]]] = {}
    for number, is_vectorised, lanes, bits in _latches(lines, metadata):
        found.setdefault(number, []).append((is_vectorised, lanes, bits))
    done = []
    for number, (function, loop) in enumerate(loops):
        copies = found.get(number)
        if copies is None:
            done.append(_fate_of_rest(function, loop, lines, metadata))
            continue
        lanes, bits = max(lanes for _, lanes, _ in copies), max(bits for _, _, bits in copies)
        fate = Fate.SCALAR
        if all(marked for marked, _, _ in copies) and lanes > 1:
            fate = Fate.VECTORISED
        elif all(lanes > 1 for _, lanes, _ in copies):
            fate = Fate.WRITTEN
        done.append(LoopFate(function, loop, fate, *((lanes, bits) if fate.is_vector else (1, 0))))
    return done


def _latches(lines: Sequence[str], metadata: dict[int, str]) -> Iterator[tuple[int, bool, int, int]]:
    """Yield (loop number, whether marked, lanes, bits) of each branch that ends a turn of a numbered loop."""
    starts: dict[str, int] = {}
    for position, line in enumerate(lines):
        if line.startswith("define"):
            starts = {}
        label = _LABEL.match(line)
        if label is not None:
            starts[label[1]] = position
        latch = _LATCH.search(line)
        if latch is None:
            continue
        parts = [metadata.get(int(n), "") for n in re.findall(r"!(\d+)", metadata.get(int(latch[1]), ""))]
        numbers = [int(m[1]) for m in map(_NUMBER.match, parts) if m]
        heads = [starts[name] for name in _TARGET.findall(line) if name in starts]
        lanes, bits = widest("\n".join(lines[min(heads, default=position) : position + 1]))
        for number in numbers:
            yield number, any("llvm.loop.isvectorized" in p for p in parts), lanes, bits


def widest(text: str) -> tuple[int, int]:
    """Return (most lanes, most bits) of the vector types in LLVM text; (1, 0) where there are none."""
    found = [(int(n), int(n) * (_BITS.get(kind) or int(kind[1:]))) for n, kind in _LANES.findall(text)]
    return max((lanes for lanes, _ in found), default=1), max((bits for _, bits in found), default=0)


def _fate_of_rest(function: Function, loop: Loop, lines: Sequence[str], metadata: dict[int, str]) -> LoopFate:
    lanes, bits, scalar, block = 1, 0, False, False
    for line in lines:
        mark = re.search(r"!dbg !(\d+)", line)
        place = _PLACE.match(metadata.get(int(mark[1]), "")) if mark is not None else None
        if place is None or not loop.span.line < int(place[1]) <= loop.last_line:
            continue
        scope = _SCOPE.search(metadata.get(int(place[2]), ""))
        if scope is None or scope[1] != function.symbol:
            continue
        here = widest(line)
        lanes, bits = max(lanes, here[0]), max(bits, here[1])
        block |= "@llvm.mem" in line
        scalar |= here[0] == 1 and _WORK.search(line) is not None
    if lanes > 1:
        return LoopFate(function, loop, Fate.UNROLLED, lanes, bits)
    fate = Fate.BLOCK if block else Fate.UNROLLED_SCALAR if scalar else Fate.COMPUTED
    return LoopFate(function, loop, fate, 1, 0)
