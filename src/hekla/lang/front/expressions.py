"""Elaboration of expressions: compile-time values are folded, the rest becomes typed tree."""

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hekla.base.errors import nearest_name
from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.errors import KernelTypeError
from hekla.lang.front import operators
from hekla.lang.front.context import Context
from hekla.lang.front.definition import definition_of
from hekla.lang.front.intrinsics import INTRINSICS, PYTHON_BUILTINS, take_call
from hekla.lang.front.known import FOLD, Known, Value, evaluate, fold
from hekla.lang.front.operators import as_index, materialise, type_text
from hekla.lang.front.shared_calls import atomic_method
from hekla.lang.surface import Builtin, Comptime, TypeBuilder, region

REFUSED: Mapping[type[ast.AST], tuple[str, str]] = {
    ast.List: ("a list", "use Array[T, n]"),
    ast.Dict: ("a dict", "use a @struct or an Array"),
    ast.Set: ("a set", "use an Array"),
    ast.ListComp: ("a list comprehension", "write a loop over an Array"),
    ast.SetComp: ("a set comprehension", "write a loop"),
    ast.DictComp: ("a dict comprehension", "write a loop"),
    ast.GeneratorExp: ("a generator expression", "write a loop"),
    ast.Lambda: ("lambda", "define a @kernel and pass it as a function parameter"),
    ast.JoinedStr: ("an f-string", "format outside the kernel"),
    ast.Await: ("await", "kernels run to their end"),
    ast.Yield: ("yield", "write the values to a MutView"),
    ast.YieldFrom: ("yield from", "write the values to a MutView"),
    ast.Starred: ("*unpacking", "name each value"),
    ast.NamedExpr: ("the walrus operator", "assign on a line of its own"),
    ast.Slice: ("a slice outside of [ ]", ""),
}


