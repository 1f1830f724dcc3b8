"""Walking the typed tree: the parts of statements and expressions."""

from collections.abc import Iterable, Sequence

from hekla.lang import hir
from hekla.lang import types as t


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
    if isinstance(statement, hir.Lock):
        return [statement.place]
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


def shared_part(place: hir.Place) -> bool:
    """True where a place is an Atomic, or what a Mutex guards: no two threads meet there unordered."""
    kind: t.Type = place.root.type
    steps = list(place.steps)
    while steps and not isinstance(kind, t.AtomicType | t.MutexType):
        if isinstance(kind, t.ViewType):
            del steps[: kind.rank]
            kind = kind.element
        elif isinstance(kind, t.StructType):
            step = steps.pop(0)
            assert isinstance(step, int)
            kind = kind.fields[step][1]
        else:
            del steps[0]
            assert isinstance(kind, t.ArrayType | t.BufferType)
            kind = kind.element
    return isinstance(kind, t.AtomicType | t.MutexType)


def blocks_of(statement: hir.Statement) -> list[list[hir.Statement]]:
    """Return the nested blocks of a statement."""
    if isinstance(statement, hir.If):
        return [statement.then, statement.other]
    return [statement.body] if isinstance(statement, hir.While | hir.For | hir.Parallel | hir.Lock) else []


def walk(body: Sequence[hir.Statement]) -> Iterable[hir.Statement]:
    """Yield statements, nested ones included."""
    for statement in body:
        yield statement
        for block in blocks_of(statement):
            yield from walk(block)
