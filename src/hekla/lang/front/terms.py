"""Integer expressions, views and conditions of a body as Z3 terms.

A view is a box: for each dimension of the captured view it comes from, a range of places. What cannot be read becomes
any integer, so that a proof over these terms is a proof whatever it is.

Assumed: indices do not wrap, and lie inside of what they index (checked builds test that). Two views captured from
outside are apart, because the ownership rules allow no writer beside another user of its memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.front.tree import walk

Term = Any  # Any: a Z3 integer or truth value; Z3 is imported when a proof is asked for, it takes 0.1 s
Conditions = tuple[Term, ...]
EFFORT = 5_000_000  # of the solver, in its own units: about 2 s, and the same answer on every machine


@dataclass(frozen=True, slots=True)
class Range:
    """Places along one dimension, [low, high); both None for all of it."""

    low: Term
    high: Term
    is_fixed: bool = False  # an index was taken: the dimension is gone from the view
    step: int = 1  # places from one element of the view to the next


Box = tuple[Range, ...]


class Terms:
    """What the variables of one body are, as far as they are known where the walk stands."""

    def __init__(self, body: Sequence[hir.Statement]) -> None:
        import z3  # see Term

        self.z3 = z3
        self.world = z3.Context()  # one for each proof: contexts are not safe between threads
        self.inside: dict[hir.Variable, Term] = {}  # terms that differ from iteration to iteration
        self.shared: dict[object, Term] = {}
        self.views: dict[hir.Variable, tuple[hir.Variable, Box]] = {}
        self.assigned: dict[hir.Variable, int] = {}
        self.unknown: list[Term] = []
        self.lost: set[hir.Variable] = set()  # views that look nobody knows where
        for s in walk(body):
            if isinstance(s, hir.Assign) and s.place.variable is not None and not s.place.steps:
                self.assigned[s.place.variable] = self.assigned.get(s.place.variable, 0) + 1

    def own(self, variable: hir.Variable) -> Term:
        """Return the symbol of a variable that every iteration has for itself."""
        if variable not in self.inside:
            self.inside[variable] = self.z3.Int(f"{variable.name}@{len(self.inside)}", self.world)
        return self.inside[variable]

    def _shared(self, key: object, name: str) -> Term:
        if key not in self.shared:
            self.shared[key] = self.z3.Int(f"{name}#{len(self.shared)}", self.world)
        return self.shared[key]

    def _any_place(self) -> Term:
        symbol = self.z3.Int(f"any{len(self.unknown)}", self.world)
        self.unknown.append(symbol)
        return symbol

    def term(self, e: hir.Expr) -> Term:
        """Return an integer expression as a term; what cannot be read becomes any integer."""
        if isinstance(e, hir.Const):
            return self.z3.IntVal(int(e.value), self.world)
        if isinstance(e, hir.Place) and e.variable is not None and not e.steps:
            return self._variable(e.variable)
        if isinstance(e, hir.Op):
            return self._operation(e)
        return self._any_place()

    def _variable(self, variable: hir.Variable) -> Term:
        if variable in self.inside:
            return self.inside[variable]
        if variable in self.assigned:
            return self._any_place()  # assigned more than once, or not yet seen
        return self._shared(variable, variable.name)

    def _operation(self, e: hir.Op) -> Term:
        if e.name == "memref.dim":
            return self._length(e)
        if e.type not in (t.index, t.i64):
            return self._any_place()  # narrow sums wrap
        if e.name == "arith.extsi" or (e.name == "arith.bitcast" and t.index == e.type):
            return self.term(e.args[0])
        known = [self.term(a) for a in e.args] if len(e.args) == 2 else []
        if not known:
            return self._any_place()
        a, b = known
        divides = (
            e.name in ("arith.floordivsi", "arith.floormodsi")
            and isinstance(e.args[1], hir.Const)
            and e.args[1].value > 0
        )
        if divides:
            return a / b if e.name == "arith.floordivsi" else a % b
        made = {
            "arith.addi": lambda: a + b, "arith.subi": lambda: a - b, "arith.muli": lambda: a * b,
            "arith.minsi": lambda: self.z3.If(a < b, a, b), "arith.maxsi": lambda: self.z3.If(a > b, a, b),
        }.get(e.name)  # fmt: skip
        return made() if made is not None else self._any_place()

    def _length(self, e: hir.Op) -> Term:
        view, dimension = e.args[0], e.attrs["dimension"]
        if isinstance(view, hir.Place) and view.variable is not None and not view.steps:
            if view.variable in self.views:
                ranges = [r for r in self.views[view.variable][1] if not r.is_fixed]
                one = ranges[dimension]
                if one.low is None:
                    return self._any_place()
                return (one.high - one.low + one.step - 1) / one.step
            if view.variable not in self.assigned:
                return self._shared((view.variable, dimension), f"len_{view.variable.name}")
        return self._any_place()

    def holds(self, e: hir.Expr, truth: bool) -> Conditions:
        """Return what follows from a condition's being true, or false: as much as can be read."""
        if isinstance(e, hir.Logical):
            sides = [self.holds(side, truth) for side in (e.left, e.right)]
            if (e.operator == "and") == truth:
                return (*sides[0], *sides[1])
            return (self.z3.Or(*(self.z3.And(*side) for side in sides)),) if all(sides) else ()
        if not isinstance(e, hir.Op):
            return ()
        if e.name == "arith.xori" and e.type == t.bool_ and isinstance(e.args[1], hir.Const) and e.args[1].value:
            return self.holds(e.args[0], not truth)
        if e.name != "arith.cmpi" or not t.is_scalar(e.args[0].type, "int") or e.attrs["predicate"][0] == "u":
            return ()
        a, b = (self.term(x) for x in e.args)
        made: Term = {
            "eq": lambda: a == b, "ne": lambda: a != b, "lt": lambda: a < b, "le": lambda: a <= b,
            "gt": lambda: a > b, "ge": lambda: a >= b,
        }[e.attrs["predicate"][-2:]]()  # fmt: skip
        return (made if truth else self.z3.Not(made),)

    def learn(self, s: hir.Assign) -> bool:
        """Note what an assignment to a whole variable says of it; False for a view that cannot be followed."""
        variable = s.place.variable
        assert variable is not None
        if isinstance(variable.type, t.ViewType):
            return self.name_view(variable, s.value)
        if t.is_scalar(variable.type, "int") and self.assigned.get(variable) == 1:
            self.inside[variable] = self.term(s.value)
        return True

    def solver(self) -> Any:  # Any: a Z3 solver
        """Return a solver with the effort it may take, that knows lengths are not negative."""
        solver = self.z3.Solver(ctx=self.world)
        solver.set("rlimit", EFFORT)
        solver.add(*(length >= 0 for key, length in self.shared.items() if isinstance(key, tuple)))
        return solver

    def name_view(self, variable: hir.Variable, value: hir.Expr) -> bool:
        """Note where a new view looks; False where that cannot be followed."""
        found = self.view(value)
        if found is None or self.assigned.get(variable, 0) > 1:
            self.lost.add(variable)
            return False
        self.views[variable] = found
        return True

    def view(self, e: hir.Expr) -> tuple[hir.Variable, Box] | None:
        """Return (captured view, box) of a view expression; None for views of the iteration's own memory."""
        if isinstance(e, hir.Place) and e.variable is not None and not e.steps:
            if e.variable in self.views:
                return self.views[e.variable]
            if e.variable in self.lost:
                return None
            assert isinstance(e.variable.type, t.ViewType)
            return e.variable, (Range(None, None),) * e.variable.type.rank
        if isinstance(e, hir.Borrow):
            assert e.place.variable is not None
            assert isinstance(e.type, t.ViewType)
            return e.place.variable, (Range(None, None),) * e.type.rank
        if isinstance(e, hir.Op) and e.name == "memref.take":
            owner = e.args[0]
            assert isinstance(owner, hir.Place)
            assert owner.variable is not None
            return owner.variable, (Range(None, None),)  # a region of the iteration's own: none comes from outside
        if isinstance(e, hir.Op) and e.name == "memref.cast":
            return self.view(e.args[0])
        if isinstance(e, hir.Op) and e.name == "memref.subview":
            return self._subview(e)
        return None

    def _subview(self, e: hir.Op) -> tuple[hir.Variable, Box] | None:
        found = self.view(e.args[0])
        if found is None:
            return None
        words, letters, box = list(e.args[1:]), list(e.attrs["form"]), []
        for one in found[1]:
            if one.is_fixed:
                box.append(one)
                continue
            letter = letters.pop(0)
            offset = one.low if one.low is not None else 0
            if letter == "-":
                box.append(one)
            elif letter == "i":
                index = offset + one.step * self.term(words.pop(0))
                box.append(Range(index, index + 1, is_fixed=True))
            else:
                low, high = (offset + one.step * self.term(words.pop(0)) for _ in range(2))
                step = one.step
                if letter == "k":
                    by = words.pop(0)
                    assert isinstance(by, hir.Const)
                    step *= int(by.value)
                box.append(Range(low, high, step=step))
        return found[0], tuple(box)

    def box(
        self, view: hir.Expr, indices: Sequence[hir.Expr] | None, lanes: int = 1
    ) -> tuple[hir.Variable, Box, Conditions] | None:
        """Return (captured view, box, what must hold) of an access to a view; without indices to all of it.

        None where it cannot be followed where the view looks.
        """
        found = self.view(view)
        if found is None:
            return None
        terms = None if indices is None else [self.term(i) for i in indices]
        box: list[Range] = []
        conditions: Conditions = ()
        for one in found[1]:
            if one.is_fixed or terms is None:
                box.append(one)
                continue
            index = terms.pop(0)
            width = lanes if not terms else 1
            low = index if one.low is None else one.low + one.step * index
            high = low + (width - 1) * one.step + 1
            if one.high is not None:
                conditions = (*conditions, index >= 0)
                high = self.z3.If(high < one.high, high, one.high)  # lanes past the end are masked
            box.append(Range(low, high))
        return found[0], tuple(box), conditions
