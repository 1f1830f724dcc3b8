"""From a kernel as written to a kernel for one choice of types and constants: a program of instances."""

from collections.abc import Mapping, Sequence
from typing import Any

from hekla.base.errors import nearest_name
from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.errors import KernelError, KernelTypeError
from hekla.lang.front.context import Context
from hekla.lang.front.definition import Definition, definition_of, mentions_parameters
from hekla.lang.front.expressions import Expressions, default_type
from hekla.lang.front.known import Known, Value
from hekla.lang.front.locks import check_locks
from hekla.lang.front.operators import materialise
from hekla.lang.front.ownership import check_ownership
from hekla.lang.front.races import check_races
from hekla.lang.front.statements import Statements, falls_through
from hekla.lang.lock_order import LockOrder
from hekla.lang.source import Span
from hekla.lang.surface import Const, Function

MAX_STACK_BYTES = 256 * 1024
MANY_CALLS = 10  # one within the other: more than that, and it is they that use up the frames
Key = tuple[Any, ...]  # Any: types and constants, all hashable


class Match:
    """Finds what TypeParams and ConstParams stand for by laying parameter types beside argument types."""

    def __init__(self, bindings: dict[str, Known]) -> None:
        self.bindings = bindings

    def bind(self, pattern: object, found: object, span: Span) -> bool:
        """Bind the parameters in a pattern; False where the shapes differ, which the caller reports."""
        if isinstance(pattern, t.TypeParam | t.ConstParam):
            return self._bind_name(pattern, found, span)
        if isinstance(found, t.ScalarType) and isinstance(pattern, t.VecType):
            return self.bind(pattern.element, found, span)
        if type(pattern) is not type(found):
            return False
        if isinstance(pattern, t.VecType) and isinstance(found, t.VecType):
            return self.bind(pattern.element, found.element, span) and self.bind(pattern.lanes, found.lanes, span)
        if isinstance(pattern, t.ArrayType) and isinstance(found, t.ArrayType):
            return self.bind(pattern.element, found.element, span) and self.bind(pattern.length, found.length, span)
        if isinstance(pattern, t.ViewType) and isinstance(found, t.ViewType):
            return self.bind(pattern.element, found.element, span) and self.bind(pattern.rank, found.rank, span)
        if isinstance(pattern, t.BufferType) and isinstance(found, t.BufferType):
            return self.bind(pattern.element, found.element, span)
        return True

    def _bind_name(self, name: t.TypeParam | t.ConstParam, found: object, span: Span) -> bool:
        known = self.bindings.get(name.name)
        if known is not None:
            return bool(known.value == found) or not isinstance(name, t.TypeParam)
        if isinstance(name, t.TypeParam) and name.among and found not in name.among:
            allowed = ", ".join(map(str, name.among))
            raise KernelTypeError(f"{name} is one of {allowed}; {found} is not", span=span)
        self.bindings[name.name] = Known(found, span)
        return True


def substitute(kind: Any, bindings: Mapping[str, Known]) -> Any:  # Any: a type, or a number inside of one
    """Return a type with its parameters replaced by what they stand for; unknown ones stay."""
    if isinstance(kind, t.TypeParam | t.ConstParam):
        return bindings[kind.name].value if kind.name in bindings else kind
    if isinstance(kind, t.VecType):
        return t.VecType(substitute(kind.element, bindings), substitute(kind.lanes, bindings))
    if isinstance(kind, t.ArrayType):
        return t.ArrayType(substitute(kind.element, bindings), substitute(kind.length, bindings))
    if isinstance(kind, t.ViewType):
        element, rank = substitute(kind.element, bindings), substitute(kind.rank, bindings)
        return t.ViewType(element, rank, kind.mutable, kind.strided)
    if isinstance(kind, t.BufferType):
        return t.BufferType(substitute(kind.element, bindings))
    return kind


