"""Elaboration of statements: assignments, branches, loops, returns."""

import ast
from collections.abc import Callable, Mapping
from typing import Any

from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.errors import KernelTypeError
from hekla.lang.front.context import Context
from hekla.lang.front.expressions import Expressions, default_type
from hekla.lang.front.known import Known, Value
from hekla.lang.front.operators import as_index, materialise, type_text
from hekla.lang.front.reductions import KEYWORDS, check_reductions, reductions_of
from hekla.lang.front.system_calls import print_call
from hekla.lang.front.tree import blocks_of, shared_part
from hekla.lang.surface import Const, drop, lock, parallel, split, unroll

REFUSED: Mapping[type[ast.AST], tuple[str, str]] = {
    ast.Try: ("try/except", "kernels raise nothing; check before"),
    ast.TryStar: ("try/except*", "kernels raise nothing; check before"),
    ast.Raise: ("raise", "return a value that says so"),
    ast.AsyncWith: ("async with", "kernels run to their end"),
    ast.AsyncFor: ("async for", "kernels run to their end"),
    ast.AsyncFunctionDef: ("an async function", "kernels run to their end"),
    ast.FunctionDef: ("a nested function", "define a @kernel at module level and call it"),
    ast.ClassDef: ("a nested class", "define a @struct at module level"),
    ast.Import: ("import", "import at the top of the file"),
    ast.ImportFrom: ("import", "import at the top of the file"),
    ast.Global: ("global", "pass a MutView parameter"),
    ast.Nonlocal: ("nonlocal", "pass a MutView parameter"),
    ast.Delete: ("del", "write drop(x)"),
    ast.Match: ("match", "use if and elif"),
    ast.Assert: ("assert", "use static_assert for constants; checked builds test the rest"),
}
MAX_UNROLL = 4096


