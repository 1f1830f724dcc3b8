"""Owners: where each Buffer and region moves and where it is freed."""

from collections.abc import Sequence

from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.errors import OwnershipError
from hekla.lang.front.tree import children_of, expressions_of
from hekla.lang.source import Span


class Owners:
    """Rule 1, forwards through the blocks; inserts the drops."""

    def __init__(self, instance: hir.Instance) -> None:
        self.instance = instance
        self.gone: dict[hir.Variable, tuple[str, Span]] = {}  # owners that own no more, and why
        self.open: list[list[hir.Variable]] = []  # owners of each open block
        self.loops: list[int] = []  # how many blocks were open where each loop began

    def run(self) -> None:
        """Check the kernel."""
        params = [p for p in self.instance.params if isinstance(p.type, t.OWNED) and not is_lent(p)]
        self._block(self.instance.body, params)

    def _block(self, body: list[hir.Statement], owners: list[hir.Variable]) -> None:
        self.open.append(list(owners))
        position = 0
        while position < len(body):
            before = self._statement(body[position])
            body[position:position] = before
            position += 1 + len(before)
        if not body or not isinstance(body[-1], hir.Return | hir.Break | hir.Continue):
            span = body[-1].span if body else self.instance.span
            for variable in reversed(self.open[-1]):
                if variable not in self.gone:
                    body.append(hir.Drop(span, variable))
        for variable in self.open.pop():
            self.gone.setdefault(variable, ("was freed where its block ended", variable.span))

    def _statement(self, s: hir.Statement) -> list[hir.Statement]:
        """Check a statement and return the drops that must stand before it."""
        for e in expressions_of(s):
            self._expression(e, moves=True)
        if isinstance(s, hir.Assign):
            return self._assign(s)
        if isinstance(s, hir.Drop):
            self._take(s.variable, s.span, "was dropped")
        elif isinstance(s, hir.If):
            self._branches(s)
        elif isinstance(s, hir.While | hir.For | hir.Parallel):
            self._loop(s)
        elif isinstance(s, hir.Lock):
            self._block(s.body, [])
        elif isinstance(s, hir.Return):
            drops = self._drops(s.span, 0)
            if drops and s.value is not None:
                s.value, before = _held(s.value)  # it may read what is dropped now
                return [before, *drops]
            return drops
        elif isinstance(s, hir.Break | hir.Continue):
            return self._drops(s.span, self.loops[-1])
        return []

    def _assign(self, s: hir.Assign) -> list[hir.Statement]:
        variable = s.place.variable
        if variable is None or s.place.steps or not isinstance(variable.type, t.OWNED):
            self._use_of_place(s.place)
            return []
        self._check_own(variable, s.span, "assigned")
        if any(variable in block for block in self.open):
            if variable not in self.gone:
                s.value, before = _held(s.value)  # it may still read what it replaces
                return [before, hir.Drop(s.span, variable)]
            del self.gone[variable]
            return []
        self.gone.pop(variable, None)
        self.open[-1].append(variable)
        return []

    def _drops(self, span: Span, from_block: int) -> list[hir.Statement]:
        owners = [v for block in self.open[from_block:] for v in block if v not in self.gone]
        return [hir.Drop(span, v) for v in reversed(owners)]

    def _use_of_place(self, place: hir.Place) -> None:
        variable = place.variable
        if variable is not None and isinstance(variable.type, t.OWNED):
            self._check(variable, place.span)

    def _check(self, variable: hir.Variable, span: Span) -> None:
        if variable in self.gone:
            why, where = self.gone[variable]
            raise OwnershipError(
                f"{variable.name!r} {why}", span=span, cure="use it before, or make another", notes=[("here", where)]
            )

    def _check_own(self, variable: hir.Variable, span: Span, what: str) -> None:
        if is_lent(variable):
            raise OwnershipError(
                f"{variable.name!r} is lent by the caller, and cannot be {what}",
                span=span,
                cure="take() from it, or lend it on to another kernel",
                notes=[("here", variable.span)],
            )

    def _take(self, variable: hir.Variable, span: Span, why: str) -> None:
        self._check_own(variable, span, why.removeprefix("was "))
        self._check(variable, span)
        if self.loops and not any(variable in block for block in self.open[self.loops[-1] :]):
            raise OwnershipError(
                f"{variable.name!r} is given away in a loop, and the next turn would find it gone",
                span=span,
                cure="make it inside of the loop, or lend it with .view() or .mut()",
            )
        self.gone[variable] = (why, span)

    def _expression(self, e: hir.Expr, *, moves: bool) -> None:
        if isinstance(e, hir.Borrow):
            self._use_of_place(e.place)
            return
        if isinstance(e, hir.Place):
            variable = e.variable
            if variable is not None and isinstance(e.type, t.OWNED) and moves:
                self._take(variable, e.span, "was moved")
            self._use_of_place(e) if not isinstance(e.type, t.OWNED) or not moves else None
        only_reads = isinstance(e, hir.Op) and e.name in ("memref.dim", "memref.take")
        for child in children_of(e):
            lends = isinstance(e, hir.Call) and isinstance(child.type, t.RegionType)
            if lends and not (isinstance(child, hir.Place) and child.variable is not None):
                cure = "assign it first: r = region(bytes)"
                raise OwnershipError("only a region in a variable can be lent", span=child.span, cure=cure)
            self._expression(child, moves=not only_reads and not lends)

    def _branches(self, s: hir.If) -> None:
        before = dict(self.gone)
        outer = [v for block in self.open for v in block if v not in before]
        ways: list[tuple[list[hir.Statement], dict[hir.Variable, tuple[str, Span]]]] = []
        for body in (s.then, s.other):
            self.gone = dict(before)
            self._block(body, [])
            ways.append((body, self.gone))
        leaving = [_leaves(body) for body, _ in ways]
        for (body, gone), (_, other_gone), leaves, other_leaves in zip(
            ways, reversed(ways), leaving, reversed(leaving), strict=True
        ):
            if leaves or other_leaves:
                continue
            for variable in outer:
                if variable in other_gone and variable not in gone:
                    body.append(hir.Drop(other_gone[variable][1], variable))
        self.gone = {
            v: why for (_, gone), leaves in zip(ways, leaving, strict=True) if not leaves for v, why in gone.items()
        }
        if all(leaving):
            self.gone = before

    def _loop(self, s: hir.While | hir.For | hir.Parallel) -> None:
        before = dict(self.gone)
        self.loops.append(len(self.open))
        self._block(s.body, [])
        self.loops.pop()
        self.gone = before


def is_lent(variable: hir.Variable) -> bool:
    """True for a region that came as a parameter: it stays the caller's."""
    return variable.is_parameter and isinstance(variable.type, t.RegionType)


def _held(value: hir.Expr) -> tuple[hir.Expr, hir.Statement]:
    """Return a value computed beforehand, and the statement that computes it."""
    held = hir.Variable("%held", value.type, value.span)
    place = hir.Place(value.type, value.span, held)
    return hir.Place(value.type, value.span, held), hir.Assign(value.span, place, value)


def _leaves(body: Sequence[hir.Statement]) -> bool:
    return bool(body) and isinstance(body[-1], hir.Return | hir.Break | hir.Continue)