class Program:
    """All instances needed by one compilation; finds each once. Implements `context.Specialiser`."""

    def __init__(self) -> None:
        self.instances: dict[Key, hir.Instance] = {}
        self.order = LockOrder()
        self._open: dict[Key, Definition] = {}

    def in_order(self) -> list[hir.Instance]:
        """Return the instances, callees before callers."""
        return list(self.instances.values())

    def instance_for_call(
        self, definition: Definition, arguments: Sequence[Value], named: Mapping[str, Known], span: Span
    ) -> tuple[hir.Instance, list[hir.Expr]]:
        """Return the instance for a call inside a kernel, and the arguments at its parameters' types."""
        names = definition.signature.names
        bindings = self.named_bindings(definition, named, span)
        if len(arguments) != len(names):
            raise KernelTypeError(
                f"{definition.name}() takes {len(names)} arguments ({', '.join(names)}), got {len(arguments)}",
                span=span,
            )
        patterns = self.parameter_types(definition, bindings)
        match = Match(bindings)
        for pattern, argument in sorted(zip(patterns, arguments, strict=True), key=lambda p: isinstance(p[1], Known)):
            kind = argument.type if isinstance(argument, hir.Expr) else default_type(argument)
            match.bind(pattern, kind, argument.span)
        kinds = [substitute(p, bindings) for p in patterns]
        self.all_bound(definition, kinds, span)
        args = [
            materialise(argument, kind, what=f"{definition.name}({name})")
            for name, kind, argument in zip(names, kinds, arguments, strict=True)
        ]
        try:
            return self.instance(definition, kinds, bindings, span), args
        except KernelError as error:
            if error.span.file != span.file or error.span.line != span.line:
                error.notes = (*error.notes, (f"in {definition.name}, as called here", span))
            raise

    def parameter_types(self, definition: Definition, bindings: dict[str, Known]) -> list[t.Type]:
        """Return the types of the run-time parameters, with TypeParams and ConstParams not yet replaced."""
        expressions = Expressions(_SignatureContext(definition, dict(bindings), self))
        kinds = []
        for argument in definition.signature.runtime:
            if argument.annotation is None:
                raise KernelTypeError(
                    f"parameter {argument.arg!r} has no type",
                    span=definition.span(argument),
                    cure="write name: f32, say",
                )
            kinds.append(substitute(expressions.annotation(argument.annotation), bindings))
        return kinds

    def named_bindings(self, definition: Definition, named: Mapping[str, Known], span: Span) -> dict[str, Known]:
        """Return what the compile-time parameters stand for: what is given by name, and the defaults."""
        declared = {a.arg: (a, default) for a, default in definition.signature.comptime}
        bindings: dict[str, Known] = {}
        expressions = Expressions(Context(definition, bindings, self))
        for name, value in named.items():
            if name not in declared and not isinstance(definition.lookup(name), t.TypeParam | t.ConstParam):
                in_runtime = name in definition.signature.names
                cure = nearest_name(name, declared) if declared else "it has none"
                cure = "pass it by position" if in_runtime else cure
                raise KernelTypeError(
                    f"{definition.name}() has no compile-time parameter {name!r}", span=value.span, cure=cure
                )
            bindings[name] = value
        for name, (argument, default) in declared.items():
            if name in bindings:
                self._check_comptime(definition, expressions, argument, bindings[name])
            elif default is not None:
                bindings[name] = Known(expressions.known(default, "a default"), definition.span(default))
            else:
                raise KernelTypeError(f"{definition.name}() needs {name}=", span=span, cure="it has no default")
        return bindings

    def _check_comptime(
        self, definition: Definition, expressions: Expressions, argument: Any, value: Known
    ) -> None:  # Any: ast.arg
        kind = expressions.known(argument.annotation, "the kind") if argument.annotation is not None else Const
        if kind is Function and definition_of(value.value) is None:
            raise KernelTypeError(f"{argument.arg}= takes a kernel", span=value.span, cure="decorate it with @kernel")
        if kind is not Function and kind is not Const:
            raise KernelTypeError(
                f"compile-time parameter {argument.arg!r} is Const or Function",
                span=definition.span(argument),
                cure="put run-time parameters before the bare *",
            )

    def all_bound(self, definition: Definition, kinds: list[t.Type], span: Span) -> None:
        """Refuse parameter types that are still open."""
        for name, kind in zip(definition.signature.names, kinds, strict=True):
            if mentions_parameters(kind):
                raise KernelTypeError(
                    f"{definition.name}({name}): nothing determines {kind}", span=span, cure="name it: T=f32"
                )

    def instance(
        self, definition: Definition, kinds: Sequence[t.Type], bindings: dict[str, Known], span: Span
    ) -> hir.Instance:
        """Return the kernel elaborated for these parameter types, from the store or afresh."""
        key: Key = (definition, tuple(kinds), tuple(sorted((n, _hashable(v.value)) for n, v in bindings.items())))
        if key in self.instances:
            return self.instances[key]
        if key in self._open:
            raise KernelTypeError(
                f"{definition.name} calls itself", span=span, cure="kernels do not recurse; write a loop"
            )
        if len(self._open) > 100:
            raise KernelTypeError("calls nest deeper than 100", span=span, cure="kernels do not recurse; write a loop")
        self._open[key] = definition
        try:
            found = self._elaborate(definition, kinds, dict(bindings))
        except RecursionError:
            if len(self._open) > MANY_CALLS:
                cure = "kernels do not recurse; write a loop"
                raise KernelTypeError("calls nest too deeply", span=span, cure=cure) from None
            raise too_deep(definition) from None
        finally:
            del self._open[key]
        self.instances[key] = found
        return found

    def _elaborate(self, definition: Definition, kinds: Sequence[t.Type], bindings: dict[str, Known]) -> hir.Instance:
        context = Context(definition, bindings, self)
        params = []
        for argument, kind in zip(definition.signature.runtime, kinds, strict=True):
            if isinstance(kind, t.ArrayType | t.NoneType_) or t.is_shared(kind):
                cure = "take a View or a MutView; the caller lends its Array with .view() or .mut()"
                raise KernelTypeError(f"{kind} cannot be a parameter", span=definition.span(argument), cure=cure)
            variable = hir.Variable(argument.arg, kind, definition.span(argument), is_parameter=True)
            context.variables[argument.arg] = variable
            context.assigned.add(variable)
            params.append(variable)
        expressions = Expressions(context)
        returns = definition.node.returns
        result = expressions.annotation(returns) if returns is not None else t.none
        result = substitute(result, bindings)
        if isinstance(result, t.RegionType) and returns is not None:
            cure = "take it as a parameter: the caller lends its own"
            raise KernelTypeError("a region cannot be a result", span=definition.span(returns), cure=cure)
        if (isinstance(result, t.ArrayType) or t.is_shared(result)) and returns is not None:
            cure = "let the caller pass a MutView to write to"
            raise KernelTypeError(f"{result} cannot be a result", span=definition.span(returns), cure=cure)
        body = Statements(context, result).block(definition.node.body)
        if result != t.none and falls_through(body):
            raise KernelTypeError(
                f"{definition.name} may end without a result",
                span=definition.name_span,
                cure=f"return a {result} on every way",
            )
        stack = _check_stack(context, definition)
        symbol = f"{definition.name}.{len(self.instances)}"
        instance = hir.Instance(definition.name, symbol, params, result, body, definition.name_span, definition.inline)
        instance.callees = context.callees
        instance.demand, instance.stack_bytes = definition.demand, stack
        instance.holds = definition.holds
        if definition.waits_for:
            instance.waits[definition.waits_for] = ((f"{definition.waits_for} is waited for", definition.name_span),)
        check_ownership(instance)
        check_races(instance)
        check_locks(instance)
        self.order.add(instance.edges)
        return instance