class Statements:
    """Turns the statements of one kernel into typed tree."""

    def __init__(self, context: Context, result: t.Type) -> None:
        self.context, self.result = context, result
        self.expressions = Expressions(context)
        self._loops = self._parallel_depth = 0
        self._handlers: dict[type[ast.AST], Callable[[Any], list[hir.Statement]]] = {  # Any: the class of the key
            ast.Assign: self._assign, ast.AugAssign: self._augmented, ast.AnnAssign: self._annotated,
            ast.Expr: self._expression, ast.If: self._if, ast.While: self._while, ast.For: self._for,
            ast.With: self._with,
            ast.Return: self._return, ast.Break: self._break, ast.Continue: self._continue, ast.Pass: lambda node: [],
        }  # fmt: skip

    def block(self, nodes: list[ast.stmt]) -> list[hir.Statement]:
        """Elaborate a list of statements; what follows a return, break or continue is refused."""
        done: list[hir.Statement] = []
        outer_constants = set(self.context.bindings)
        for node in nodes:
            if done and not falls_through(done):
                if node is not nodes[0] and isinstance(
                    nodes[nodes.index(node) - 1], ast.Return | ast.Break | ast.Continue
                ):
                    self.context.wrong("this line is never reached", node, "remove it")
                break  # a condition known at compile time took a way that leaves
            handler = self._handlers.get(type(node))
            if handler is None:
                what, cure = REFUSED.get(type(node), (type(node).__name__, ""))
                self.context.unsupported(what, node, cure)
            done += handler(node)
        for name in set(self.context.bindings) - outer_constants:
            del self.context.bindings[name]  # a Const lives to the end of its block
        return done

    # --- assignment -------------------------------------------------------------------------------------

    def _assign(self, node: ast.Assign) -> list[hir.Statement]:
        if len(node.targets) > 1:
            self.context.unsupported("a = b = value", node, "assign one at a time")
        target = node.targets[0]
        if isinstance(target, ast.Tuple):
            return self._split(target, node)
        if isinstance(target, ast.Name):
            return self._assign_name(target, node.value)
        if isinstance(target, ast.Subscript | ast.Attribute):
            lane = self._assign_lane(target, node.value)
            if lane is not None:
                return lane
            place = self._written_place(target)
            value = self.expressions.typed(node.value, place.type, "what is stored")
            self._check_not_copied(value, node.value)
            return [hir.Assign(self.context.span(node), place, value)]
        what, cure = ("*unpacking", "name each value") if isinstance(target, ast.Starred) else ("this target", "")
        self.context.unsupported(what, target, cure)

    def _assign_name(self, target: ast.Name, value_node: ast.expr) -> list[hir.Statement]:
        context, span = self.context, self.context.span(target)
        self._check_assignable(target)
        value = self.expressions.value(value_node)
        if target.id in context.held:
            place = context.name(target)
            assert isinstance(place, hir.Place)
            return [hir.Assign(span, place, materialise(value, place.type, what="what is stored"))]
        variable = context.variables.get(target.id)
        if variable is None:
            if isinstance(value, Known):
                if isinstance(value.value, tuple | t.Type) or not value.is_number:
                    context.wrong(
                        f"{type_text(value)} is not a value at run time", value_node, f"write {target.id}: Const = ..."
                    )
                value = materialise(value, default_type(value))
            if value.type == t.none:
                context.wrong("this call returns nothing", value_node, "call it on a line of its own")
            if isinstance(value.type, t.ViewType) and isinstance(value, hir.Conditional):
                context.wrong("a view is not chosen by an expression", value_node, "use an if statement")
            variable = context.declare(target.id, value.type, span)
        self._check_not_copied(value, value_node)
        if isinstance(variable.type, t.ViewType) and isinstance(value, hir.Expr):
            self._check_view_kind(variable, value, value_node)
        expr = materialise(value, variable.type, what=f"{target.id!r}, first assigned as {variable.type},")
        context.assigned.add(variable)
        return [hir.Assign(span, hir.Place(variable.type, span, variable), expr)]

    def _check_not_copied(self, value: Value, node: ast.expr) -> None:
        if isinstance(value, hir.Expr) and t.is_shared(value.type) and not isinstance(value, hir.Op):
            self.context.wrong(f"{value.type} is shared in its place, and not copied", node, "lend it with .view()")
        if isinstance(value, hir.Expr) and isinstance(value.type, t.ArrayType) and not isinstance(value, hir.Op):
            self.context.wrong(
                "an Array is not copied by assigning it", node, "lend it with .view() or .mut(), or copy in a loop"
            )
        if isinstance(value, hir.Conditional) and isinstance(value.type, t.OWNED):
            self.context.wrong("an owner is not chosen by an expression", node, "use an if statement")

    def _check_view_kind(self, variable: hir.Variable, value: hir.Expr, node: ast.expr) -> None:
        if isinstance(value.type, t.ViewType) and value.type != variable.type and value.type.strided:
            self.context.wrong(
                f"{variable.name!r}, first assigned as {variable.type}, must be {variable.type}, got {value.type}",
                node,
                "use another name",
            )

    def _check_assignable(self, target: ast.Name) -> None:
        variable = self.context.variables.get(target.id)
        if variable is not None and variable.read_only:
            self.context.wrong(f"{target.id!r} {variable.read_only}", target, "use another name")
        if variable is None and target.id in self.context.bindings:
            self.context.wrong(f"{target.id!r} is a compile-time constant", target, "use another name")

    def _assign_lane(self, target: ast.Subscript | ast.Attribute, value_node: ast.expr) -> list[hir.Statement] | None:
        """`v[2] = x` on a vector variable: insert the lane and store the whole vector back."""
        if not isinstance(target, ast.Subscript) or self.expressions._view_dimension(target) is not None:
            return None
        whole = self.expressions.value(target.value)
        if isinstance(whole, Known) or not isinstance(whole.type, t.VecType) or not isinstance(whole, hir.Place):
            return None
        value = self.expressions.typed(value_node, whole.type.element, "a lane")
        if isinstance(target.slice, ast.Tuple | ast.Slice):
            self.context.wrong("a vector takes one lane number", target)
        lane = self.expressions._index(target.slice, whole.type.lanes)
        span = self.context.span(target)
        return [hir.Assign(span, whole, hir.Op(whole.type, span, "vector.insert", [value, whole, lane]))]

    def _written_place(self, target: ast.expr) -> hir.Place:
        place = self.expressions.value(target)
        if isinstance(place, Known):
            self.context.wrong("a compile-time constant cannot be written", target)
        if not isinstance(place, hir.Place):
            if isinstance(place.type, t.ViewType):
                self.context.unsupported("assigning to a slice", target, "write a loop, or store() vectors")
            self.context.wrong("this cannot be written", target, "assign it to a variable first")
        root = place.root
        holder = root.type
        if t.is_shared(place.type):
            self.context.wrong(
                f"{place.type} keeps its place, and is not assigned", target, "store into it, or lock it"
            )
        if isinstance(holder, t.ViewType) and not holder.mutable and not shared_part(place):
            name = f"{root.name!r} is " if isinstance(root, hir.Variable) else ""
            self.context.wrong(f"{name}{holder}, which only reads", target, "declare the parameter as MutView")
        return place

    def _augmented(self, node: ast.AugAssign) -> list[hir.Statement]:
        if isinstance(node.target, ast.Name):
            self._check_assignable(node.target)
            place = self.context.name(node.target)
            if isinstance(place, Known):
                self.context.wrong(f"{node.target.id!r} is a compile-time constant", node.target, "use a variable")
            before: list[hir.Statement] = []
        else:
            place, before = self._fixed(self._written_place(node.target))
        assert isinstance(place, hir.Place)
        value = self.expressions.binary(type(node.op), place, self.expressions.value(node.value), node)
        expr = materialise(value, place.type, what="the result")
        return [*before, hir.Assign(self.context.span(node), place, expr)]

    def _fixed(self, place: hir.Place) -> tuple[hir.Place, list[hir.Statement]]:
        """Compute the indices of a place once, because it is both read and written."""
        before: list[hir.Statement] = []
        steps: list[hir.Expr | int] = []
        for step in place.steps:
            if isinstance(step, int | hir.Const) or (isinstance(step, hir.Place) and not step.steps):
                steps.append(step)
                continue
            held = self.context.temporary(step.type, step.span)
            at = hir.Place(step.type, step.span, held)
            before.append(hir.Assign(step.span, at, step))
            steps.append(at)
        return hir.Place(place.type, place.span, place.root, tuple(steps)), before

    def _annotated(self, node: ast.AnnAssign) -> list[hir.Statement]:
        context = self.context
        if not isinstance(node.target, ast.Name) or node.value is None:
            context.unsupported("an annotation without a name and a value", node, "write name: T = value")
        name, span = node.target.id, context.span(node.target)
        annotation = (
            self.expressions.known(node.annotation, "a type") if isinstance(node.annotation, ast.Name) else None
        )
        if annotation is Const:
            if name in context.variables or name in context.bindings:
                context.wrong(f"{name!r} has a value already", node.target, "use another name; a Const never changes")
            context.bindings[name] = Known(self.expressions.known(node.value, "a Const"), span)
            return []
        self._check_assignable(node.target)
        kind = self.expressions.annotation(node.annotation)
        known = context.variables.get(name)
        if known is not None and known.type != kind:
            context.wrong(f"{name!r} was first assigned as {known.type}", node.target, "use another name")
        value = self.expressions.typed(node.value, kind, f"{name!r}")
        self._check_not_copied(value, node.value)
        variable = known or context.declare(name, kind, span)
        context.assigned.add(variable)
        return [hir.Assign(span, hir.Place(kind, span, variable), value)]

    def _split(self, target: ast.Tuple, node: ast.Assign) -> list[hir.Statement]:
        context, call = self.context, node.value
        callee = (
            context.definition.lookup(call.func.id)
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
            else None
        )
        names = [e for e in target.elts if isinstance(e, ast.Name)]
        if callee is not split or not isinstance(call, ast.Call):
            context.unsupported(
                "assigning to several names", node, "assign one at a time; only split() gives two values"
            )
        if len(call.args) != 2 or call.keywords or len(names) != 2 or len(target.elts) != 2:
            context.wrong("split() is written `left, right = split(view, at)`", node)
        view = self.expressions.value(call.args[0])
        if isinstance(view, Known) or not isinstance(view.type, t.ViewType):
            context.wrong(f"split() takes a view, got {type_text(view)}", call.args[0], "lend an Array with .mut()")
        at = as_index(self.expressions.value(call.args[1]), "where split() cuts")
        halves: list[hir.Variable] = []
        for name in names:
            self._check_assignable(name)
            known = context.variables.get(name.id)
            if known is not None:
                context.wrong(f"{name.id!r} has a value already", name, "give the halves names of their own")
            halves.append(context.declare(name.id, view.type, context.span(name)))
        context.assigned.update(halves)
        return [hir.Split(context.span(node), halves[0], halves[1], view, at)]

    # --- control ----------------------------------------------------------------------------------------

    def _expression(self, node: ast.Expr) -> list[hir.Statement]:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return []  # a docstring
        call = node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and self._is(call.func, drop):
            return self._drop(call)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and self._is(call.func, print):
            return print_call(self.expressions, call)
        value = self.expressions.value(node.value)
        if isinstance(value, Known) or not isinstance(value, hir.Call | hir.Op):
            self.context.wrong("this line does nothing", node, "assign the value or remove the line")
        if (
            isinstance(value, hir.Op)
            and value.type != t.none
            and not value.name.startswith(("memref.atomic_", "system."))
        ):
            self.context.wrong("the result is not used", node, "assign the value or remove the line")
        return [hir.Evaluate(self.context.span(node), value)]

    def _is(self, name: ast.Name, builtin: object) -> bool:
        return name.id not in self.context.variables and self.context.definition.lookup(name.id) is builtin

    def _drop(self, call: ast.Call) -> list[hir.Statement]:
        value = self.expressions.value(call.args[0]) if len(call.args) == 1 else None
        if not isinstance(value, hir.Place) or value.variable is None or value.steps:
            self.context.wrong("drop() takes one variable", call)
        if not isinstance(value.type, t.OWNED):
            self.context.wrong(f"{value.type} owns nothing", call.args[0], "a Buffer or a region can be dropped")
        return [hir.Drop(self.context.span(call), value.variable)]

    def _if(self, node: ast.If) -> list[hir.Statement]:
        condition = self.expressions.condition(node.test)
        if isinstance(condition, bool):
            return self.block(node.body if condition else node.orelse)
        before = set(self.context.assigned)
        then = self.block(node.body)
        after_then = self.context.assigned if falls_through(then) else None
        self.context.assigned = set(before)
        other = self.block(node.orelse)
        after_other = self.context.assigned if falls_through(other) else None
        ways = [way for way in (after_then, after_other) if way is not None]
        self.context.assigned = set.intersection(*ways) if ways else before
        return [hir.If(self.context.span(node), condition, then, other)]

    def _while(self, node: ast.While) -> list[hir.Statement]:
        if node.orelse:
            self.context.unsupported("else on a loop", node.orelse[0], "set a bool before break")
        condition = self.expressions.condition(node.test)
        if condition is False:
            return []
        span = self.context.span(node)
        test = hir.Const(t.bool_, span, True) if condition is True else condition
        body = self._loop_body(node.body)
        return [hir.While(span, test, body)]

    def _loop_body(self, nodes: list[ast.stmt]) -> list[hir.Statement]:
        before = set(self.context.assigned)
        self._loops += 1
        body = self.block(nodes)
        self._loops -= 1
        self.context.assigned = before
        return body

    def _for(self, node: ast.For) -> list[hir.Statement]:
        if node.orelse:
            self.context.unsupported("else on a loop", node.orelse[0], "set a bool before break")
        if not isinstance(node.target, ast.Name):
            self.context.unsupported("a loop over several names", node.target, "use one counter")
        call = node.iter
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and self._is(call.func, unroll):
            return self._unrolled(node, call, node.target)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and self._is(call.func, parallel):
            return self._parallel(node, call, node.target)
        is_range = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and self._is(call.func, range)
        if not is_range or not isinstance(call, ast.Call):
            self.context.unsupported("a loop over anything but range()", call, "write for i in range(len(x)):")
        if not 1 <= len(call.args) <= 3 or call.keywords:
            self.context.wrong("range() takes one to three values", call)
        return self._counted(node, call, node.target)

    def _counted(self, node: ast.For, call: ast.Call, target: ast.Name) -> list[hir.Statement]:
        span = self.context.span(target)
        values = [self.expressions.value(a) for a in call.args]
        step = 1
        if len(values) == 3:
            step = self.expressions.known(call.args[2], "the step of range()")
            if not isinstance(step, int) or step == 0:
                self.context.wrong("the step of range() is a whole number other than 0", call.args[2])
        start = as_index(values[0], "the start of range()") if len(values) > 1 else hir.Const(t.index, span, 0)
        stop = as_index(values[min(1, len(values) - 1)], "the end of range()")
        counter, body = self._counted_body(node, target)
        return [hir.For(self.context.span(node), counter, start, stop, step, body)]

    def _counted_body(self, node: ast.For, target: ast.Name) -> tuple[hir.Variable, list[hir.Statement]]:
        outer = self.context.variables.get(target.id)
        if target.id in self.context.bindings or (outer is not None and not outer.read_only):
            self.context.wrong(f"{target.id!r} has another meaning already", target, "use another name for the counter")
        if outer is not None and outer in self.context.assigned:
            self.context.wrong(f"{target.id!r} counts an outer loop", target, "use another name for the counter")
        span = self.context.span(target)
        counter = hir.Variable(target.id, t.index, span, read_only="counts a loop and cannot be assigned")
        self.context.variables[target.id] = counter
        self.context.assigned.add(counter)
        body = self._loop_body(node.body)
        self.context.assigned.discard(counter)
        return counter, body

    def _parallel(self, node: ast.For, call: ast.Call, target: ast.Name) -> list[hir.Statement]:
        reduced = [k for k in call.keywords if k.arg in KEYWORDS]
        plain = ast.Call(call.func, call.args, [k for k in call.keywords if k.arg not in KEYWORDS])
        named = self.expressions.named(plain)
        unproved = named.pop("unproved", Known("", self.context.span(call))).value
        if len(call.args) != 1 or named or not isinstance(unproved, str):
            self.context.wrong("parallel() takes a count, and perhaps reduce_add= or unproved='the reason'", call)
        reductions = reductions_of(self.context, reduced)
        if self._parallel_depth:
            self.context.wrong("a parallel loop in a parallel loop", call, "make the inner one a plain range")
        count = as_index(self.expressions.value(call.args[0]), "the count of parallel()")
        before = set(self.context.variables.values())
        self._parallel_depth += 1
        self.context.hidden = set(self.context.held)
        counter, body = self._counted_body(node, target)
        self.context.hidden = set()
        self._parallel_depth -= 1
        check_reductions(body, reductions)
        self._check_parallel(body, before - {r.variable for r in reductions})
        return [hir.Parallel(self.context.span(node), counter, count, body, unproved, reductions)]

    def _check_parallel(self, body: list[hir.Statement], outer: set[hir.Variable], depth: int = 0) -> None:
        """What other iterations would see may not be assigned, and no iteration leaves early."""
        for s in body:
            if isinstance(s, hir.Assign) and s.place.variable in outer:
                variable = s.place.variable
                assert variable is not None
                if not isinstance(variable.type, t.ViewType) or not s.place.steps:
                    raise KernelTypeError(
                        f"{variable.name!r} lives outside of this parallel loop, and every iteration would assign it",
                        span=s.span,
                        cure="write to an element of a MutView, one for each iteration, or reduce it: reduce_add=",
                    )
            if isinstance(s, hir.Return) or (isinstance(s, hir.Break | hir.Continue) and depth == 0):
                word = type(s).__name__.lower()
                raise KernelTypeError(f"{word} in a parallel loop", span=s.span, cure="use if")
            inner = depth + isinstance(s, hir.While | hir.For)
            for block in blocks_of(s):
                self._check_parallel(block, outer, inner)

    def _with(self, node: ast.With) -> list[hir.Statement]:
        """`with lock(m) as content:`, the content being a place that has a name only there."""
        context, item = self.context, node.items[0]
        call = item.context_expr
        is_lock = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and self._is(call.func, lock)
        if not is_lock or not isinstance(call, ast.Call):
            context.unsupported(
                "with", node, "only `with lock(m) as content:` is; owned values are freed with their scope"
            )
        named = self.expressions.named(call)
        unproved = named.pop("unproved", Known("", context.span(call))).value
        if len(call.args) != 1 or named or not isinstance(unproved, str):
            context.wrong("lock() takes a Mutex, and perhaps unproved='the reason'", call)
        place = self.expressions.value(call.args[0])
        if not isinstance(place, hir.Place) or not isinstance(place.type, t.MutexType):
            found = type_text(place) if isinstance(place, Known) else place.type
            context.wrong(f"lock() takes a Mutex in its place, got {found}", call.args[0], "for example lock(bank[i])")
        name = item.optional_vars
        if name is not None and not isinstance(name, ast.Name):
            context.wrong("the content has one name", name, "write `with lock(m) as content:`")
        if name is not None and (
            name.id in context.variables or name.id in context.bindings or name.id in context.held
        ):
            context.wrong(f"{name.id!r} has another meaning already", name, "use another name for the content")
        content = place.type.content
        place, before = self._pinned(place)
        if name is not None:
            context.held[name.id] = hir.Place(content, place.span, place.root, (*place.steps, 1))
        rest = ast.copy_location(ast.With(node.items[1:], node.body), node)
        body = self._with(rest) if len(node.items) > 1 else self.block(node.body)
        if name is not None:
            del context.held[name.id]
        return [*before, hir.Lock(context.span(call), place, body, unproved)]

    def _pinned(self, place: hir.Place) -> tuple[hir.Place, list[hir.Statement]]:
        """Compute where a place is once, whatever happens to the variables it was named by."""
        before: list[hir.Statement] = []

        def held(value: hir.Expr) -> hir.Place:
            variable = self.context.temporary(value.type, value.span)
            at = hir.Place(value.type, value.span, variable)
            before.append(hir.Assign(value.span, at, value))
            return at

        root = place.root
        if isinstance(root.type, t.ViewType):
            view = hir.Place(root.type, place.span, root) if isinstance(root, hir.Variable) else root
            reader = t.ViewType(root.type.element, root.type.rank, False, root.type.strided)
            root = held(hir.Op(reader, view.span, "memref.cast", [view])).root
        steps = tuple(s if isinstance(s, int | hir.Const) else held(s) for s in place.steps)
        return hir.Place(place.type, place.span, root, steps), before

    def _unrolled(self, node: ast.For, call: ast.Call, target: ast.Name) -> list[hir.Statement]:
        if len(call.args) != 1 or call.keywords:
            self.context.wrong("unroll() takes one range or tuple", call)
        sequence = self.expressions.known(call.args[0], "what unroll() walks over")
        if not isinstance(sequence, range | tuple):
            self.context.wrong("unroll() takes a range or a tuple", call.args[0])
        if len(sequence) > MAX_UNROLL:
            self.context.wrong(f"unroll() of {len(sequence)} turns, the limit is {MAX_UNROLL}", call, "use a loop")
        if target.id in self.context.variables:
            self.context.wrong(f"{target.id!r} has another meaning already", target, "use another name for the counter")
        self._check_no_jump(node)
        outer = self.context.bindings.get(target.id)
        if outer is not None:
            self.context.wrong(f"{target.id!r} is a compile-time constant already", target, "use another name")
        done: list[hir.Statement] = []
        for value in sequence:
            self.context.bindings[target.id] = Known(value, self.context.span(target))
            done += self.block(node.body)
        self.context.bindings.pop(target.id, None)
        return done

    def _check_no_jump(self, node: ast.For) -> None:
        inner_loops = [n for n in ast.walk(node) if isinstance(n, ast.For | ast.While) and n is not node]
        inside = {id(n) for loop in inner_loops if not self._is_unroll(loop) for n in ast.walk(loop)}
        for child in ast.walk(node):
            if isinstance(child, ast.Break | ast.Continue) and id(child) not in inside:
                self.context.wrong(
                    "break and continue do not work in an unrolled loop", child, "use if, or a plain range"
                )

    def _is_unroll(self, loop: ast.AST) -> bool:
        call = getattr(loop, "iter", None)
        return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and self._is(call.func, unroll)

    def _return(self, node: ast.Return) -> list[hir.Statement]:
        span = self.context.span(node)
        is_none = node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None)
        if is_none:
            if self.result != t.none:
                self.context.wrong(f"this kernel returns {self.result}", node, "return a value of that type")
            return [hir.Return(span, None)]
        assert node.value is not None
        if self.result == t.none:
            self.context.wrong("this kernel is declared to return nothing", node.value, "add `-> T` to its first line")
        if isinstance(node.value, ast.Tuple):
            self.context.unsupported("returning a tuple", node.value, "return a @struct, or write to MutViews")
        return [hir.Return(span, self.expressions.typed(node.value, self.result, "the result"))]

    def _break(self, node: ast.Break) -> list[hir.Statement]:
        return [hir.Break(self.context.span(node))]

    def _continue(self, node: ast.Continue) -> list[hir.Statement]:
        return [hir.Continue(self.context.span(node))]


def falls_through(body: list[hir.Statement]) -> bool:
    """True where control may reach what stands after the statements."""
    if not body:
        return True
    last = body[-1]
    if isinstance(last, hir.Return | hir.Break | hir.Continue):
        return False
    if isinstance(last, hir.If):
        return falls_through(last.then) or falls_through(last.other)
    if isinstance(last, hir.Lock):
        return falls_through(last.body)
    if isinstance(last, hir.While) and isinstance(last.condition, hir.Const):
        return _breaks(last.body)
    return True


def _breaks(body: list[hir.Statement]) -> bool:
    return any(
        isinstance(s, hir.Break) or (isinstance(s, hir.If | hir.Lock) and any(map(_breaks, blocks_of(s)))) for s in body
    )
