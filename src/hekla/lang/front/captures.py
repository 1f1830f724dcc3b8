"""What the body of a parallel loop takes from outside."""

from hekla.lang import hir
from hekla.lang.front.tree import children_of, expressions_of, walk


def captured_variables(loop: hir.Parallel) -> list[hir.Variable]:
    """Return the variables a parallel loop uses and does not itself bring, in order of use."""
    own: set[hir.Variable] = {loop.counter}
    used: dict[hir.Variable, None] = {}

    def look(e: hir.Expr) -> None:
        place = e.place if isinstance(e, hir.Borrow) else e
        if isinstance(place, hir.Place) and place.variable is not None:
            used.setdefault(place.variable)
        for child in children_of(e):
            look(child)

    for s in walk(loop.body):
        if isinstance(s, hir.Assign) and s.place.variable is not None:
            if s.place.steps:
                used.setdefault(s.place.variable)
            else:
                own.add(s.place.variable)
        elif isinstance(s, hir.Split):
            own |= {s.left, s.right}
        elif isinstance(s, hir.For):
            own.add(s.counter)
        for e in expressions_of(s):
            look(e)
    return [v for v in used if v not in own]