class Expressions:
    """Turns expression nodes into Known values or typed tree, in one context."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._handlers: dict[type[ast.AST], Callable[[Any], Value]] = {  # Any: the node class of the key
            ast.Constant: self._constant, ast.Name: context.name, ast.BinOp: self._binary,
            ast.UnaryOp: self._unary,
            ast.Compare: self._compare, ast.BoolOp: self._logical, ast.IfExp: self._conditional,
            ast.Attribute: self._attribute, ast.Subscript: self._subscript, ast.Call: self._call,
            ast.Tuple: self._tuple,
        }  # fmt: skip

    def value(self, node: ast.expr) -> Value:
        """Return the value of an expression, known where it can be."""
        handler = self._handlers.get(type(node))
        if handler is None:
            what, cure = REFUSED.get(type(node), (type(node).__name__, ""))
            self.context.unsupported(what, node, cure)
        return handler(node)

    def known(self, node: ast.expr, what: str) -> Any:  # Any: a compile-time value
        """Return a value that must be known now."""
        found = self.value(node)
        if not isinstance(found, Known):
            self.context.wrong(f"{what} must be known at compile time", node, "use a constant or a Const parameter")
        return found.value

    def typed(self, node: ast.expr, wanted: t.Type, what: str) -> hir.Expr:
        """Return an expression of exactly the type wanted."""
        return materialise(self.value(node), wanted, what=what)

    def converted(self, value: hir.Expr, wanted: t.ScalarType) -> hir.Expr:
        """Return a number as another type of number."""
        found = operators.convert(value, wanted, value.span)
        assert isinstance(found, hir.Expr)
        return found

    def annotation(self, node: ast.expr) -> t.Type:
        """Return the type an annotation names."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            self.context.unsupported("a type in quotes", node, "write the type itself")
        found = self.known(node, "a type")
        if found is None:
            return t.none
        if found is bool:
            return t.bool_
        if found is region:
            return t.RegionType()
        if not isinstance(found, t.Type):
            cure = {int: "index or i32", float: "f32 or f64"}.get(found, "for example f32 or View[f32, 1]")
            self.context.wrong(f"{ast.unparse(node)} is not a type of the language", node, f"use {cure}")
        return found

    def _constant(self, node: ast.Constant) -> Value:
        if node.value is ... or isinstance(node.value, complex | bytes):
            cures = {complex: "use two floats, or a @struct", bytes: "pass it as a View[u8, 1]"}
            cure = cures.get(type(node.value), "write the value itself")
            self.context.unsupported(f"the constant {ast.unparse(node)}", node, cure)
        return Known(node.value, self.context.span(node))

    def _tuple(self, node: ast.Tuple) -> Value:
        values = [self.value(e) for e in node.elts]
        for element, value in zip(node.elts, values, strict=True):
            if not isinstance(value, Known):
                self.context.unsupported("a tuple of run-time values", element, "use a @struct or an Array")
        return Known(tuple(v.value for v in values if isinstance(v, Known)), self.context.span(node))

    def _binary(self, node: ast.BinOp) -> Value:
        return self.binary(type(node.op), self.value(node.left), self.value(node.right), node)

    def binary(self, operator: type[ast.operator], left: Value, right: Value, node: ast.AST) -> Value:
        """Return left operator right."""
        span = self.context.span(node)
        if isinstance(left, Known) and isinstance(right, Known):
            if operator not in FOLD:
                self.context.unsupported(f"the operator {operators.SYMBOL[operator]} on constants", node)
            return fold(operator, [left.value, right.value], span)
        return operators.binary(operator, left, right, span)

    def _unary(self, node: ast.UnaryOp) -> Value:
        value = self.value(node.operand)
        if isinstance(value, Known):
            return fold(type(node.op), [value.value], self.context.span(node))
        return operators.unary(type(node.op), value, self.context.span(node))

    def _compare(self, node: ast.Compare) -> Value:
        if len(node.ops) > 1:
            self.context.unsupported("a chained comparison", node, "join two with `and`: a < b and b < c")
        operator, span = type(node.ops[0]), self.context.span(node)
        left, right = self.value(node.left), self.value(node.comparators[0])
        if isinstance(left, Known) and isinstance(right, Known):
            return fold(operator, [left.value, right.value], span)
        if operator not in operators.COMPARE:
            self.context.unsupported("`is` or `in` on run-time values", node, "compare with == or write a loop")
        return operators.compare(operator, left, right, span)

    def _logical(self, node: ast.BoolOp) -> Value:
        word = "and" if isinstance(node.op, ast.And) else "or"
        decides = word == "or"  # the left value that makes the right one irrelevant
        result = self.value(node.values[0])
        for right_node in node.values[1:]:
            if isinstance(result, Known):
                if bool(result.value) is decides:
                    return result
                result = self.value(right_node)
                continue
            left = self._truth(result, f"the left side of `{word}`")
            right = self._truth(self.value(right_node), f"the right side of `{word}`")
            result = hir.Logical(t.bool_, self.context.span(node), word, left, right)
        return result if isinstance(result, Known) else self._truth(result, f"an operand of `{word}`")

    def _truth(self, value: Value, what: str) -> hir.Expr:
        if isinstance(value, hir.Expr) and isinstance(value.type, t.VecType) and value.type.element == t.bool_:
            raise KernelTypeError(
                f"{what} must be bool, got a mask",
                span=value.span,
                cure="use & | ~ on masks, any_lane(m) or all_lanes(m)",
            )
        return materialise(value, t.bool_, what=what)

    def condition(self, node: ast.expr) -> bool | hir.Expr:
        """Return the truth of a condition: a bool when it is known now."""
        value = self.value(node)
        if isinstance(value, Known):
            return bool(value.value)
        return self._truth(value, "a condition")

    def _conditional(self, node: ast.IfExp) -> Value:
        condition = self.condition(node.test)
        if isinstance(condition, bool):
            return self.value(node.body if condition else node.orelse)
        then, other = self.value(node.body), self.value(node.orelse)
        span = self.context.span(node)
        if isinstance(then, Known) and isinstance(other, Known):
            kind = default_type(then)
            then = materialise(then, t.f32 if isinstance(other.value, float) else kind)
        a, b = operators.unify(then, other, span, "a if c else b")
        return hir.Conditional(a.type, span, condition, a, b)

    # --- places -----------------------------------------------------------------------------------------

    def _attribute(self, node: ast.Attribute) -> Value:
        value = self.value(node.value)
        span = self.context.span(node)
        if isinstance(value, Known):
            if node.attr.startswith("_"):
                self.context.unsupported(f"the private name {node.attr}", node)
            return evaluate(lambda: getattr(value.value, node.attr), span)
        if isinstance(value.type, t.AtomicType | t.MutexType):
            self.context.wrong(f"{value.type} has no field {node.attr!r}", node, _cure_of_shared(value.type))
        if isinstance(value.type, t.StructType):
            return self._field(value, value.type, node)
        if isinstance(value.type, t.ViewType) and node.attr == "rank":
            return Known(value.type.rank, span)
        if isinstance(value.type, t.ViewType) and node.attr in ("shape", "strides"):
            self.context.wrong(f"{node.attr} needs a dimension", node, f"write {node.attr}[0]")
        has = "a view has .shape[d], .strides[d] and .rank" if isinstance(value.type, t.ViewType) else "it has none"
        self.context.wrong(f"{value.type} has no attribute {node.attr!r}", node, has)

    def _field(self, value: hir.Expr, struct: t.StructType, node: ast.Attribute) -> hir.Expr:
        position = struct.field_index(node.attr)
        if position is None:
            names = ", ".join(n for n, _ in struct.fields)
            self.context.wrong(f"{struct} has no field {node.attr!r}", node, f"its fields are {names}")
        kind = struct.fields[position][1]
        if isinstance(value, hir.Place):
            return hir.Place(kind, self.context.span(node), value.root, (*value.steps, position))
        return hir.Op(kind, self.context.span(node), "llvm.extractvalue", [value], {"position": position})

    def _subscript(self, node: ast.Subscript) -> Value:
        dimension = self._view_dimension(node)
        if dimension is not None:
            return dimension
        value = self.value(node.value)
        if isinstance(value, Known):
            return self._known_subscript(value, node)
        indices = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if isinstance(value.type, t.VecType):
            return self._lane(value, indices, node)
        if isinstance(value.type, t.ArrayType):
            return self._array_element(value, indices, node)
        if isinstance(value.type, t.ViewType):
            return self._view_element(value, indices, node)
        if isinstance(value.type, t.BufferType):
            if len(indices) == 1 and not isinstance(indices[0], ast.Slice) and isinstance(value, hir.Place):
                step = self._index(indices[0])
                return hir.Place(value.type.element, self.context.span(node), value.root, (*value.steps, step))
            self.context.wrong("a Buffer takes one index", node, "lend it first: .view()[a:b] or .mut()[a:b]")
        self.context.wrong(f"{value.type} cannot be indexed", node)

    def _known_subscript(self, value: Known, node: ast.Subscript) -> Value:
        key = self.value(node.slice)
        if not isinstance(key, Known):
            self.context.wrong("a compile-time sequence takes compile-time indices", node, "use unroll(range(...))")
        if not isinstance(value.value, TypeBuilder | tuple | list | dict | str):
            self.context.wrong(f"{type_text(value)} cannot be indexed", node)
        return evaluate(lambda: value.value[key.value], self.context.span(node))

    def _view_dimension(self, node: ast.Subscript) -> hir.Expr | None:
        """`x.shape[0]` and `x.strides[0]`."""
        if not (isinstance(node.value, ast.Attribute) and node.value.attr in ("shape", "strides")):
            return None
        view = self.value(node.value.value)
        if isinstance(view, Known) or not isinstance(view.type, t.ViewType):
            return None
        dimension = self.known(node.slice, "a dimension")
        if dimension not in range(view.type.rank):
            self.context.wrong(f"{view.type} has no dimension {dimension}", node, f"use 0 to {view.type.rank - 1}")
        name = "memref.dim" if node.value.attr == "shape" else "memref.stride"
        return hir.Op(t.index, self.context.span(node), name, [view], {"dimension": dimension})

    def _lane(self, value: hir.Expr, indices: Sequence[ast.expr], node: ast.Subscript) -> hir.Expr:
        assert isinstance(value.type, t.VecType)
        if len(indices) != 1:
            self.context.wrong("a vector takes one lane number", node)
        if isinstance(indices[0], ast.Slice):
            self.context.unsupported("a slice of a vector", node, "use shuffle(v, indices=(...))")
        lane = self._index(indices[0], value.type.lanes)
        return hir.Op(value.type.element, self.context.span(node), "vector.extract", [value, lane])

    def _array_element(self, value: hir.Expr, indices: Sequence[ast.expr], node: ast.Subscript) -> hir.Expr:
        if not isinstance(value, hir.Place):
            self.context.wrong("this array has no place in memory", node, "assign it to a variable first")
        kind: t.Type = value.type
        steps: list[hir.Expr | int] = []
        for one in indices:
            if isinstance(one, ast.Slice):
                self.context.wrong("an Array cannot be sliced", node, "lend it first: .view()[a:b] or .mut()[a:b]")
            if not isinstance(kind, t.ArrayType):
                self.context.wrong(f"too many indices for {value.type}", node)
            steps.append(self._index(one, kind.length))
            kind = kind.element
        return hir.Place(kind, self.context.span(node), value.root, (*value.steps, *steps))

    def _index(self, node: ast.expr, length: int | None = None) -> hir.Expr:
        found = self.value(node)
        if isinstance(found, Known) and isinstance(found.value, int):
            if found.value < 0:
                self.context.wrong("an index counts from the start", node, "write len(x) - 1 for the last")
            if length is not None and found.value >= length:
                self.context.wrong(f"index {found.value} is past the end, length {length}", node)
        return as_index(found, "an index")

    def _view_element(self, value: hir.Expr, indices: Sequence[ast.expr], node: ast.Subscript) -> hir.Expr:
        kind = value.type
        assert isinstance(kind, t.ViewType)
        span = self.context.span(node)
        if len(indices) > kind.rank:
            self.context.wrong(f"{kind} takes {kind.rank} indices, got {len(indices)}", node)
        if len(indices) == kind.rank and not any(isinstance(i, ast.Slice) for i in indices):
            steps = tuple(self._index(i) for i in indices)
            root = value.root if isinstance(value, hir.Place) and not value.steps else value
            return hir.Place(kind.element, span, root, steps)
        args: list[hir.Expr] = [value]
        form = ""  # a letter per dimension: i an index, s a slice, k a slice with a step, - all of it
        for dimension in range(kind.rank):
            one = indices[dimension] if dimension < len(indices) else ast.Slice()
            if isinstance(one, ast.Slice):
                form += self._slice(one, value, dimension, args, node)
            else:
                form += "i"
                args.append(self._index(one))
        rank = kind.rank - form.count("i")
        dense = form[-1] in "s-" and not kind.strided
        result = t.ViewType(kind.element, rank, kind.mutable, not dense)
        return hir.Op(result, span, "memref.subview", args, {"form": form})

    def _slice(self, one: ast.Slice, view: hir.Expr, dimension: int, args: list[hir.Expr], node: ast.Subscript) -> str:
        if one.lower is None and one.upper is None and one.step is None:
            return "-"
        span = self.context.span(node)
        low = self._index(one.lower) if one.lower is not None else materialise(Known(0, span), t.index)
        if one.upper is not None:
            high = self._index(one.upper)
        else:
            high = hir.Op(t.index, span, "memref.dim", [view], {"dimension": dimension})
        args += [low, high]
        if one.step is None:
            return "s"
        step = self.known(one.step, "the step of a slice")
        if not isinstance(step, int) or step < 1:
            self.context.wrong("the step of a slice is a positive constant", one.step, "walk backwards with a loop")
        args.append(materialise(Known(step, span), t.index))
        return "k"

    # --- calls ------------------------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> Value:
        if isinstance(node.func, ast.Attribute):
            done = self._send(node.func, node) or self._method(node.func, node)
            if done is not None:
                return done
        callee = self.value(node.func)
        if not isinstance(callee, Known):
            self.context.wrong(f"{callee.type} cannot be called", node.func)
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                self.context.unsupported("*unpacking", argument, "name each value")
        if isinstance(callee.value, Builtin):
            return INTRINSICS[callee.value.name](self, node)
        if callee.value in PYTHON_BUILTINS:
            return PYTHON_BUILTINS[callee.value](self, node)
        return self._call_of(callee.value, node)

    def _method(self, name: ast.Attribute, node: ast.Call) -> Value | None:
        """`x.view()`, `r.take(f32, n)`, `a.load()`; None for the functions of modules."""
        target = self.value(name.value)
        if isinstance(target, Known):
            return None
        if name.attr in ("view", "mut"):
            return self._borrow(target, name.attr == "mut", node)
        if name.attr == "take" and isinstance(target.type, t.RegionType):
            return take_call(self, target, node)
        if isinstance(target.type, t.AtomicType):
            return atomic_method(self, target, target.type, node)
        return None

    def _call_of(self, callee: Any, node: ast.Call) -> Value:  # Any: a compile-time value
        span = self.context.span(node)
        definition = definition_of(callee)
        if definition is not None:
            arguments = [self.value(a) for a in node.args]
            named = self.named(node)
            instance, args = self.context.specialiser.instance_for_call(definition, arguments, named, span)
            self.context.callees[instance.symbol] = instance
            return hir.Call(instance.result, span, instance, args)
        if isinstance(callee, Comptime):
            known = [self.known(a, "an argument of a @comptime function") for a in node.args]
            keywords = {k: v.value for k, v in self.named(node).items()}
            return evaluate(lambda: callee(*known, **keywords), span)
        if isinstance(callee, t.ScalarType | t.VecType | t.ArrayType | t.StructType):
            return self._construct(callee, node)
        if callee is bool:
            self.context.wrong("bool(...) is not a conversion here", node, "compare: x != 0")
        if callee in (int, float):
            self.context.wrong(f"{callee.__name__}(...) has no fixed size", node, "convert to index, i32, f32, f64 ...")
        name = getattr(callee, "__name__", repr(callee))
        self.context.wrong(f"{name} is not a kernel", node, "decorate it with @kernel, or @comptime for constants")

    def _send(self, verb_of: ast.Attribute, node: ast.Call) -> Value | None:
        """`to.add.send(x)` and `to.add.try_send(x)`, `to` an Address: True where the message was taken."""
        message, verb = verb_of.value, verb_of.attr
        to = self.value(message.value) if isinstance(message, ast.Attribute) else None
        kind = to.type.element if isinstance(to, hir.Expr) and isinstance(to.type, t.ViewType) else None
        if to is None or not isinstance(kind, t.MailboxType) or not isinstance(message, ast.Attribute):
            return None
        senders = kind.owner.senders.of
        if message.attr not in senders:
            cure = nearest_name(message.attr, senders)
            self.context.wrong(f"{kind.owner.name} takes no message {message.attr!r}", message, cure)
        if verb not in ("send", "try_send"):
            cure = "Python asks; among actors, who answers sends" if verb == "ask" else "use send or try_send"
            self.context.wrong(f"a kernel sends a message by send or try_send, not by {verb}", node, cure)
        names = senders[message.attr].message.names
        if len(node.args) != len(names):
            takes = f"takes {len(names)} values ({', '.join(names)})"
            self.context.wrong(f"{kind.owner.name}.{message.attr} {takes}, got {len(node.args)}", node)
        definition = definition_of(getattr(senders[message.attr], verb))
        assert definition is not None
        span = self.context.span(node)
        given = [to, *(self.value(a) for a in node.args)]
        instance, args = self.context.specialiser.instance_for_call(definition, given, self.named(node), span)
        self.context.callees[instance.symbol] = instance
        return hir.Call(instance.result, span, instance, args)

    def named(self, node: ast.Call) -> dict[str, Known]:
        """Return the keyword arguments, all of which are compile-time."""
        found: dict[str, Known] = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                self.context.unsupported("**unpacking", node, "name each value")
            value = self.value(keyword.value)
            if not isinstance(value, Known):
                self.context.wrong(
                    f"{keyword.arg}= must be known at compile time", keyword.value, "pass run-time values by position"
                )
            found[keyword.arg] = value
        return found

    def _borrow(self, target: hir.Expr, mutable: bool, node: ast.Call) -> hir.Expr:
        if node.args or node.keywords:
            self.context.wrong(".view() and .mut() take no arguments", node)
        if isinstance(target.type, t.ViewType):
            if mutable and not target.type.mutable:
                self.context.wrong(f"{target.type} only reads", node, "declare the parameter as MutView")
            result = t.ViewType(target.type.element, target.type.rank, mutable, target.type.strided)
            return hir.Op(result, self.context.span(node), "memref.cast", [target])
        if not isinstance(target.type, t.ArrayType | t.BufferType) and not t.is_shared(target.type):
            self.context.wrong(f"{target.type} cannot be lent as a view", node, "an Array or a Buffer can")
        if not isinstance(target, hir.Place) or target.variable is None or target.steps:
            self.context.wrong("only a whole variable can be lent", node, "assign it to a variable first")
        element: t.Type = target.type
        rank = 0
        while isinstance(element, t.ArrayType):
            element, rank = element.element, rank + 1
        if not isinstance(element, t.ScalarType | t.StructType | t.BufferType) or rank > t.MAX_RANK:
            self.context.wrong(f"{target.type} cannot be lent as a view", node, "views hold scalars or records")
        if isinstance(element, t.BufferType) or rank == 0:
            element, rank = getattr(element, "element", element) if isinstance(element, t.BufferType) else element, 1
        return hir.Borrow(t.ViewType(element, rank, mutable), self.context.span(node), target, mutable)

    def _construct(self, kind: t.Type, node: ast.Call) -> Value:
        span = self.context.span(node)
        if isinstance(kind, t.AtomicType | t.MutexType):
            return self._construct_shared(kind, node)
        if isinstance(kind, t.StructType):
            return self._construct_struct(kind, node)
        if node.keywords:
            self.context.wrong(f"{kind}(...) takes no keyword arguments", node)
        values = [self.value(a) for a in node.args]
        if isinstance(kind, t.ScalarType):
            if len(values) != 1:
                self.context.wrong(f"{kind}(...) takes one value, got {len(values)}", node)
            return operators.convert(values[0], kind, span)
        if isinstance(kind, t.VecType) and len(values) == 1:
            return self._construct_vector(kind, values[0], node)
        count, element = (kind.lanes, kind.element) if isinstance(kind, t.VecType) else (kind.length, kind.element)  # type: ignore[attr-defined]  # the other case is ArrayType
        if isinstance(kind, t.ArrayType) and len(values) == 1:
            fill = self._filling(values[0], element, node)
            return hir.Op(kind, span, "tensor.splat", [fill])
        if len(values) != count:
            self.context.wrong(f"{kind}(...) takes 1 or {count} values, got {len(values)}", node)
        args = [materialise(v, element, what="an element") for v in values]
        return hir.Op(
            kind, span, "vector.from_elements" if isinstance(kind, t.VecType) else "tensor.from_elements", args
        )

    def _construct_vector(self, kind: t.VecType, value: Value, node: ast.Call) -> hir.Expr:
        span = self.context.span(node)
        if isinstance(value, hir.Expr) and isinstance(value.type, t.VecType):
            if value.type.lanes != kind.lanes:
                self.context.wrong(f"{kind}(...) of {value.type}: the lanes differ", node, "use shuffle or bitcast")
            return operators.convert(value, kind.element, span)
        return materialise(value, kind, what=f"the value spread over {kind}")

    def _construct_struct(self, kind: t.StructType, node: ast.Call) -> hir.Expr:
        given: dict[str, Value] = {}
        if len(node.args) > len(kind.fields):
            self.context.wrong(f"{kind} has {len(kind.fields)} fields, got {len(node.args)} values", node)
        for (name, _), argument in zip(kind.fields, node.args, strict=False):
            given[name] = self.value(argument)
        for keyword in node.keywords:
            if keyword.arg is None or kind.field_index(keyword.arg) is None or keyword.arg in given:
                self.context.wrong(f"{keyword.arg!r} is no field of {kind}, or given twice", keyword.value)
            given[keyword.arg] = self.value(keyword.value)
        missing = [n for n, _ in kind.fields if n not in given]
        if missing:
            self.context.wrong(f"{kind}(...) lacks {', '.join(missing)}", node, "give every field a value")
        args = [self._made(materialise(given[n], f, what=f"field {n!r}"), node) for n, f in kind.fields]
        return hir.Op(kind, self.context.span(node), "llvm.struct", args)

    def _construct_shared(self, kind: t.AtomicType | t.MutexType, node: ast.Call) -> hir.Expr:
        if len(node.args) != 1 or node.keywords:
            self.context.wrong(f"{kind}(...) takes one value", node)
        return self._shared(kind, self.value(node.args[0]), node)

    def _shared(self, kind: t.AtomicType | t.MutexType, value: Value, node: ast.AST) -> hir.Expr:
        content = self._filling(value, kind.fields[-1][1], node)
        span = self.context.span(node)
        parts = [content] if isinstance(kind, t.AtomicType) else [hir.Const(t.u32, span, 0), content]
        return hir.Op(kind, span, "llvm.struct", parts)

    def _filling(self, value: Value, kind: t.Type, node: ast.AST) -> hir.Expr:
        """Return a value for a place of a type; numbers become Atomics and Mutexes."""
        is_made = isinstance(value, hir.Expr) and value.type == kind
        if isinstance(kind, t.AtomicType | t.MutexType) and not is_made:
            return self._shared(kind, value, node)
        return self._made(materialise(value, kind, what="the filling"), node)

    def _made(self, value: hir.Expr, node: ast.AST) -> hir.Expr:
        """Return a value, unless it is a copy of what has one place for ever."""
        if t.is_shared(value.type) and not isinstance(value, hir.Op):
            self.context.wrong(f"{value.type} is shared in its place, and not copied", node, "lend it with .view()")
        return value


def _cure_of_shared(kind: t.AtomicType | t.MutexType) -> str:
    if isinstance(kind, t.MutexType):
        return "lock it: with lock(m) as content:"
    return "read it with .load(), change it with .store(), .add() ..."


def default_type(value: Known) -> t.ScalarType:
    """Return the type a constant takes where nothing else decides: bool, index or f32."""
    if isinstance(value.value, bool):
        return t.bool_
    if isinstance(value.value, int):
        return t.index
    if isinstance(value.value, float):
        return t.f32
    raise KernelTypeError(f"{type_text(value)} is not a value at run time", span=value.span)
