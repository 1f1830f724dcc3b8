"""Proof that no thread waits for itself in a circle: in which order a kernel takes its locks.

Locks of different kinds give edges of the lock order (lock_order.py), which must have no ring. Two locks of one kind
must be taken by rising address: the solver is asked for a way to take them in another order, and what it finds is the
error's example. It can compare places of one dense view of one dimension, and fields within its elements; for the rest
the order cannot be shown, and the author writes `lock(m, unproved="the reason")`.
"""

from dataclasses import dataclass
from typing import Any

from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.errors import DeadlockError, Note
from hekla.lang.front.terms import Conditions, Term, Terms
from hekla.lang.front.tree import children_of, expressions_of, walk
from hekla.lang.front.walk import Walk
from hekla.lang.lock_order import Edge

SMALL = 5  # places below are tried one by one for the error
CURE = "take the lower place first, or give unproved='the reason'"


@dataclass(frozen=True, slots=True)
class _Address:
    """A lock's place: bytes from the start of a view or variable, and the number of the element it lies in."""

    root: hir.Variable
    offset: Term
    element: Term


@dataclass(frozen=True, slots=True)
class _Held:
    """What is held where the walk stands."""

    kind: str
    note: Note
    address: _Address | None


def check_locks(instance: hir.Instance) -> None:
    """Note what a kernel waits for and in which order. Errors: DeadlockError for two locks of one kind."""
    if instance.holds or any(_waits(s) for s in walk(instance.body)):
        _Proof(instance).run()


def _waits(s: hir.Statement) -> bool:
    return isinstance(s, hir.Lock) or any(_calls_waiting(e) for e in expressions_of(s))


def _calls_waiting(e: hir.Expr) -> bool:
    return (isinstance(e, hir.Call) and bool(e.callee.waits)) or any(map(_calls_waiting, children_of(e)))


class _Proof(Walk):
    """Walks a kernel with the locks it holds."""

    def __init__(self, instance: hir.Instance) -> None:
        super().__init__(Terms(instance.body))
        self.instance = instance
        self.held: list[_Held] = []
        if instance.holds:
            note = (f"{instance.name} runs while {instance.holds} is held", instance.span)
            self.held.append(_Held(instance.holds, note, None))

    def run(self) -> None:
        """Fill the instance's `waits` and `edges`."""
        self.block(self.instance.body, ())

    def lost(self, variable: hir.Variable) -> None:
        """What is locked through it has no address."""

    def stored(self, place: hir.Place, conditions: Conditions) -> None:
        """Writing waits for nobody."""

    def launched(self, s: hir.Parallel, conditions: Conditions) -> None:
        self.counted(s.counter, s.count, s.body, conditions)

    def expression(self, e: hir.Expr, conditions: Conditions) -> None:
        if isinstance(e, hir.Call):
            for kind, path in e.callee.waits.items():
                self._wanted(kind, ((f"{e.callee.name}() is called", e.span), *path))
        for child in children_of(e):
            self.expression(child, conditions)

    def _wanted(self, kind: str, path: tuple[Note, ...]) -> None:
        self.instance.waits.setdefault(kind, path)
        for held in self.held:
            self.instance.edges.append(Edge(held.kind, kind, (held.note, *path)))

    def locked(self, s: hir.Lock, conditions: Conditions) -> None:
        kind, address = str(s.place.type), self._address(s.place)
        note = (f"{kind} is locked", s.place.span)
        if not s.unproved:
            self.instance.waits.setdefault(kind, (note,))
            for held in self.held:
                if held.kind == kind:
                    self._ask(held, s, address, conditions)
                else:
                    self.instance.edges.append(Edge(held.kind, kind, (held.note, note)))
        self.held.append(_Held(kind, note, address))
        self.block(s.body, conditions)
        self.held.pop()

    def _address(self, place: hir.Place) -> _Address | None:
        """Return where a lock lies, None where that cannot be compared."""
        terms, steps = self.terms, list(place.steps)
        if not isinstance(place.root, hir.Variable):
            return None
        root, kind = place.root, place.root.type
        offset = element = terms.z3.IntVal(0, terms.world)
        if isinstance(kind, t.ViewType):
            view = hir.Place(kind, place.span, root)
            found = terms.box(view, [s for s in steps if isinstance(s, hir.Expr)][: kind.rank])
            if found is None or len(found[1]) != 1 or _is_strided(found[0].type):
                return None
            root, element = found[0], found[1][0].low
            steps, kind = steps[kind.rank :], kind.element
            offset = element * t.size_and_align(kind)[0]
        for step in steps:
            if isinstance(step, int):
                assert isinstance(kind, t.StructType)
                offset, kind = offset + t.struct_layout(kind)[0][step], kind.fields[step][1]
            else:
                assert isinstance(kind, t.ArrayType | t.BufferType)
                kind = kind.element
                offset = offset + terms.term(step) * t.size_and_align(kind)[0]
        return _Address(root, offset, element)

    def _ask(self, held: _Held, s: hir.Lock, address: _Address | None, conditions: Conditions) -> None:
        """Refuse where the lock may not lie above one of its kind that is held."""
        before = held.address
        if before is None or address is None or before.root is not address.root:
            raise DeadlockError(
                f"this waits for {held.kind} while one is held, and the order of the two was not shown",
                span=s.place.span,
                cure="lock places of one dense view, or give unproved='the reason'",
                notes=[held.note],
            )
        z3, solver = self.terms.z3, self.terms.solver()
        solver.add(*conditions)
        if solver.check(before.offset >= address.offset) == z3.unsat:
            return
        name, notes = before.root.name, [held.note]
        if solver.check(before.offset > address.offset) == z3.sat:
            first, then = self._example(solver, before, address)
            raise DeadlockError(
                f"lock {then} of {name!r} is waited for while lock {first} is held, "
                "and another thread may take them the other way round",
                span=s.place.span, cure=CURE, notes=notes,
            )  # fmt: skip
        if solver.check(before.offset == address.offset) == z3.sat:
            first, _ = self._example(solver, before, address)
            message = f"lock {first} of {name!r} may be waited for by the thread that holds it"
            raise DeadlockError(message, span=s.place.span, cure=CURE, notes=notes)
        message = f"it could not be shown in which order the locks of {name!r} are taken"
        raise DeadlockError(message, span=s.place.span, cure=CURE, notes=notes)

    def _example(self, solver: Any, one: _Address, other: _Address) -> tuple[int, int]:  # Any: a Z3 solver
        """Return the smallest two elements whose locks are taken in the wrong order, or that are one."""
        z3 = self.terms.z3
        wrong = one.offset > other.offset
        if solver.check(wrong) != z3.sat:
            wrong = one.offset == other.offset
        for first in range(SMALL):
            for then in range(first + 1):
                if solver.check(wrong, one.element == first, other.element == then) == z3.sat:
                    return first, then
        solver.check(wrong)
        model = solver.model()
        first, then = (model.eval(x.element, model_completion=True).as_long() for x in (one, other))
        return first, then


def _is_strided(kind: t.Type) -> bool:
    return isinstance(kind, t.ViewType) and (kind.strided or kind.rank != 1)
