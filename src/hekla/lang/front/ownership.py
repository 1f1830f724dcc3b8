"""Who owns, who borrows, and for how long: decided here, at no cost while running.

Three rules, after Rust's (non-lexical lifetimes, RFC 2094), made small by what the language leaves out: views
are never stored in memory, so a borrower is always a local variable.

1. An owner (Buffer) is used while it owns. It moves when assigned, passed or returned; it is freed where its
   block ends, on every way out. Where only one branch moves it, the other frees it at its own end.
2. A view is not used after the memory it looks at is gone, and no view of a local is returned.
3. While a writing view is alive (used again later), nobody else touches its memory; while a reading view is
   alive, nobody writes it. A view made from another may be used while its parent waits.

A region is a path: the root variable, then for `split` the half. Two regions meet when one begins the other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.errors import OwnershipError
from hekla.lang.source import Span

Region = tuple[object, ...]
Live = frozenset[hir.Variable]


@dataclass(slots=True)
class _Loan:
    """What a view variable looks at, and through which variables it came."""

    regions: set[Region] = field(default_factory=set)
    ancestors: set[hir.Variable] = field(default_factory=set)


def check_ownership(instance: hir.Instance) -> None:
    """Check one kernel, and add the `Drop`s that end its owners' lives. Errors: OwnershipError."""
    _Owners(instance).run()
    _Borrows(instance, _Loans(instance)).run()


def expressions_of(statement: hir.Statement) -> list[hir.Expr]:
    """Return the expressions a statement itself evaluates, nested blocks left out."""
    if isinstance(statement, hir.Assign):
        target = [s for s in statement.place.steps if isinstance(s, hir.Expr)]
        root = statement.place.root
        if isinstance(root, hir.Expr):
            target.append(root)
        return [*target, statement.value]
    if isinstance(statement, hir.Split):
        return [statement.view, statement.at]
    if isinstance(statement, hir.Evaluate):
        return [statement.value]
    if isinstance(statement, hir.If | hir.While):
        return [statement.condition]
    if isinstance(statement, hir.For):
        return [statement.start, statement.stop]
    if isinstance(statement, hir.Parallel):
        return [statement.count]
    if isinstance(statement, hir.Return) and statement.value is not None:
        return [statement.value]
    return []


def children_of(e: hir.Expr) -> list[hir.Expr]:
    """Return the parts of an expression."""
    if isinstance(e, hir.Op | hir.Call):
        return list(e.args)
    if isinstance(e, hir.Logical):
        return [e.left, e.right]
    if isinstance(e, hir.Conditional):
        return [e.condition, e.then, e.other]
    if isinstance(e, hir.Borrow):
        return [e.place]
    if isinstance(e, hir.Place):
        root = [e.root] if isinstance(e.root, hir.Expr) else []
        return [*root, *(s for s in e.steps if isinstance(s, hir.Expr))]
    return []


def blocks_of(statement: hir.Statement) -> list[list[hir.Statement]]:
    """Return the nested blocks of a statement."""
    if isinstance(statement, hir.If):
        return [statement.then, statement.other]
    return [statement.body] if isinstance(statement, hir.While | hir.For | hir.Parallel) else []


def walk(body: Sequence[hir.Statement]) -> Iterable[hir.Statement]:
    """Yield statements, nested ones included."""
    for statement in body:
        yield statement
        for block in blocks_of(statement):
            yield from walk(block)


class _Loans:
    """What every view variable of a kernel may look at, over all its assignments."""

    def __init__(self, instance: hir.Instance) -> None:
        self.of: dict[hir.Variable, _Loan] = {}
        for param in instance.params:
            if isinstance(param.type, t.ViewType):
                self.of[param] = _Loan({(param,)})
        before = -1
        while before != (before := sum(len(x.regions) + len(x.ancestors) for x in self.of.values())):
            for statement in walk(instance.body):
                self._learn(statement)

    def _learn(self, statement: hir.Statement) -> None:
        if isinstance(statement, hir.Assign) and isinstance(statement.place.type, t.ViewType):
            variable = statement.place.variable
            assert variable is not None
            self._add(variable, statement.value, ())
        elif isinstance(statement, hir.Split):
            for half, variable in enumerate((statement.left, statement.right)):
                self._add(variable, statement.view, ((id(statement), half),))

    def _add(self, variable: hir.Variable, value: hir.Expr, more: Region) -> None:
        loan = self.of.setdefault(variable, _Loan())
        found = self.value(value)
        loan.regions |= {r + more for r in found.regions}
        loan.ancestors |= found.ancestors - {variable}

    def value(self, e: hir.Expr) -> _Loan:
        """Return what an expression of view type looks at."""
        if isinstance(e, hir.Place):
            variable = e.variable
            if variable is None:
                return _Loan()
            known = self.of.get(variable, _Loan())
            return _Loan(set(known.regions), known.ancestors | {variable})
        if isinstance(e, hir.Borrow):
            variable = e.place.variable
            assert variable is not None
            return _Loan({(variable,)}, {variable})
        parts = [c for c in children_of(e) if isinstance(c.type, t.ViewType)]
        if isinstance(e, hir.Call):
            parts = [a for i, a in enumerate(e.args) if i in e.callee.result_borrows]
        whole = _Loan()
        for part in parts:
            found = self.value(part)
            whole.regions |= found.regions
            whole.ancestors |= found.ancestors
        return whole


def _meet(one: Region, other: Region) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


# --- owners: moves and drops --------------------------------------------------------------------------------


