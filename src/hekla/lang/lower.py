"""From the typed tree to the IR: control flow becomes blocks, expressions become operations. Adds no meaning."""

from collections.abc import Sequence

from hekla.lang import hir
from hekla.lang import types as t
from hekla.lang.front.captures import captured_variables
from hekla.lang.front.owners import is_lent
from hekla.lang.front.reductions import spread
from hekla.lang.front.tree import blocks_of, children_of, expressions_of, walk
from hekla.lang.ir.core import Attributes, Block, Function, Loop, Module, Op, SlotType, Value
from hekla.lang.source import Span

SMALL_ARRAY = 64  # elements; up to here a fill is one store each, which LLVM can keep in registers


def lower_program(instances: Sequence[hir.Instance]) -> Module:
    """Return the module of these instances, which are in the order callees before callers."""
    module = Module()
    for instance in instances:
        _Lowering(instance, module).finish()
        module.edges += instance.edges
    return module


class _Lowering:
    """State while one function is lowered: the open block, where each variable lives, the loops around."""

    def __init__(self, instance: hir.Instance, module: Module) -> None:
        self.instance, self.module = instance, module
        self.outlined = 0
        self.values: dict[hir.Variable, Value] = {}  # variables assigned once
        self.slots: dict[hir.Variable, Value] = {}
        self.slot_ops: list[Op] = []
        # of each open loop: where continue and break go, what continue ends, how many locks were held before it
        self.loops: list[tuple[Block, Block, Loop | None, int]] = []
        self.held: list[tuple[hir.Lock, list[Value], Attributes]] = []  # locks around: (statement, operands, path)
        self.assignments = _count_assignments(instance.body)
        # a region is lent as the place it lies in
        params = [Value(SlotType(p.type) if is_lent(p) else p.type, p.name) for p in instance.params]
        self.function = Function(
            instance.name, instance.symbol, params, instance.result, instance.span, instance.inline
        )
        self.block = self._new_block("entry")

    def finish(self) -> None:
        """Lower the function into the module, after the bodies of its parallel loops."""
        self.module.functions[self.instance.symbol] = self._run()

    def _run(self) -> Function:
        for variable, value in zip(self.instance.params, self.function.params, strict=True):
            if is_lent(variable):
                self.slots[variable] = value
            elif self._needs_slot(variable):
                self._emit("memref.store", [value, self._slot(variable)], None, variable.span, {"path": ()})
            else:
                self.values[variable] = value
        self._statements(self.instance.body)
        if not self.block.is_closed:
            self._emit("func.return", [], None, self.instance.span)
        self.function.demand = self.instance.demand
        self.function.blocks[0].ops[:0] = self.slot_ops
        self.function.blocks = _reachable(self.function.blocks)
        return self.function

    # --- building ---------------------------------------------------------------------------------------

    def _new_block(self, label: str) -> Block:
        block = Block(f"{label}{len(self.function.blocks)}" if self.function.blocks else label)
        self.function.blocks.append(block)
        return block

    def _emit(
        self, name: str, operands: Sequence[Value], result: t.Type | None, span: Span, attrs: Attributes | None = None
    ) -> Value:
        value = Value(result if result is not None else t.none)
        self.block.ops.append(Op(name, operands, value if result not in (None, t.none) else None, attrs or {}, span))
        return value

    def _branch(self, target: Block, span: Span, loop: Loop | None = None) -> None:
        """Go to a block; `loop` where this ends a turn of one."""
        if not self.block.is_closed:
            attrs = {"targets": (target,)} if loop is None else {"targets": (target,), "loop": loop}
            self._emit("cf.br", [], None, span, attrs)

    def _constant(self, kind: t.ScalarType, number: int | float | bool, span: Span) -> Value:
        return self._emit("arith.constant", [], kind, span, {"value": number})

    def _needs_slot(self, variable: hir.Variable) -> bool:
        if variable in self.slots or isinstance(
            variable.type, t.ArrayType | t.StructType | t.BufferType | t.RegionType
        ):
            return True
        return self.assignments.get(variable, 0) > (0 if variable.is_parameter else 1)

    def _slot(self, variable: hir.Variable) -> Value:
        if variable not in self.slots:
            slot = Value(SlotType(variable.type), variable.name)
            self.slot_ops.append(Op("memref.alloca", [], slot, {}, variable.span))
            self.slots[variable] = slot
        return self.slots[variable]

    # --- statements -------------------------------------------------------------------------------------

    def _statements(self, body: list[hir.Statement]) -> None:
        for statement in body:
            getattr(self, f"_{type(statement).__name__.lower()}")(statement)

    def _assign(self, s: hir.Assign) -> None:
        variable = s.place.variable
        if variable is not None and not s.place.steps and not self._needs_slot(variable):
            value = self.expression(s.value)
            if not value.hint:
                value.hint = variable.name
            self.values[variable] = value
            return
        if isinstance(s.value, hir.Op) and s.value.name == "tensor.splat" and self._fill(s.place, s.value):
            return
        value = self.expression(s.value)
        root, indices, path = self._place(s.place)
        self._emit("memref.store", [value, root, *indices], None, s.span, {"path": path})

    def _fill(self, place: hir.Place, value: hir.Op) -> bool:
        """Fill an array in place; False where it is small enough to be stored like any value."""
        length, element = 1, value.type
        filling: hir.Expr = value
        while isinstance(filling, hir.Op) and filling.name == "tensor.splat" and isinstance(element, t.ArrayType):
            length, element, filling = length * element.length, element.element, filling.args[0]
        if length <= SMALL_ARRAY or isinstance(element, t.ArrayType):
            return False
        root, indices, path = self._place(place)
        number = self.expression(filling)
        self._emit("memref.fill", [number, root, *indices], None, place.span, {"path": path, "length": length})
        return True

    def _split(self, s: hir.Split) -> None:
        view, at = self.expression(s.view), self.expression(s.at)
        assert isinstance(view.type, t.ViewType)
        form = "s" + "-" * (view.type.rank - 1)
        zero = self._constant(t.index, 0, s.span)
        end = self._emit("memref.dim", [view], t.index, s.span, {"dimension": 0})
        for variable, low, high in ((s.left, zero, at), (s.right, at, end)):
            self.values[variable] = self._emit("memref.subview", [view, low, high], view.type, s.span, {"form": form})

    def _evaluate(self, s: hir.Evaluate) -> None:
        if isinstance(s.value.type, t.OWNED):  # nobody wants it
            place = self._held(s.value)
            assert place.variable is not None
            self._drop(hir.Drop(s.span, place.variable))
            return
        self.expression(s.value)

    def _if(self, s: hir.If) -> None:
        condition = self.expression(s.condition)
        then, other, after = self._new_block("then"), self._new_block("else"), self._new_block("after")
        self._emit("cf.cond_br", [condition], None, s.span, {"targets": (then, other)})
        for block, body in ((then, s.then), (other, s.other)):
            self.block = block
            self._statements(body)
            self._branch(after, s.span)
        self.block = after

    def _while(self, s: hir.While) -> None:
        head, body, after = self._new_block("while"), self._new_block("body"), self._new_block("after")
        self._branch(head, s.span)
        self.block = head
        if isinstance(s.condition, hir.Const):
            self._branch(body, s.span)
        else:
            condition = self.expression(s.condition)
            self._emit("cf.cond_br", [condition], None, s.span, {"targets": (body, after)})
        self._loop_body(body, s.body, head, after, s.span, loop_of(s))

    def _loop_body(
        self, block: Block, body: list[hir.Statement], again: Block, after: Block, span: Span, loop: Loop | None = None
    ) -> None:
        self.block = block
        self.loops.append((again, after, loop, len(self.held)))
        self._statements(body)
        self.loops.pop()
        self._branch(again, span, loop)
        self.block = after

    def _for(self, s: hir.For) -> None:
        start, stop = self.expression(s.start), self.expression(s.stop)
        if abs(s.step) > 1:
            self._strided_for(s, start, stop)
            return
        slot = self._slot(s.counter)
        self._emit("memref.store", [start, slot], None, s.span, {"path": ()})
        head, body = self._new_block("for"), self._new_block("body")
        step, after = self._new_block("next"), self._new_block("after")
        self._branch(head, s.span)
        self.block = head
        counter = self._emit("memref.load", [slot], t.index, s.counter.span, {"path": ()})
        counter.hint = s.counter.name
        self.values[s.counter] = counter
        predicate = "slt" if s.step > 0 else "sgt"
        more = self._emit("arith.cmpi", [counter, stop], t.bool_, s.span, {"predicate": predicate})
        self._emit("cf.cond_br", [more], None, s.span, {"targets": (body, after)})
        self._loop_body(body, s.body, step, after, s.span)
        self.block = step
        by = self._constant(t.index, s.step, s.span)
        following = self._emit("arith.addi", [counter, by], t.index, s.span, {"no_overflow": True})
        self._emit("memref.store", [following, slot], None, s.span, {"path": ()})
        self._branch(head, s.span, loop_of(s))
        self.block = after

    def _strided_for(self, s: hir.For, start: Value, stop: Value) -> None:
        """The last turn is computed beforehand: counting to past the end could wrap."""
        set_up, head, body = self._new_block("set"), self._new_block("for"), self._new_block("body")
        test, step, after = self._new_block("test"), self._new_block("next"), self._new_block("after")
        low, high = (start, stop) if s.step > 0 else (stop, start)
        some = self._emit("arith.cmpi", [low, high], t.bool_, s.span, {"predicate": "slt"})
        self._emit("cf.cond_br", [some], None, s.span, {"targets": (set_up, after)})
        self.block = set_up

        def index(name: str, a: Value, b: Value) -> Value:
            return self._emit(f"arith.{name}", [a, b], t.index, s.span, {"wraps": True})

        one, size = self._constant(t.index, 1, s.span), self._constant(t.index, abs(s.step), s.span)
        way = index("subi", index("subi", high, low), one)  # without sign: up to 2^64
        whole = index("subi", way, index("remui", way, size))
        last = index("addi" if s.step > 0 else "subi", start, whole)
        slot = self._slot(s.counter)
        self._emit("memref.store", [start, slot], None, s.span, {"path": ()})
        self._branch(head, s.span)
        self.block = head
        counter = self._emit("memref.load", [slot], t.index, s.counter.span, {"path": ()})
        counter.hint = s.counter.name
        self.values[s.counter] = counter
        self._branch(body, s.span)
        self._loop_body(body, s.body, test, after, s.span)
        self.block = test
        done = self._emit("arith.cmpi", [counter, last], t.bool_, s.span, {"predicate": "eq"})
        self._emit("cf.cond_br", [done], None, s.span, {"targets": (after, step)})
        self.block = step
        by = self._constant(t.index, s.step, s.span)
        following = self._emit("arith.addi", [counter, by], t.index, s.span, {"no_overflow": True})
        self._emit("memref.store", [following, slot], None, s.span, {"path": ()})
        self._branch(head, s.span, loop_of(s))
        self.block = after

    def _parallel(self, s: hir.Parallel) -> None:
        """The body becomes a function of (begin, end, what it captures), which workers call for ranges."""
        if s.reductions:
            self._statements(spread(s))
            return
        count = self.expression(s.count)
        captured = captured_variables(s)
        begin, end = hir.Variable("begin", t.index, s.span), hir.Variable("end", t.index, s.span)
        start, stop = hir.Place(t.index, s.span, begin), hir.Place(t.index, s.span, end)
        symbol = f"{self.instance.symbol}.parallel{self.outlined}"
        self.outlined += 1
        loop = hir.For(s.span, s.counter, start, stop, 1, s.body)
        name = f"{self.instance.name}, a parallel loop"
        body = hir.Instance(name, symbol, [begin, end, *captured], t.none, [loop], s.span)
        body.demand = self.instance.demand
        _Lowering(body, self.module).finish()
        args = [self._x_place(hir.Place(v.type, s.span, v)) for v in captured]
        self._emit("scf.parallel", [count, *args], None, s.span, {"callee": symbol})

    def _return(self, s: hir.Return) -> None:
        values = [self.expression(s.value)] if s.value is not None else []
        self._unlock(0, s.span)
        self._emit("func.return", values, None, s.span)

    def _break(self, s: hir.Break) -> None:
        self._unlock(self.loops[-1][3], s.span)
        self._branch(self.loops[-1][1], s.span)

    def _continue(self, s: hir.Continue) -> None:
        self._unlock(self.loops[-1][3], s.span)
        self._branch(self.loops[-1][0], s.span, self.loops[-1][2])

    def _lock(self, s: hir.Lock) -> None:
        root, indices, path = self._place(s.place)
        self.held.append((s, [root, *indices], {"path": path}))
        self._emit("memref.lock", [root, *indices], None, s.span, {"path": path})
        self._statements(s.body)
        if self.block.is_closed:
            self.block = self._new_block("after")  # nothing comes here, and it is dropped
        else:
            self._unlock(len(self.held) - 1, s.span)
        self.held.pop()

    def _unlock(self, outer: int, span: Span) -> None:
        """Give back the locks taken since `outer` were held, the last first."""
        for _, operands, path in reversed(self.held[outer:]):
            self._emit("memref.unlock", operands, None, span, path)

    def _drop(self, s: hir.Drop) -> None:
        self._emit("memref.dealloc", [self._slot(s.variable)], None, s.span)

    # --- expressions ------------------------------------------------------------------------------------

    def expression(self, e: hir.Expr) -> Value:
        """Lower an expression and return its value."""
        value: Value = getattr(self, f"_x_{type(e).__name__.lower()}")(e)
        return value

    def _x_const(self, e: hir.Const) -> Value:
        assert isinstance(e.type, t.ScalarType)
        return self._constant(e.type, e.value, e.span)

    def _x_op(self, e: hir.Op) -> Value:
        if e.name == "hekla.nothing":
            return Value(t.none)
        if e.name == "memref.dim" and isinstance(e.args[0].type, t.BufferType):
            place = self._held(e.args[0])
            length = self._emit("memref.dim", [self._place(place)[0]], t.index, e.span, e.attrs)
            if place is not e.args[0]:  # only its length was wanted
                assert place.variable is not None
                self._drop(hir.Drop(e.span, place.variable))
            return length
        if e.name == "memref.take":
            root, _, _ = self._place(e.args[0])
            return self._emit(e.name, [root, self.expression(e.args[1])], e.type, e.span)
        if e.name.startswith("memref.atomic_"):
            root, indices, path = self._place(e.args[0])
            operands = [root, *indices, *(self.expression(a) for a in e.args[1:])]
            return self._emit(e.name, operands, e.type, e.span, {**e.attrs, "path": path})
        return self._emit(e.name, [self.expression(a) for a in e.args], e.type, e.span, e.attrs)

    def _x_call(self, e: hir.Call) -> Value:
        """Owned arguments are moved last, when no other can end the kernel.

        What a callee takes of a region it gives back, unless it returns a view of it: then the region keeps it all.
        """
        args: list[Value | None] = []
        moved: list[tuple[int, hir.Place]] = []
        marks: list[tuple[Value, Value]] = []
        for position, argument in enumerate(e.args):
            if isinstance(argument.type, t.BufferType):
                moved.append((position, self._held(argument)))
                args.append(None)
            elif isinstance(argument.type, t.RegionType):
                args.append(self._place(argument)[0])
            else:
                args.append(self.expression(argument))
        for position, place in moved:
            args[position] = self.expression(place)
        given = [a for a in args if a is not None]
        for position, value in enumerate(given):
            if isinstance(value.type, SlotType) and position not in e.callee.result_borrows:
                marks.append((value, self._emit("memref.mark", [value], t.index, e.span)))
        result = self._emit("func.call", given, e.type, e.span, {"callee": e.callee.symbol})
        for slot, mark in marks:
            self._emit("memref.release", [slot, mark], None, e.span)
        return result

    def _held(self, e: hir.Expr) -> hir.Place:
        """Return an owned value in a variable, so that it is freed if the kernel ends early."""
        if isinstance(e, hir.Place):
            return e
        held = hir.Variable("held", e.type, e.span)
        place = hir.Place(e.type, e.span, held)
        self._assign(hir.Assign(e.span, place, e))
        return place

    def _x_place(self, e: hir.Place) -> Value:
        variable = e.variable
        if variable is not None and not e.steps and variable in self.values:
            return self.values[variable]
        root, indices, path = self._place(e)
        return self._emit("memref.load", [root, *indices], e.type, e.span, {"path": path})

    def _x_borrow(self, e: hir.Borrow) -> Value:
        root, _, _ = self._place(e.place)
        return self._emit("memref.borrow", [root], e.type, e.span)

    def _x_logical(self, e: hir.Logical) -> Value:
        is_and = e.operator == "and"
        known = hir.Const(t.bool_, e.span, not is_and)
        then, other = (e.right, known) if is_and else (known, e.right)
        return self._x_conditional(hir.Conditional(t.bool_, e.span, e.left, then, other))

    def _x_conditional(self, e: hir.Conditional) -> Value:
        held = hir.Variable("chosen", e.type, e.span)
        place = hir.Place(e.type, e.span, held)
        slot = self._slot(held)
        self._if(hir.If(e.span, e.condition, [hir.Assign(e.span, place, e.then)], [hir.Assign(e.span, place, e.other)]))
        return self._emit("memref.load", [slot], e.type, e.span, {"path": ()})

    def _place(self, e: hir.Expr) -> tuple[Value, list[Value], tuple[str | int, ...]]:
        """Return (root, indices, path) of a place; the root is a slot or a view."""
        assert isinstance(e, hir.Place)
        root: Value
        if isinstance(e.root, hir.Variable):
            if isinstance(e.root.type, t.ViewType) and e.steps:
                root = self._x_place(hir.Place(e.root.type, e.span, e.root))
            else:
                root = self._slot(e.root)
        else:
            root = self.expression(e.root)
        indices = [self.expression(s) for s in e.steps if isinstance(s, hir.Expr)]
        return root, indices, tuple("i" if isinstance(s, hir.Expr) else s for s in e.steps)


