"""What the front end knows while it walks one kernel: names, variables, what is surely assigned."""

import ast
import builtins
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Protocol

from hekla.base.errors import nearest_name
from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.errors import KernelTypeError, UnsupportedPythonError
from hekla.lang.front.definition import Definition, Missing
from hekla.lang.front.known import Known, Value
from hekla.lang.source import Span

# What to write instead of Python's built-in functions.
INSTEAD = {
    "sum": "write a loop, or reduce_add of a Vec",
    "any": "write a loop, or any_lane of a mask",
    "all": "write a loop, or all_lanes of a mask",
    "pow": "multiply",
    "round": "use round_even, floor, ceil or trunc",
    "divmod": "use // and %",
    "sorted": "write the sort",
    "reversed": "write for i in range(n - 1, -1, -1):",
    "enumerate": "write for i in range(len(x)):",
    "zip": "write for i in range(len(x)):",
    "map": "write a loop",
    "filter": "write a loop",
    "list": "use an Array or a buffer",
    "dict": "use an Array of a @struct",
    "set": "use an Array",
    "tuple": "use an Array or a @struct",
    "str": "format outside the kernel",
    "type": "use element_type(x)",
    "complex": "use two floats, or a @struct",
    "bytes": "use a View[u8, 1]",
    "slice": "write x[a:b]",
    "iter": "write for i in range(len(x)):",
    "next": "write for i in range(len(x)):",
    "input": "pass a View",
    "open": "read the file outside the kernel and pass a View",
}


class Specialiser(Protocol):
    """Makes (or finds) the instance of a kernel for a call."""

    def instance_for_call(
        self, definition: Definition, arguments: Sequence[Value], named: Mapping[str, Known], span: Span
    ) -> tuple[hir.Instance, list[hir.Expr]]:
        """Return the instance and the arguments at the parameters' types."""


class Context:
    """Names of one kernel instance while it is elaborated."""

    def __init__(self, definition: Definition, bindings: dict[str, Known], specialiser: Specialiser) -> None:
        self.definition, self.bindings, self.specialiser = definition, bindings, specialiser
        self.variables: dict[str, hir.Variable] = {}
        self.held: dict[str, hir.Place] = {}  # what a lock guards, by the name it has while it is held
        self.hidden: set[str] = set()  # such names, within a parallel loop
        self.assigned: set[hir.Variable] = set()
        self.callees: dict[str, hir.Instance] = {}
        self._temporaries = 0

    def span(self, node: ast.AST) -> Span:
        """Return the place of a node."""
        return self.definition.span(node)

    def unsupported(self, what: str, node: ast.AST, cure: str = "") -> NoReturn:
        """Refuse a construct of Python."""
        raise UnsupportedPythonError(f"{what} is not part of the language", span=self.span(node), cure=cure)

    def wrong(self, message: str, node: ast.AST, cure: str = "") -> NoReturn:
        """Refuse a program whose types or constants do not fit."""
        raise KernelTypeError(message, span=self.span(node), cure=cure)

    def name(self, node: ast.Name) -> Value:
        """Return what a name stands for here. Errors: KernelTypeError when unknown or maybe unassigned."""
        if node.id in self.bindings:
            return Known(self.bindings[node.id].value, self.span(node))
        if node.id in self.held:
            if node.id in self.hidden:
                cure = "lock it in each iteration"
                self.wrong(f"{node.id!r} is held outside of this parallel loop, by another thread", node, cure)
            place = self.held[node.id]
            return hir.Place(place.type, self.span(node), place.root, place.steps)
        if node.id in self.variables:
            variable = self.variables[node.id]
            if variable not in self.assigned:
                self.wrong(
                    f"{node.id!r} has no value on some way to here", node, "assign it before the branch or the loop"
                )
            return hir.Place(variable.type, self.span(node), variable)
        value = self.definition.lookup(node.id)
        if isinstance(value, Missing):
            self._unknown(node)
        if isinstance(value, t.TypeParam | t.ConstParam):
            if value.name in self.bindings:
                return Known(self.bindings[value.name].value, self.span(node))
            self.wrong(
                f"the parameter {value.name} is not determined by the arguments", node, f"call with {value.name}=..."
            )
        return Known(value, self.span(node))

    def _unknown(self, node: ast.Name) -> NoReturn:
        cure = nearest_name(node.id, self.visible_names())
        if hasattr(builtins, node.id):
            near = cure if cure.startswith("did you mean") else "write it with the language's own words"
            self.unsupported(f"Python's {node.id}", node, INSTEAD.get(node.id, near))
        near = cure if cure.startswith("did you mean") else "define it in this file, or import it"
        self.wrong(f"the name {node.id!r} is not known", node, near)

    def visible_names(self) -> list[str]:
        """Return names for the cure of a misspelling: locals and parameters first of all."""
        return [*self.bindings, *self.variables, *self.definition.closure, *self.definition.function.__globals__]

    def declare(self, name: str, kind: t.Type, span: Span) -> hir.Variable:
        """Add a local variable."""
        variable = hir.Variable(name, kind, span)
        self.variables[name] = variable
        return variable

    def temporary(self, kind: t.Type, span: Span) -> hir.Variable:
        """Add a local with a name no author can write."""
        self._temporaries += 1
        return self.declare(f"%{self._temporaries}", kind, span)


Names = dict[str, Any]  # Any: whatever the author's names stand for
