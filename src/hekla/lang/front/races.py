"""Proof that the iterations of a parallel loop keep apart.

Every access of the body to a view is a box of integer terms over the counter, inner counters and what the loop
captures. For each write and each other access to the same view the solver is asked for two different iterations
whose boxes meet. None: proved. Some: the error shows them. No answer with a fixed effort, or an index the solver
cannot read (it then stands for any place): refused, unless the author writes `parallel(n, unproved="the reason")`.

Assumed: indices do not wrap, and lie inside of what they index (checked builds test that). Two views captured from
outside are apart, because the ownership rules allow no writer beside another user of its memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.errors import RaceError
from hekla.lang.front.captures import captured_variables
from hekla.lang.front.tree import children_of, expressions_of, walk
from hekla.lang.source import Span

Term = Any  # Any: a Z3 integer or truth value; Z3 is imported when a parallel loop is met, it takes 0.1 s
EFFORT = 5_000_000  # of the solver, in its own units: about 2 s, and the same answer on every machine
SMALL = 9  # iterations below are tried one by one for the error
WRITES = {"vector.store": 1, "vector.maskedstore": 1, "vector.stream_store": 1, "vector.scatter": 1}
READS = {"vector.load": 0, "vector.maskedload": 0, "vector.gather": 0}


@dataclass(frozen=True, slots=True)
class _Range:
    """Places along one dimension, [low, high); both None for all of it."""

    low: Term
    high: Term
    is_fixed: bool = False  # an index was taken: the dimension is gone from the view


@dataclass(frozen=True, slots=True)
class _Access:
    """A box of a captured view that an iteration touches, under the conditions on the way to it."""

    root: hir.Variable
    box: tuple[_Range, ...]
    writes: bool
    span: Span
    conditions: tuple[Term, ...]
    is_atomic: bool = False


def check_races(instance: hir.Instance) -> None:
    """Check every parallel loop of a kernel. Errors: RaceError with two iterations that meet."""
    for s in walk(instance.body):
        if isinstance(s, hir.Parallel):
            _check_captures(s)
            if not s.unproved:
                _Proof(s).run()


def _check_captures(loop: hir.Parallel) -> None:
    """Owned memory is lent to a parallel loop as views, so that all sharing is seen."""
    for variable in captured_variables(loop):
        if isinstance(variable.type, t.ArrayType | t.BufferType | t.RegionType):
            raise RaceError(
                f"{variable.name!r} is {variable.type} from outside of this parallel loop",
                span=loop.span,
                cure="take() from it before the loop, or make one in each iteration"
                if isinstance(variable.type, t.RegionType)
                else f"lend it before the loop: v = {variable.name}.view() or .mut()",
                notes=[("it lives here", variable.span)],
            )


class _Proof:
    """The accesses of one loop, and the questions about them."""

    def __init__(self, loop: hir.Parallel) -> None:
        import z3  # see Term

        self.z3, self.loop = z3, loop
        self.world = z3.Context()  # one for each proof: contexts are not safe between threads
        self.inside: dict[hir.Variable, Term] = {}  # terms that differ from iteration to iteration
        self.shared: dict[object, Term] = {}
        self.views: dict[hir.Variable, tuple[hir.Variable, tuple[_Range, ...]]] = {}
        self.assigned: dict[hir.Variable, int] = {}
        self.accesses: list[_Access] = []
        self.unknown: list[Term] = []
        for s in walk(loop.body):
            if isinstance(s, hir.Assign) and s.place.variable is not None and not s.place.steps:
                self.assigned[s.place.variable] = self.assigned.get(s.place.variable, 0) + 1
        self.counter = self._own(loop.counter)
        self.count = self.term(loop.count)

    def run(self) -> None:
        """Collect the accesses and ask about every pair with a write."""
        start = (self.counter >= 0, self.counter < self.count)
        self._block(self.loop.body, start)
        for i, one in enumerate(self.accesses):
            for other in self.accesses[i:]:
                if one.root is other.root and (one.writes or other.writes) and not (one.is_atomic and other.is_atomic):
                    self._ask(one, other)

    # --- terms ------------------------------------------------------------------------------------------

    def _own(self, variable: hir.Variable) -> Term:
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
                if one.low is not None:
                    return one.high - one.low
                return self._any_place()
            if view.variable not in self.assigned:
                return self._shared((view.variable, dimension), f"len_{view.variable.name}")
        return self._any_place()

    def condition(self, e: hir.Expr) -> Term | None:
        """Return a comparison of integers as a term, None for anything else."""
        if isinstance(e, hir.Op) and e.name == "arith.cmpi" and t.is_scalar(e.args[0].type, "int"):
            a, b = (self.term(x) for x in e.args)
            made: Term = {
                "eq": lambda: a == b, "ne": lambda: a != b, "lt": lambda: a < b, "le": lambda: a <= b,
                "gt": lambda: a > b, "ge": lambda: a >= b,
            }[e.attrs["predicate"][-2:]]()  # fmt: skip
            is_unsigned = e.attrs["predicate"][0] == "u"
            return None if is_unsigned else made
        return None

    # --- the body ---------------------------------------------------------------------------------------

    def _block(self, body: Sequence[hir.Statement], conditions: tuple[Term, ...]) -> None:
        for s in body:
            self._statement(s, conditions)

    def _statement(self, s: hir.Statement, conditions: tuple[Term, ...]) -> None:
        for e in expressions_of(s):
            self._expression(e, conditions)
        if isinstance(s, hir.Assign):
            self._assign(s, conditions)
        elif isinstance(s, hir.Split):
            for half in (s.left, s.right):
                self._name_view(half, s.view)  # each half stands for the whole: more is refused, never less
        elif isinstance(s, hir.If):
            known = self.condition(s.condition)
            self._block(s.then, conditions if known is None else (*conditions, known))
            self._block(s.other, conditions if known is None else (*conditions, self.z3.Not(known)))
        elif isinstance(s, hir.For):
            counter = self._own(s.counter)
            low, high = (s.start, s.stop) if s.step > 0 else (s.stop, s.start)
            inside = (counter >= self.term(low), counter < self.term(high) + (0 if s.step > 0 else 1))
            steps = (((counter - self.term(s.start)) % abs(s.step)) == 0,) if s.step > 0 else ()
            self._block(s.body, (*conditions, *inside, *steps))
        elif isinstance(s, hir.While):
            self._block(s.body, conditions)

    def _assign(self, s: hir.Assign, conditions: tuple[Term, ...]) -> None:
        variable = s.place.variable
        if s.place.steps or variable is None:
            self._touch(s.place, True, conditions)
            return
        if isinstance(variable.type, t.ViewType):
            self._name_view(variable, s.value)
        elif t.is_scalar(variable.type, "int") and self.assigned.get(variable) == 1:
            self.inside[variable] = self.term(s.value)

    def _name_view(self, variable: hir.Variable, value: hir.Expr) -> None:
        found = self._view(value)
        if found is None or self.assigned.get(variable, 0) > 1:
            raise RaceError(
                f"where {variable.name!r} looks cannot be followed",
                span=variable.span,
                cure="name each view once, by slices",
            )
        self.views[variable] = found

    def _expression(self, e: hir.Expr, conditions: tuple[Term, ...]) -> None:
        if isinstance(e, hir.Place) and e.steps:
            self._touch(e, False, conditions)
        elif isinstance(e, hir.Op) and (e.name in WRITES or e.name in READS):
            self._vector(e, conditions)
        elif isinstance(e, hir.Op) and e.name.startswith("memref.atomic"):
            view = e.args[0]
            assert isinstance(view.type, t.ViewType)
            indices = list(e.args[1 : 1 + view.type.rank])
            self._box(view, indices, 1, e.name != "memref.atomic_load", e.span, conditions)
            self.accesses[-1] = replace(self.accesses[-1], is_atomic=True)
        elif isinstance(e, hir.Op) and e.name in ("system.read", "system.write", "system.open"):
            self._whole(e.args[-1], e.name == "system.read", conditions)
        elif isinstance(e, hir.Call):
            for argument in e.args:
                if isinstance(argument.type, t.ViewType):
                    self._whole(argument, argument.type.mutable, conditions)
        for child in children_of(e):
            self._expression(child, conditions)

    # --- accesses ---------------------------------------------------------------------------------------

    def _view(self, e: hir.Expr) -> tuple[hir.Variable, tuple[_Range, ...]] | None:
        """Return (captured view, box) of a view expression; None for views of the iteration's own memory."""
        if isinstance(e, hir.Place) and e.variable is not None and not e.steps:
            if e.variable in self.views:
                return self.views[e.variable]
            assert isinstance(e.variable.type, t.ViewType)
            return e.variable, (_Range(None, None),) * e.variable.type.rank
        if isinstance(e, hir.Borrow):
            assert e.place.variable is not None
            assert isinstance(e.type, t.ViewType)
            return e.place.variable, (_Range(None, None),) * e.type.rank
        if isinstance(e, hir.Op) and e.name == "memref.take":
            owner = e.args[0]
            assert isinstance(owner, hir.Place)
            assert owner.variable is not None
            return owner.variable, (_Range(None, None),)  # a region of the iteration's own: none comes from outside
        if isinstance(e, hir.Op) and e.name == "memref.cast":
            return self._view(e.args[0])
        if isinstance(e, hir.Op) and e.name == "memref.subview":
            return self._subview(e)
        return None

    def _subview(self, e: hir.Op) -> tuple[hir.Variable, tuple[_Range, ...]] | None:
        found = self._view(e.args[0])
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
                index = offset + self.term(words.pop(0))
                box.append(_Range(index, index + 1, is_fixed=True))
            else:
                low, high = offset + self.term(words.pop(0)), offset + self.term(words.pop(0))
                if letter == "k":
                    words.pop(0)
                box.append(_Range(low, high))
        return found[0], tuple(box)

    def _touch(self, place: hir.Place, writes: bool, conditions: tuple[Term, ...]) -> None:
        root = place.root
        view = hir.Place(root.type, place.span, root) if isinstance(root, hir.Variable) else root
        if isinstance(view.type, t.ViewType):
            indices = [s for s in place.steps if isinstance(s, hir.Expr)][: view.type.rank]
            self._box(view, indices, 1, writes, place.span, conditions)

    def _vector(self, e: hir.Op, conditions: tuple[Term, ...]) -> None:
        at = WRITES.get(e.name, 0)
        view, writes = e.args[at], e.name in WRITES
        assert isinstance(view.type, t.ViewType)
        if e.name in ("vector.gather", "vector.scatter"):
            self._whole(view, writes, conditions)
            return
        vector = e.args[0].type if writes else e.type
        assert isinstance(vector, t.VecType)
        indices = list(e.args[at + 1 : at + 1 + view.type.rank])
        self._box(view, indices, vector.lanes, writes, e.span, conditions)

    def _whole(self, view: hir.Expr, writes: bool, conditions: tuple[Term, ...]) -> None:
        self._box(view, None, 0, writes, view.span, conditions)

    def _box(
        self,
        view: hir.Expr,
        indices: Sequence[hir.Expr] | None,
        lanes: int,
        writes: bool,
        span: Span,
        conditions: tuple[Term, ...],
    ) -> None:
        if isinstance(view, hir.Op) and view.name == "memref.text":
            return  # nobody writes it
        found = self._view(view)
        if found is None:
            raise RaceError(
                "where this view looks cannot be followed", span=view.span, cure="make it by slices, in the loop"
            )
        root, ranges = found
        if not isinstance(root.type, t.ViewType):
            return  # an Array or Buffer of this iteration
        terms = None if indices is None else [self.term(i) for i in indices]
        box: list[_Range] = []
        for one in ranges:
            if one.is_fixed or terms is None:
                box.append(one)
                continue
            index = terms.pop(0)
            width = lanes if not terms else 1
            low = index if one.low is None else one.low + index
            high = low + width
            if one.high is not None:
                conditions = (*conditions, index >= 0)
                high = self.z3.If(high < one.high, high, one.high)  # lanes past the end are masked
            box.append(_Range(low, high))
        self.accesses.append(_Access(root, tuple(box), writes, span, conditions))

    # --- questions --------------------------------------------------------------------------------------

    def _ask(self, one: _Access, other: _Access) -> None:
        """Refuse where two different iterations may touch one place through these accesses."""
        z3 = self.z3
        own = [v for v in self.inside.values() if z3.is_const(v) and v.decl().kind() == z3.Z3_OP_UNINTERPRETED]
        renamed = [(v, z3.Int(f"{v}'", self.world)) for v in (*own, *self.unknown)]

        def second(term: Term) -> Term:
            return z3.substitute(term, *renamed) if z3.is_expr(term) else term

        first, then = self.counter, second(self.counter)
        solver = z3.Solver(ctx=self.world)
        solver.set("rlimit", EFFORT)
        solver.add(first != then, *one.conditions, *(second(c) for c in other.conditions))
        solver.add(*(length >= 0 for key, length in self.shared.items() if isinstance(key, tuple)))
        for a, b in zip(one.box, other.box, strict=True):
            if a.low is not None and b.low is not None:
                solver.add(a.low < second(b.high), second(b.low) < a.high)
        answer = solver.check()
        if answer == z3.unsat:
            return
        writer, user = (one, other) if one.writes else (other, one)
        cure = "let each iteration write places of its own, or give unproved='the reason'"
        notes = [("the other access", user.span)] if user.span != writer.span else []
        if answer != z3.sat:
            raise RaceError(
                f"it could not be shown that iterations write apart in {writer.root.name!r}",
                span=writer.span,
                cure=cure,
                notes=notes,
            )
        low, high = self._smallest(solver, first, then)
        verb = "write" if user.writes else "write and read"
        raise RaceError(
            f"iterations {low} and {high} may {verb} the same place of {writer.root.name!r}",
            span=writer.span, cure=cure, notes=notes,
        )  # fmt: skip

    def _smallest(self, solver: Any, first: Term, then: Term) -> tuple[int, int]:  # Any: a Z3 solver that said sat
        """Return the two smallest iterations that meet, so that the same program always shows the same pair."""
        z3 = self.z3
        for high in range(1, SMALL):
            for low in range(high):
                pair = z3.Or(z3.And(first == low, then == high), z3.And(first == high, then == low))
                if solver.check(pair) == z3.sat:
                    return low, high
        solver.check()
        model = solver.model()
        low, high = sorted(model.eval(x, model_completion=True).as_long() for x in (first, then))
        return low, high