class _SignatureContext(Context):
    """While a signature is read, TypeParams and ConstParams stand for themselves."""

    def name(self, node: Any) -> Value:  # Any: ast.Name
        """Return what a name stands for, parameters included."""
        if node.id not in self.bindings:
            value = self.definition.lookup(node.id)
            if isinstance(value, t.TypeParam | t.ConstParam):
                return Known(value, self.span(node))
        return super().name(node)


def _check_stack(context: Context, definition: Definition) -> int:
    """Return the stack a kernel needs with its deepest calls. Errors: KernelTypeError over the limit."""
    total = 0
    cure = "use buffer(T, n) or a region"
    for variable in context.variables.values():
        if isinstance(variable.type, t.ArrayType | t.StructType):
            total += t.size_and_align(variable.type)[0]
            if total > MAX_STACK_BYTES:
                raise KernelTypeError(
                    f"the arrays of {definition.name} need {total} bytes of stack, the limit is {MAX_STACK_BYTES}",
                    span=variable.span,
                    cure=cure,
                )
    deepest = max(context.callees.values(), key=lambda c: c.stack_bytes, default=None)
    if deepest is None:
        return total
    below = deepest.stack_bytes
    if total + below > MAX_STACK_BYTES:
        raise KernelTypeError(
            f"{definition.name} needs {total + below} bytes of stack with {deepest.name}, the limit is "
            f"{MAX_STACK_BYTES}",
            span=definition.name_span,
            cure=cure,
            notes=[(f"{below} of them from here on", deepest.span)],
        )
    return total + below


def too_deep(definition: Definition) -> KernelTypeError:
    """Return the refusal of a kernel that needs more frames than Python has."""
    return KernelTypeError(
        f"{definition.name} is nested too deeply to be compiled",
        span=definition.name_span,
        cure="give names to parts of its longest expressions, or move its inner blocks to other kernels",
    )


def _hashable(value: object) -> object:
    definition = definition_of(value)
    if definition is not None:
        return definition
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return (type(value).__name__, value)