class _Owners:
    """Rule 1, forwards through the blocks; inserts the drops."""

    def __init__(self, instance: hir.Instance) -> None:
        self.instance = instance
        self.gone: dict[hir.Variable, tuple[str, Span]] = {}  # owners that own no more, and why
        self.open: list[list[hir.Variable]] = []  # owners of each open block
        self.loops: list[int] = []  # how many blocks were open where each loop began

    def run(self) -> None:
        """Check the kernel."""
        params = [p for p in self.instance.params if isinstance(p.type, t.BufferType)]
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
        if variable is None or s.place.steps or not isinstance(variable.type, t.BufferType):
            self._use_of_place(s.place)
            return []
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
        if variable is not None and isinstance(variable.type, t.BufferType):
            self._check(variable, place.span)

    def _check(self, variable: hir.Variable, span: Span) -> None:
        if variable in self.gone:
            why, where = self.gone[variable]
            raise OwnershipError(
                f"{variable.name!r} {why}", span=span, cure="use it before, or make another", notes=[("here", where)]
            )

    def _take(self, variable: hir.Variable, span: Span, why: str) -> None:
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
            if variable is not None and isinstance(e.type, t.BufferType) and moves:
                self._take(variable, e.span, "was moved")
            self._use_of_place(e) if not isinstance(e.type, t.BufferType) or not moves else None
        only_reads = isinstance(e, hir.Op) and e.name == "memref.dim"
        for child in children_of(e):
            self._expression(child, moves=not only_reads)

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


def _held(value: hir.Expr) -> tuple[hir.Expr, hir.Statement]:
    """Return a value computed beforehand, and the statement that computes it."""
    held = hir.Variable("%held", value.type, value.span)
    place = hir.Place(value.type, value.span, held)
    return hir.Place(value.type, value.span, held), hir.Assign(value.span, place, value)


def _leaves(body: Sequence[hir.Statement]) -> bool:
    return bool(body) and isinstance(body[-1], hir.Return | hir.Break | hir.Continue)


# --- borrowers: liveness and conflicts ----------------------------------------------------------------------


class _Borrows:
    """Rules 2 and 3, backwards through the blocks with the set of views that are used again later."""

    def __init__(self, instance: hir.Instance, loans: _Loans) -> None:
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
            if not root.is_parameter or not isinstance(root.type, t.ViewType):
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
            self._touch_place(s.place, after, writes=True)
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
        elif isinstance(e, hir.Op) and e.args and e.name in _WRITES:
            view = e.args[1]
            self._touch(self.loans.value(view), _handle(view), True, e.span, after)
        if isinstance(e, hir.Op) and e.name == "memref.dim":
            return  # a length is not memory
        for child in children_of(e):
            self._check(child, after)

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
            loan = self.loans.of.get(variable, _Loan())
            self._touch(
                _Loan(loan.regions, loan.ancestors | {variable}),
                variable,
                writes or (passes_on and mutable),
                place.span,
                after,
            )
        else:
            self._touch(_Loan({(variable,)}, {variable}), variable, writes, place.span, after)

    def _touch(self, loan: _Loan, through: hir.Variable | None, writes: bool, span: Span, after: Live) -> None:
        """Refuse an access that meets the region of a view which is alive and is not where the access came from."""
        for view in _in_order(after):
            if view is through or view in loan.ancestors:
                continue
            other = self.loans.of.get(view, _Loan())
            assert isinstance(view.type, t.ViewType)
            if not (writes or view.type.mutable) or (
                view.is_parameter and through is not None and through.is_parameter
            ):
                continue
            if any(_meet(a, b) for a in loan.regions for b in other.regions):
                verb = "written" if writes else "read"
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
        views = [(a, self.loans.value(a)) for a in e.args if isinstance(a.type, t.ViewType)]
        for i, (one, loan) in enumerate(views):
            for other, other_loan in views[i + 1 :]:
                assert isinstance(one.type, t.ViewType)
                assert isinstance(other.type, t.ViewType)
                if not (one.type.mutable or other.type.mutable):
                    continue
                if any(_meet(a, b) for a in loan.regions for b in other_loan.regions):
                    raise OwnershipError(
                        f"two arguments of {e.callee.name}() look at the same memory, and one of them may write it",
                        span=other.span,
                        cure="split() gives two disjoint parts; or copy one first",
                        notes=[("the other argument", one.span)],
                    )

    def _end_of_life(self, owner: hir.Variable, span: Span, after: Live) -> None:
        for view in _in_order(after):
            if any(region[0] is owner for region in self.loans.of.get(view, _Loan()).regions):
                raise OwnershipError(
                    f"{view.name!r} is used after {owner.name!r}, whose memory it looks at, is freed",
                    span=self.last_use.get(view, span),
                    cure=f"keep {owner.name!r} until the last use of {view.name!r}",
                    notes=[(f"{owner.name!r} is freed here", span)],
                )


def _in_order(views: Live) -> list[hir.Variable]:
    """Return the views as they stand in the source, so that of several faults always the same one is named."""
    return sorted(views, key=lambda v: (v.span.line, v.span.column))


_WRITES = frozenset({"vector.store", "vector.maskedstore", "vector.stream_store", "vector.scatter"})


def _handle(e: hir.Expr) -> hir.Variable | None:
    """Return the variable a view expression is reached through."""
    while not isinstance(e, hir.Place | hir.Borrow):
        views = [c for c in children_of(e) if isinstance(c.type, t.ViewType)]
        if not views:
            return None
        e = views[0]
    return e.variable if isinstance(e, hir.Place) else e.place.variable
