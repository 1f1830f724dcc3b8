"""The typed tree the front end makes of one kernel for one choice of types and constants.

Expressions carry a type and a place. Leaves of arithmetic are `Op`s named as in the IR, so lowering flattens
and adds nothing. Control flow is still nested, which the ownership checker and the proofs rely on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hekla.lang.demand import VectorDemand
from hekla.lang.lock_order import Edge
from hekla.lang.source import Span
from hekla.lang.types import Type


@dataclass(slots=True, eq=False)
class Variable:
    """A local, a parameter or a loop counter; identity is the object."""

    name: str
    type: Type
    span: Span
    is_parameter: bool = False
    read_only: str = ""  # why it may not be assigned, for the error


@dataclass(slots=True, eq=False)
class Expr:
    """Root of expressions."""

    type: Type
    span: Span


@dataclass(slots=True, eq=False)
class Const(Expr):
    """A known number or truth value of scalar type."""

    value: int | float | bool


@dataclass(slots=True, eq=False)
class Op(Expr):
    """An operation of the IR on values."""

    name: str
    args: Sequence[Expr]
    attrs: dict[str, Any] = field(default_factory=dict)  # Any: numbers, tuples or names, by operation


@dataclass(slots=True, eq=False)
class Call(Expr):
    """A call of another specialised kernel."""

    callee: "Instance"
    args: Sequence[Expr]


@dataclass(slots=True, eq=False)
class Logical(Expr):
    """`and`, `or` on truth values: the right side runs only when it decides."""

    operator: str
    left: Expr
    right: Expr


@dataclass(slots=True, eq=False)
class Conditional(Expr):
    """`a if c else b`: only the chosen side runs."""

    condition: Expr
    then: Expr
    other: Expr


@dataclass(slots=True, eq=False)
class Place(Expr):
    """Something that can be read and, often, written: a root and steps into it.

    `root` is a variable, or an expression of view type. Steps are indices (Expr) or field numbers (int).
    """

    root: "Variable | Expr"
    steps: tuple["Expr | int", ...] = ()

    @property
    def variable(self) -> Variable | None:
        """The variable at the root when there is one."""
        return self.root if isinstance(self.root, Variable) else None


@dataclass(slots=True, eq=False)
class Borrow(Expr):
    """A view of a whole Array or Buffer variable."""

    place: Place
    mutable: bool


@dataclass(slots=True, eq=False)
class Statement:
    """Root of statements."""

    span: Span


@dataclass(slots=True, eq=False)
class Assign(Statement):
    """Store a value; the first one of a variable also declares it."""

    place: Place
    value: Expr


@dataclass(slots=True, eq=False)
class Split(Statement):
    """`left, right = split(view, at)`: two views of disjoint parts of the first dimension."""

    left: Variable
    right: Variable
    view: Expr
    at: Expr


@dataclass(slots=True, eq=False)
class Evaluate(Statement):
    """An expression for its effect."""

    value: Expr


@dataclass(slots=True, eq=False)
class If(Statement):
    """Two ways."""

    condition: Expr
    then: list[Statement]
    other: list[Statement]


@dataclass(slots=True, eq=False)
class While(Statement):
    """Repeat while the condition holds."""

    condition: Expr
    body: list[Statement]


@dataclass(slots=True, eq=False)
class For(Statement):
    """Count from `start` to before `stop`; `step` is a constant other than 0."""

    counter: Variable
    start: Expr
    stop: Expr
    step: int
    body: list[Statement]


@dataclass(slots=True, eq=False)
class Reduction:
    """A variable that every iteration combines with a value of its own, by "add", "min" or "max"."""

    variable: Variable
    kind: str


@dataclass(slots=True, eq=False)
class Parallel(Statement):
    """The iterations 0 to before `count`, in any order and at the same time on several threads.

    `unproved` is the author's reason to believe that they keep apart, where the solver shall not be asked.
    `reductions` are variables from outside that the iterations add up (or take the least or greatest of).
    """

    counter: Variable
    count: Expr
    body: list[Statement]
    unproved: str = ""
    reductions: "list[Reduction]" = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Lock(Statement):
    """`with lock(place) as name:` the mutex is held while the body runs, on whatever way it is left.

    `place` is the mutex; its content is a place of its own, which only the body can name. `unproved` is the author's
    reason to believe that no deadlock comes of it, where the order shall not be checked.
    """

    place: Place
    body: list[Statement]
    unproved: str = ""


@dataclass(slots=True, eq=False)
class Return(Statement):
    """Leave, with a value unless the kernel returns None."""

    value: Expr | None


@dataclass(slots=True, eq=False)
class Break(Statement):
    """Leave the innermost loop."""


@dataclass(slots=True, eq=False)
class Continue(Statement):
    """Go to the next turn of the innermost loop."""


@dataclass(slots=True, eq=False)
class Drop(Statement):
    """Free what an owning variable holds."""

    variable: Variable


@dataclass(slots=True, eq=False)
class Instance:
    """One kernel for one choice of types and constants."""

    name: str
    symbol: str
    params: list[Variable]
    result: Type
    body: list[Statement]
    span: Span
    inline: bool = False
    callees: "dict[str, Instance]" = field(default_factory=dict)
    demand: VectorDemand | None = None
    stack_bytes: int = 0  # of its arrays and records, and of the deepest calls below it
    holds: str = ""  # what its caller holds while it runs: the actor whose handler it is
    waits: "dict[str, tuple[tuple[str, Span], ...]]" = field(default_factory=dict)  # what it waits for, and the way
    edges: list[Edge] = field(default_factory=list)  # what is waited for while what is held
    result_borrows: frozenset[int] = frozenset()  # which view parameters a returned view may come from
