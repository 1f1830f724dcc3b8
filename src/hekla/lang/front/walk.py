"""A body walked in order, with the conditions on the way to each place: what proofs are built on."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from hekla.lang import hir
from hekla.lang.front.terms import Conditions, Term, Terms
from hekla.lang.front.tree import expressions_of


class Walk(ABC):
    """Visits every expression, store and lock of a body, and keeps `terms` up to date on the way."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms

    @abstractmethod
    def expression(self, e: hir.Expr, conditions: Conditions) -> None:
        """An expression that is evaluated under these conditions; its parts are the visitor's to look at."""

    @abstractmethod
    def stored(self, place: hir.Place, conditions: Conditions) -> None:
        """A place that is written."""

    @abstractmethod
    def locked(self, s: hir.Lock, conditions: Conditions) -> None:
        """A lock, whose body the visitor walks with `block`."""

    @abstractmethod
    def launched(self, s: hir.Parallel, conditions: Conditions) -> None:
        """A parallel loop, whose body the visitor walks with `counted`."""

    @abstractmethod
    def lost(self, variable: hir.Variable) -> None:
        """A view whose place cannot be followed."""

    def block(self, body: Sequence[hir.Statement], conditions: Conditions) -> None:
        """Walk statements."""
        for s in body:
            self._statement(s, conditions)

    def counted(self, counter: hir.Variable, count: hir.Expr, body: Sequence[hir.Statement], given: Conditions) -> None:
        """Walk a body whose counter goes from 0 to before `count`."""
        symbol = self.terms.own(counter)
        self.block(body, (*given, symbol >= 0, symbol < self.terms.term(count)))

    def _statement(self, s: hir.Statement, conditions: Conditions) -> None:
        for e in expressions_of(s):
            self.expression(e, conditions)
        if isinstance(s, hir.Assign):
            self._assign(s, conditions)
        elif isinstance(s, hir.Split):
            for half in (s.left, s.right):
                # each half stands for the whole: more is refused, never less
                if not self.terms.name_view(half, s.view):
                    self.lost(half)
        elif isinstance(s, hir.If):
            self._branches(s, conditions)
        elif isinstance(s, hir.For):
            self.block(s.body, (*conditions, *self._range(s)))
        elif isinstance(s, hir.While):
            self.block(s.body, conditions)
        elif isinstance(s, hir.Lock):
            self.locked(s, conditions)
        elif isinstance(s, hir.Parallel):
            self.launched(s, conditions)

    def _assign(self, s: hir.Assign, conditions: Conditions) -> None:
        if s.place.steps or s.place.variable is None:
            self.stored(s.place, conditions)
        elif not self.terms.learn(s):
            self.lost(s.place.variable)

    def _branches(self, s: hir.If, conditions: Conditions) -> None:
        self.block(s.then, (*conditions, *self.terms.holds(s.condition, True)))
        self.block(s.other, (*conditions, *self.terms.holds(s.condition, False)))

    def _range(self, s: hir.For) -> tuple[Term, ...]:
        terms = self.terms
        counter = terms.own(s.counter)
        low, high = (s.start, s.stop) if s.step > 0 else (s.stop, s.start)
        inside = (counter >= terms.term(low), counter < terms.term(high) + (0 if s.step > 0 else 1))
        steps = (((counter - terms.term(s.start)) % abs(s.step)) == 0,) if s.step > 0 else ()
        return (*inside, *steps)
