"""What Python must know of a compiled kernel to call it: names, types, and where it may fault; to and from JSON."""

from dataclasses import dataclass
from typing import Any

from hekla.lang import types as t
from hekla.lang.lock_order import Edge
from hekla.lang.source import Span

Site = tuple[str, Span]  # what a fault says, and where it points


@dataclass(frozen=True, slots=True)
class Param:
    """A run-time parameter; `hint` is its name."""

    hint: str
    type: t.Type


@dataclass(frozen=True, slots=True)
class Interface:
    """A kernel as its callers see it. Fault number i + 1 is `sites[i]`; `parallel`: it needs the thread pool.

    edges: what it waits for while it holds what, which each process adds to its order of locks.
    """

    name: str
    params: tuple[Param, ...]
    result: t.Type
    sites: tuple[Site, ...] = ()
    parallel: bool = False
    edges: tuple[Edge, ...] = ()

    def to_json(self) -> list[Any]:  # Any: texts, numbers, lists of these
        """Return what `from_json` takes."""
        params = [[p.hint, _type_to_json(p.type)] for p in self.params]
        edges = [[e.held, e.wanted, _sites_to_json(e.path)] for e in self.edges]
        return [self.name, params, _type_to_json(self.result), _sites_to_json(self.sites), self.parallel, edges]

    @staticmethod
    def from_json(given: list[Any]) -> "Interface":  # Any: see to_json
        """Return what `to_json` was asked of."""
        name, params, result, sites, parallel, edges = given
        return Interface(
            name,
            tuple(Param(hint, _type_from_json(kind)) for hint, kind in params),
            _type_from_json(result),
            _sites_from_json(sites),
            parallel,
            tuple(Edge(held, wanted, _sites_from_json(path)) for held, wanted, path in edges),
        )


def _sites_to_json(sites: tuple[Site, ...]) -> list[Any]:  # Any: see Interface.to_json
    return [[text, s.file, s.line, s.column, s.end_column] for text, s in sites]


def _sites_from_json(given: list[Any]) -> tuple[Site, ...]:  # Any: see Interface.to_json
    return tuple((text, Span(*place)) for text, *place in given)


def _type_to_json(kind: t.Type) -> Any:  # Any: see Interface.to_json
    if isinstance(kind, t.ScalarType):
        return kind.name
    if isinstance(kind, t.ViewType):
        return ["view", _type_to_json(kind.element), kind.rank, kind.mutable, kind.strided]
    if isinstance(kind, t.VecType):
        return ["vec", _type_to_json(kind.element), kind.lanes]
    if isinstance(kind, t.ArrayType):
        return ["array", _type_to_json(kind.element), kind.length]
    if isinstance(kind, t.AtomicType):
        return ["atomic", _type_to_json(kind.element), kind.dense]
    if isinstance(kind, t.MutexType):
        return ["mutex", _type_to_json(kind.content), kind.label]
    if isinstance(kind, t.StructType):
        return ["struct", kind.name, [[n, _type_to_json(f)] for n, f in kind.fields], list(kind.order), kind.where]
    assert isinstance(kind, t.NoneType_), kind
    return None


def _type_from_json(given: Any) -> t.Type:  # Any: see Interface.to_json
    if given is None:
        return t.none
    if isinstance(given, str):
        return t.SCALARS[given]
    what, *rest = given
    if what == "struct":
        name, fields, order, where = rest
        return t.StructType(name, tuple((n, _type_from_json(f)) for n, f in fields), tuple(order), where)
    element, *rest = rest
    kind = _type_from_json(element)
    if what == "atomic":
        assert isinstance(kind, t.ScalarType)
        return t.atomic_type(kind, dense=rest[0])
    if what == "mutex":
        return t.mutex_type(kind, *rest)
    made: t.Type = {"view": t.ViewType, "vec": t.VecType, "array": t.ArrayType}[what](kind, *rest)
    return made
