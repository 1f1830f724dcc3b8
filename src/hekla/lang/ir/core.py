"""The pieces of the IR: values, operations, blocks, functions, modules.

A function is a list of blocks; a block is a list of operations, the last of which leaves it. Values are
assigned once; a variable that is assigned more often lives in a slot (`memref.alloca`) that is loaded and
stored, and LLVM turns slots into registers. Slotted classes: read 10 times as often as built.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hekla.lang.demand import VectorDemand
from hekla.lang.lock_order import Edge
from hekla.lang.source import Span
from hekla.lang.types import Type

Attributes = dict[str, Any]  # Any: numbers, tuples or names, by operation; ir/verify.py knows which


@dataclass(frozen=True, slots=True)
class SlotType(Type):
    """The type of a place on the stack that holds one `element`."""

    element: Type

    def __str__(self) -> str:
        return f"slot<{self.element}>"


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """A loop of the source, on the branches that end its turns; identity is the object."""

    span: Span
    last_line: int
    innermost: bool


class Value:
    """The result of an operation or a parameter; identity is the object."""

    __slots__ = ("hint", "type")

    def __init__(self, type_: Type, hint: str = "") -> None:
        self.type, self.hint = type_, hint


class Op:
    """One operation; `result` is None where it has an effect only."""

    __slots__ = ("attrs", "name", "operands", "result", "span")

    def __init__(
        self, name: str, operands: Sequence[Value], result: Value | None, attrs: Attributes, span: Span
    ) -> None:
        self.name, self.operands, self.result, self.attrs, self.span = name, tuple(operands), result, attrs, span


class Block:
    """Operations that run one after the other."""

    __slots__ = ("label", "ops")

    def __init__(self, label: str) -> None:
        self.label = label
        self.ops: list[Op] = []

    @property
    def is_closed(self) -> bool:
        """True once the block ends in an operation that leaves it."""
        return bool(self.ops) and self.ops[-1].name in TERMINATORS


class Function:
    """A kernel instance as blocks; the first block is where it starts, and holds every slot."""

    __slots__ = ("blocks", "demand", "inline", "name", "params", "result", "span", "symbol")

    def __init__(self, name: str, symbol: str, params: list[Value], result: Type, span: Span, inline: bool) -> None:
        self.name, self.symbol, self.params, self.result, self.span, self.inline = (
            name,
            symbol,
            params,
            result,
            span,
            inline,
        )
        self.blocks: list[Block] = []
        self.demand: VectorDemand | None = None


class Module:
    """Functions by symbol, callees before callers; and the edges they have in the lock order."""

    __slots__ = ("edges", "functions")

    def __init__(self) -> None:
        self.edges: list[Edge] = []
        self.functions: dict[str, Function] = {}


TERMINATORS = frozenset({"cf.br", "cf.cond_br", "func.return"})


def path_text(path: Sequence[str | int], names: Sequence[str]) -> str:
    """Return the steps of a place as text: `[%i].2` for one index and then field 2."""
    indices = iter(names)
    return "".join(f"[{next(indices)}]" if step == "i" else f".{step}" for step in path)
