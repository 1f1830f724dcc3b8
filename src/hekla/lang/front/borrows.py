"""Borrowers: no view after its memory, no two users of memory that one of them writes."""

from collections.abc import Sequence

from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.errors import OwnershipError
from hekla.lang.front.loans import Loan, Loans, meet
from hekla.lang.front.tree import children_of, expressions_of, shared_part, walk
from hekla.lang.source import Span

Live = frozenset[hir.Variable]


class Borrows:
    """Rules 2 and 3, backwards through the blocks with the set of views that are used again later."""

    def __init__(self, instance: hir.Instance, loans: Loans) -> None:
        self.instance, self.loans = instance, loans
        self.again: list[tuple[Live, Live]] = []  # per open loop: (alive at the next turn, alive after the loop)
        self.last_use: dict[hir.Variable, Span] = {}

    def run(self) -> None:
        """Check the kernel, and note which parameters a returned view comes from."""
        borrows: set[int] = set()
        for s in walk(self.instance.body):
            if isinstance(s, hir.Return) and s.value is not None and isinstance(s.value.type, t.ViewType):
                borrows |= self._returned(s.value)
        self.instance.result_borrows = frozenset(borrows)
        self._block(self.instance.body, frozenset(), check=True)

    def _returned(self, value: hir.Expr) -> set[int]:
        found: set[int] = set()
        for region in self.loans.value(value).regions:
            root = region[0]
            assert isinstance(root, hir.Variable)
            if not root.is_parameter or not isinstance(root.type, t.ViewType | t.RegionType):
                raise OwnershipError(
                    f"this view looks at {root.name!r}, which is gone when the kernel returns",
                    span=value.span,
                    cure="let the caller pass a MutView to write to",
                    notes=[("it lives here", root.span)],
                )
            found.add(self.instance.params.index(root))
        return found

    def _block(self, body: Sequence[hir.Statement], after: Live, *, check: bool) -> Live:
        """Return what is alive before a block, given what is alive after it."""
        for statement in reversed(body):
            after = self._statement(statement, after, check=check)
        return after

    def _statement(self, s: hir.Statement, after: Live, *, check: bool) -> Live:
        if isinstance(s, hir.If):
            then, other = self._block(s.then, after, check=check), self._block(s.other, after, check=check)
            return self._uses(expressions_of(s), then | other, check=check)
        if isinstance(s, hir.While | hir.For | hir.Parallel):
            return self._loop(s, after, check=check)
        if isinstance(s, hir.Lock):
            places = expressions_of(s)  # looked at again when the lock is given back
            return self._uses(
                places, self._block(s.body, self._uses(places, after, check=False), check=check), check=check
            )
        if isinstance(s, hir.Break):
            return self.again[-1][1]
        if isinstance(s, hir.Continue):
            return self.again[-1][0]
        if isinstance(s, hir.Drop):
            if check:
                self._end_of_life(s.variable, s.span, after)
            return after
        if isinstance(s, hir.Return):
            after = frozenset()
        if isinstance(s, hir.Assign):
            return self._assign(s, after, check=check)
        if isinstance(s, hir.Split):
            after = after - {s.left, s.right}
        return self._uses(expressions_of(s), after, check=check)

    def _assign(self, s: hir.Assign, after: Live, *, check: bool) -> Live:
        variable = s.place.variable
        if variable is not None and isinstance(variable.type, t.ViewType) and not s.place.steps:
            after = after - {variable}
        elif check:
            self._touch_place(s.place, after, writes=not shared_part(s.place))
        values = expressions_of(s)
        if variable is not None and isinstance(variable.type, t.ViewType) and s.place.steps:
            return self._uses([*values, hir.Place(variable.type, s.place.span, variable)], after, check=check)
        return self._uses(values, after, check=check)

    def _loop(self, s: hir.While | hir.For | hir.Parallel, after: Live, *, check: bool) -> Live:
        head = after
        while True:
            self.again.append((head, after))
            before = self._block(s.body, head, check=False)
            self.again.pop()
            if isinstance(s, hir.While):
                before = self._uses([s.condition], before | after, check=False)
            grown = head | before | after
            if grown == head:
                break
            head = grown
        if check:
            self.again.append((head, after))
            self._block(s.body, head, check=True)
            self.again.pop()
        return self._uses(expressions_of(s), head, check=check)

    def _uses(self, values: Sequence[hir.Expr], after: Live, *, check: bool) -> Live:
        for value in values:
            if check:
                self._check(value, after)
            alive: set[hir.Variable] = set()
            self._collect(value, alive)
            after |= alive
        return after

    def _collect(self, e: hir.Expr, alive: set[hir.Variable]) -> None:
        if isinstance(e, hir.Place) and e.variable is not None and isinstance(e.variable.type, t.ViewType):
            alive.add(e.variable)
            self.last_use.setdefault(e.variable, e.span)
        for child in children_of(e):
            self._collect(child, alive)

    def _check(self, e: hir.Expr, after: Live) -> None:
        if isinstance(e, hir.Place):
            self._touch_place(e, after, writes=False)
        elif isinstance(e, hir.Borrow):
            self._touch(self.loans.value(e), e.place.variable, e.mutable, e.span, after)
            return
        elif isinstance(e, hir.Call):
            self._check_call(e)
        elif isinstance(e, hir.Op) and e.name.startswith("memref.atomic_"):
            place = e.args[0]
            assert isinstance(place, hir.Place)
            self._touch_place(place, after, writes=e.name != "memref.atomic_load" and not shared_part(place))
            for child in [*children_of(place), *e.args[1:]]:
                self._check(child, after)
            return
        elif isinstance(e, hir.Op) and e.args and e.name in _WRITES:
            view = e.args[_WRITES[e.name]]
            self._touch(self.loans.value(view), _handle(view), True, e.span, after)
        if isinstance(e, hir.Op) and e.name == "memref.dim":
            return  # a length is not memory
        if isinstance(e, hir.Op) and e.name == "memref.take":
            self._check(e.args[1], after)
            return  # what a region hands out is nobody's yet
        for child in children_of(e):
            if not (isinstance(e, hir.Call) and isinstance(child.type, t.RegionType)):
                self._check(child, after)  # a region is lent for what it has not handed out yet

    def _touch_place(self, place: hir.Place, after: Live, *, writes: bool) -> None:
        variable = place.variable
        if variable is None:
            root = place.root
            assert isinstance(root, hir.Expr)
            if isinstance(root.type, t.ViewType):
                self._touch(self.loans.value(root), _handle(root), writes, place.span, after)
            return
        if isinstance(variable.type, t.ViewType):
            passes_on = not place.steps
            mutable = variable.type.mutable and isinstance(place.type, t.ViewType) and place.type.mutable
            loan = self.loans.of.get(variable, Loan())
            self._touch(
                Loan(loan.regions, loan.ancestors | {variable}),
                variable,
                writes or (passes_on and mutable),
                place.span,
                after,
            )
        else:
            moves = isinstance(place.type, t.OWNED) and not place.steps  # even its readers must have finished
            self._touch(Loan({(variable,)}, {variable}), variable, writes or moves, place.span, after, moves=moves)

    def _touch(
        self, loan: Loan, through: hir.Variable | None, writes: bool, span: Span, after: Live, *, moves: bool = False
    ) -> None:
        """Refuse an access that meets the region of a view which is alive and is not where the access came from."""
        for view in _in_order(after):
            if view is through or view in loan.ancestors:
                continue
            other = self.loans.of.get(view, Loan())
            assert isinstance(view.type, t.ViewType)
            if not (writes or view.type.mutable):
                continue
            if any(meet(a, b) for a in loan.regions for b in other.regions):
                verb = "moved" if moves else "written" if writes else "read"
                name = f"{through.name!r}" if through is not None else "this memory"
                role = "may write" if view.type.mutable else "reads"
                notes = [(f"{view.name!r} is used again here", self.last_use[view])] if view in self.last_use else []
                raise OwnershipError(
                    f"{name} is {verb} while {view.name!r}, which {role} the same memory, is still in use",
                    span=span,
                    cure="finish with one before using the other; split() gives two disjoint parts",
                    notes=notes,
                )

    def _check_call(self, e: hir.Call) -> None:
        lent: set[hir.Variable | None] = set()
        for a in e.args:
            if isinstance(a, hir.Place) and isinstance(a.type, t.RegionType):
                if a.variable in lent:
                    message = f"{e.callee.name}() is lent the same region twice"
                    raise OwnershipError(message, span=a.span, cure="lend it once")
                lent.add(a.variable)
        views = [(a, self.loans.value(a)) for a in e.args if isinstance(a.type, t.ViewType)]
        for i, (one, loan) in enumerate(views):
            for other, other_loan in views[i + 1 :]:
                assert isinstance(one.type, t.ViewType)
                assert isinstance(other.type, t.ViewType)
                if not (one.type.mutable or other.type.mutable):
                    continue
                if any(meet(a, b) for a in loan.regions for b in other_loan.regions):
                    raise OwnershipError(
                        f"two arguments of {e.callee.name}() look at the same memory, and one of them may write it",
                        span=other.span,
                        cure="split() gives two disjoint parts; or copy one first",
                        notes=[("the other argument", one.span)],
                    )

    def _end_of_life(self, owner: hir.Variable, span: Span, after: Live) -> None:
        for view in _in_order(after):
            if any(region[0] is owner for region in self.loans.of.get(view, Loan()).regions):
                raise OwnershipError(
                    f"{view.name!r} is used after {owner.name!r}, whose memory it looks at, is freed",
                    span=self.last_use.get(view, span),
                    cure=f"keep {owner.name!r} until the last use of {view.name!r}",
                    notes=[(f"{owner.name!r} is freed here", span)],
                )


def _in_order(views: Live) -> list[hir.Variable]:
    """Return the views as they stand in the source, so that of several faults always the same one is named."""
    return sorted(views, key=lambda v: (v.span.line, v.span.column))


# operations that write through a view, and which operand the view is
_WRITES = {
    **dict.fromkeys(("vector.store", "vector.maskedstore", "vector.stream_store", "vector.scatter"), 1),
    "system.read": 1,
}


def _handle(e: hir.Expr) -> hir.Variable | None:
    """Return the variable a view expression is reached through."""
    while not isinstance(e, hir.Place | hir.Borrow):
        views = [c for c in children_of(e) if isinstance(c.type, t.ViewType)]
        if not views:
            return None
        e = views[0]
    return e.variable if isinstance(e, hir.Place) else e.place.variable
