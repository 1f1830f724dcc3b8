"""Proof that the iterations of a parallel loop keep apart.

Every access of the body to a view is a box (front/terms.py). For each write and each other access to the same view the
solver is asked for two different iterations whose boxes meet. None: proved. Some: the error shows them. No answer with
a fixed effort, or an index the solver cannot read (it then stands for any place): refused, unless the author writes
`parallel(n, unproved="the reason")`.

An Atomic, and what a Mutex guards, is left out: its type allows no access that another could race with. So is a
reduction: each run of iterations has one of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.errors import RaceError
from hekla.lang.front.captures import captured_variables
from hekla.lang.front.terms import Box, Conditions, Term, Terms
from hekla.lang.front.tree import children_of, shared_part, walk
from hekla.lang.front.walk import Walk
from hekla.lang.source import Span

SMALL = 9  # iterations below are tried one by one for the error
WRITES = {"vector.store": 1, "vector.maskedstore": 1, "vector.stream_store": 1, "vector.scatter": 1}
READS = {"vector.load": 0, "vector.maskedload": 0, "vector.gather": 0}


@dataclass(frozen=True, slots=True)
class _Access:
    """A box of a captured view that an iteration touches, under the conditions on the way to it."""

    root: hir.Variable
    box: Box
    writes: bool
    span: Span
    conditions: Conditions
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
        if isinstance(variable.type, t.ArrayType | t.BufferType | t.RegionType) or t.is_shared(variable.type):
            raise RaceError(
                f"{variable.name!r} is {variable.type} from outside of this parallel loop",
                span=loop.span,
                cure="take() from it before the loop, or make one in each iteration"
                if isinstance(variable.type, t.RegionType)
                else f"lend it before the loop: v = {variable.name}.view() or .mut()",
                notes=[("it lives here", variable.span)],
            )


class _Proof(Walk):
    """The accesses of one loop, and the questions about them."""

    def __init__(self, loop: hir.Parallel) -> None:
        super().__init__(Terms(loop.body))
        self.loop = loop
        self.accesses: list[_Access] = []

    def run(self) -> None:
        """Collect the accesses and ask about every pair with a write."""
        self.counted(self.loop.counter, self.loop.count, self.loop.body, ())
        for i, one in enumerate(self.accesses):
            for other in self.accesses[i:]:
                if one.root is other.root and (one.writes or other.writes) and not (one.is_atomic and other.is_atomic):
                    self._ask(one, other)

    # --- accesses ---------------------------------------------------------------------------------------

    def launched(self, s: hir.Parallel, conditions: Conditions) -> None:
        raise AssertionError("a parallel loop in a parallel loop, which the front end refuses")

    def locked(self, s: hir.Lock, conditions: Conditions) -> None:
        self.block(s.body, conditions)

    def lost(self, variable: hir.Variable) -> None:
        raise RaceError(
            f"where {variable.name!r} looks cannot be followed",
            span=variable.span,
            cure="name each view once, by slices",
        )

    def stored(self, place: hir.Place, conditions: Conditions) -> None:
        self._touch(place, True, conditions)

    def expression(self, e: hir.Expr, conditions: Conditions) -> None:
        children = children_of(e)
        if isinstance(e, hir.Place) and e.steps:
            self._touch(e, False, conditions)
        elif isinstance(e, hir.Op) and (e.name in WRITES or e.name in READS):
            self._vector(e, conditions)
        elif isinstance(e, hir.Op) and e.name.startswith("memref.atomic"):
            place = e.args[0]
            assert isinstance(place, hir.Place)
            self._touch(place, e.name != "memref.atomic_load", conditions, is_atomic=True)
            children = [*children_of(place), *e.args[1:]]
        elif isinstance(e, hir.Op) and e.name in ("system.read", "system.write", "system.open"):
            view = e.args[-1]
            self._box(view, None, 0, e.name == "system.read", view.span, conditions)
        elif isinstance(e, hir.Call):
            for argument in e.args:
                if isinstance(argument.type, t.ViewType):
                    self._box(argument, None, 0, argument.type.mutable, argument.span, conditions)
        for child in children:
            self.expression(child, conditions)

    def _touch(self, place: hir.Place, writes: bool, conditions: Conditions, *, is_atomic: bool = False) -> None:
        root = place.root
        view = hir.Place(root.type, place.span, root) if isinstance(root, hir.Variable) else root
        if isinstance(view.type, t.ViewType) and not shared_part(place):
            indices = [s for s in place.steps if isinstance(s, hir.Expr)][: view.type.rank]
            self._box(view, indices, 1, writes, place.span, conditions, is_atomic=is_atomic)

    def _vector(self, e: hir.Op, conditions: Conditions) -> None:
        at = WRITES.get(e.name, 0)
        view, writes = e.args[at], e.name in WRITES
        assert isinstance(view.type, t.ViewType)
        if e.name in ("vector.gather", "vector.scatter"):
            self._box(view, None, 0, writes, view.span, conditions)
            return
        vector = e.args[0].type if writes else e.type
        assert isinstance(vector, t.VecType)
        indices = list(e.args[at + 1 : at + 1 + view.type.rank])
        self._box(view, indices, vector.lanes, writes, e.span, conditions)

    def _box(
        self,
        view: hir.Expr,
        indices: Sequence[hir.Expr] | None,
        lanes: int,
        writes: bool,
        span: Span,
        conditions: Conditions,
        *,
        is_atomic: bool = False,
    ) -> None:
        if isinstance(view, hir.Op) and view.name == "memref.text":
            return  # nobody writes it
        found = self.terms.box(view, indices, lanes)
        if found is None:
            raise RaceError(
                "where this view looks cannot be followed", span=view.span, cure="make it by slices, in the loop"
            )
        root, box, inside = found
        if isinstance(root.type, t.ViewType):  # else an Array or Buffer of this iteration
            self.accesses.append(_Access(root, box, writes, span, (*conditions, *inside), is_atomic))

    # --- questions --------------------------------------------------------------------------------------

    def _ask(self, one: _Access, other: _Access) -> None:
        """Refuse where two different iterations may touch one place through these accesses."""
        terms, z3 = self.terms, self.terms.z3
        own = [v for v in terms.inside.values() if z3.is_const(v) and v.decl().kind() == z3.Z3_OP_UNINTERPRETED]
        renamed = [(v, z3.Int(f"{v}'", terms.world)) for v in (*own, *terms.unknown)]

        def second(term: Term) -> Term:
            return z3.substitute(term, *renamed) if z3.is_expr(term) else term

        first = terms.own(self.loop.counter)
        then = second(first)
        solver = terms.solver()
        solver.add(first != then, *one.conditions, *(second(c) for c in other.conditions))
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
        z3 = self.terms.z3
        for high in range(1, SMALL):
            for low in range(high):
                pair = z3.Or(z3.And(first == low, then == high), z3.And(first == high, then == low))
                if solver.check(pair) == z3.sat:
                    return low, high
        solver.check()
        model = solver.model()
        low, high = sorted(model.eval(x, model_completion=True).as_long() for x in (first, then))
        return low, high
