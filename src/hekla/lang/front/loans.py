"""Which memory a view looks at: the regions of every view variable of a kernel."""

from dataclasses import dataclass, field

from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.front.tree import children_of, walk

Region = tuple[object, ...]


@dataclass(slots=True)
class Loan:
    """What a view variable looks at, and through which variables it came."""

    regions: set[Region] = field(default_factory=set)
    ancestors: set[hir.Variable] = field(default_factory=set)


class Loans:
    """What every view variable of a kernel may look at, over all its assignments."""

    def __init__(self, instance: hir.Instance) -> None:
        self.of: dict[hir.Variable, Loan] = {}
        for param in instance.params:
            if isinstance(param.type, t.ViewType):
                self.of[param] = Loan({(param,)})
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
        loan = self.of.setdefault(variable, Loan())
        found = self.value(value)
        loan.regions |= {r + more for r in found.regions}
        loan.ancestors |= found.ancestors - {variable}

    def value(self, e: hir.Expr) -> Loan:
        """Return what an expression of view type looks at."""
        if isinstance(e, hir.Place):
            variable = e.variable
            if variable is None:
                return Loan()
            known = self.of.get(variable, Loan())
            return Loan(set(known.regions), known.ancestors | {variable})
        if isinstance(e, hir.Borrow):
            variable = e.place.variable
            assert variable is not None
            return Loan({(variable,)}, {variable})
        if isinstance(e, hir.Op) and e.name == "memref.take":
            owner = e.args[0]
            assert isinstance(owner, hir.Place)
            return Loan({(owner.variable, (id(e), 0))})  # apart from what other takes hand out
        parts = [c for c in children_of(e) if isinstance(c.type, t.ViewType)]
        if isinstance(e, hir.Call):
            parts = [a for i, a in enumerate(e.args) if i in e.callee.result_borrows]
        whole = Loan()
        for part in parts:
            if isinstance(part, hir.Place) and isinstance(part.type, t.RegionType):
                whole.regions.add((part.variable, (id(e), 0)))  # as what take() hands out
                continue
            found = self.value(part)
            whole.regions |= found.regions
            whole.ancestors |= found.ancestors
        return whole


def meet(one: Region, other: Region) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]