def loop_of(s: hir.While | hir.For) -> Loop:
    """Return what is known of a loop: its place, its last line, whether no other loop runs inside of it."""
    lines = [s.span.line]
    innermost = True
    for inner in walk(s.body):
        lines.append(inner.span.line)
        innermost &= not isinstance(inner, hir.While | hir.For | hir.Parallel)
        for e in expressions_of(inner):
            innermost &= not _look(e, lines)
    return Loop(s.span, max(lines), innermost)


def _look(e: hir.Expr, lines: list[int]) -> bool:
    """Note the lines of an expression; True where it calls a kernel with loops."""
    lines.append(e.span.line)
    found = isinstance(e, hir.Call) and _has_loops(e.callee)
    for child in children_of(e):
        found |= _look(child, lines)
    return found


def _has_loops(instance: hir.Instance) -> bool:
    return any(
        isinstance(s, hir.While | hir.For | hir.Parallel) or any(_look(e, []) for e in expressions_of(s))
        for s in walk(instance.body)
    )


def _count_assignments(body: Sequence[hir.Statement]) -> dict[hir.Variable, int]:
    counts: dict[hir.Variable, int] = {}
    for s in body:
        if isinstance(s, hir.Assign) and s.place.variable is not None:
            if s.place.steps and isinstance(s.place.variable.type, t.ViewType):
                continue  # what it looks at is written, the view itself stays
            # a store into a part counts twice: the variable needs a place in memory
            counts[s.place.variable] = counts.get(s.place.variable, 0) + (2 if s.place.steps else 1)
        for one in blocks_of(s):
            for variable, count in _count_assignments(one).items():
                counts[variable] = counts.get(variable, 0) + count
    return counts


def _reachable(blocks: list[Block]) -> list[Block]:
    """Return the blocks that control can reach, in their order; empty ones after a return are dropped."""
    seen: set[Block] = set()
    waiting = [blocks[0]]
    while waiting:
        block = waiting.pop()
        if block in seen:
            continue
        seen.add(block)
        waiting += block.ops[-1].attrs.get("targets", ()) if block.ops else ()
    return [b for b in blocks if b in seen]
