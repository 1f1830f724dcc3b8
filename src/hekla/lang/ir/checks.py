"""Checked builds: put a `cf.assert` before everything that could go wrong while running.

bounds     every index, lane and slice lies in its view, array or buffer
overflow   + - * of signed scalars give the mathematical result
division   // and % are not by 0
NaN        arithmetic on floats does not make a NaN of numbers
alignment  is checked for every call by the entry (arguments.py), in all builds

The interpreter runs the same asserts, so a fault has one message and one place whichever way it is met.
"""

from collections.abc import Callable, Mapping, Sequence

from hekla.lang import types as t
from hekla.lang.ir.core import Attributes, Block, Module, Op, SlotType, Value


def add_checks(module: Module) -> None:
    """Add the asserts to every function of a module, in place."""
    for function in module.functions.values():
        for block in function.blocks:
            block.ops = _Checker(block).run()


class _Checker:
    """Rewrites one block."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.ops: list[Op] = []
        self.op = block.ops[0]

    def run(self) -> list[Op]:
        """Return the block's operations with asserts among them."""
        for op in self.block.ops:
            self.op = op
            before = BEFORE.get(op.name)
            if before is not None:
                before(self)
            self.ops.append(op)
            after = AFTER.get(op.name)
            if after is not None:
                after(self)
        return self.ops

    def emit(self, name: str, operands: Sequence[Value], kind: t.Type, attrs: Attributes | None = None) -> Value:
        """Add an operation that gives a value."""
        value = Value(kind)
        self.ops.append(Op(name, operands, value, attrs or {}, self.op.span))
        return value

    def constant(self, number: int | bool, kind: t.ScalarType = t.index) -> Value:
        """Add a constant."""
        return self.emit("arith.constant", [], kind, {"value": number})

    def compare(self, predicate: str, a: Value, b: Value) -> Value:
        """Add a comparison of integers."""
        return self.emit("arith.cmpi", [a, b], t.with_element(a.type, t.bool_), {"predicate": predicate})

    def both(self, a: Value, b: Value) -> Value:
        """Add a logical and."""
        return self.emit("arith.andi", [a, b], a.type)

    def require(self, condition: Value, message: str) -> None:
        """Add the assert; of a mask, all lanes."""
        if isinstance(condition.type, t.VecType):
            condition = self.emit("vector.reduction", [condition], t.bool_, {"kind": "and"})
        self.ops.append(Op("cf.assert", [condition], None, {"message": message}, self.op.span))

    def in_range(self, index: Value, length: Value) -> None:
        """Require 0 <= index < length, in one unsigned comparison."""
        self.require(self.compare("ult", index, length), "an index is out of bounds")

    def length(self, view: Value, dimension: int) -> Value:
        """Add the size of a view along a dimension."""
        return self.emit("memref.dim", [view], t.index, {"dimension": dimension})


def _place(leading: int) -> Callable[[_Checker], None]:
    def before(c: _Checker) -> None:
        root, indices = c.op.operands[leading - 1], list(c.op.operands[leading:])
        kind: t.Type = root.type.element if isinstance(root.type, SlotType) else root.type
        path = list(c.op.attrs["path"])
        while path:
            step = path.pop(0)
            if isinstance(step, int):
                assert isinstance(kind, t.StructType)
                kind = kind.fields[step][1]
                continue
            if isinstance(kind, t.ArrayType):
                c.in_range(indices.pop(0), c.constant(kind.length))
            elif isinstance(kind, t.ViewType):
                del path[: kind.rank - 1]
                for dimension in range(kind.rank):
                    c.in_range(indices.pop(0), c.length(root, dimension))
            else:
                c.in_range(indices.pop(0), c.length(root, 0))
            assert isinstance(kind, t.ArrayType | t.ViewType | t.BufferType)
            kind = kind.element

    return before


def _row(c: _Checker, view: Value, indices: Sequence[Value], lanes: int, mask: Value | None) -> None:
    for dimension, index in enumerate(indices[:-1]):
        c.in_range(index, c.length(view, dimension))
    first, length = indices[-1], c.length(view, len(indices) - 1)
    kind, message = t.VecType(t.index, lanes), "a lane is out of bounds"
    numbers = c.emit("arith.addi", [c.emit("vector.splat", [first], kind), c.emit("vector.step", [], kind)], kind)
    inside = c.compare("ult", numbers, c.emit("vector.splat", [length], kind))
    if mask is not None:
        ones = c.emit("vector.splat", [c.constant(True, t.bool_)], mask.type)
        inside = c.emit("arith.ori", [inside, c.emit("arith.xori", [mask, ones], mask.type)], mask.type)
    c.require(inside, message)


def _vector_load(c: _Checker) -> None:
    masked = c.op.name == "vector.maskedload"
    view, *rest = c.op.operands
    assert c.op.result is not None
    assert isinstance(c.op.result.type, t.VecType)
    mask = rest.pop() if masked else None
    _row(c, view, rest, c.op.result.type.lanes, mask)


def _vector_store(c: _Checker) -> None:
    value, view, *rest = c.op.operands
    assert isinstance(value.type, t.VecType)
    mask = rest.pop() if c.op.name == "vector.maskedstore" else None
    _row(c, view, rest, value.type.lanes, mask)


def _lanes(view_at: int) -> Callable[[_Checker], None]:
    def before(c: _Checker) -> None:
        view, where, mask = c.op.operands[view_at : view_at + 3]
        assert isinstance(where.type, t.VecType)
        kind = t.VecType(t.index, where.type.lanes)
        if where.type.element.bits < 64:
            where = c.emit("arith.extsi" if where.type.element.signed else "arith.extui", [where], kind)
        elif where.type != kind:
            where = c.emit("arith.bitcast", [where], kind)
        inside = c.compare("ult", where, c.emit("vector.splat", [c.length(view, 0)], kind))
        ones = c.emit("vector.splat", [c.constant(True, t.bool_)], mask.type)
        off = c.emit("arith.xori", [mask, ones], mask.type)
        c.require(c.emit("arith.ori", [inside, off], mask.type), "a lane is out of bounds")

    return before


def _subview(c: _Checker) -> None:
    view, *words = c.op.operands
    for dimension, letter in enumerate(c.op.attrs["form"]):
        if letter == "-":
            continue
        length = c.length(view, dimension)
        low = words.pop(0)
        if letter == "i":
            c.in_range(low, length)
            continue
        high = words.pop(0)
        if letter == "k":
            words.pop(0)
        zero = c.constant(0)
        inside = c.both(c.compare("sge", low, zero), c.compare("sle", low, length))
        inside = c.both(inside, c.compare("sle", high, length))
        c.require(inside, "a slice is out of bounds")


def _divisor(c: _Checker) -> None:
    divisor = c.op.operands[1]
    element = t.element_of(divisor.type)
    assert element is not None
    zero = c.constant(0, element)
    if isinstance(divisor.type, t.VecType):
        zero = c.emit("vector.splat", [zero], divisor.type)
    c.require(c.compare("ne", divisor, zero), "a division by 0")


def _overflow(c: _Checker) -> None:
    result = c.op.result
    assert result is not None
    if (
        not isinstance(result.type, t.ScalarType)
        or not result.type.signed
        or {"no_overflow", "wraps"} & set(c.op.attrs)
    ):
        return
    fits = Value(t.bool_)
    c.ops.insert(-1, Op(f"{c.op.name}_fits", c.op.operands, fits, {}, c.op.span))
    c.ops.insert(-1, Op("cf.assert", [fits], None, {"message": f"an overflow of {result.type}"}, c.op.span))


def _is_number(c: _Checker, value: Value) -> Value:
    return c.emit("arith.cmpf", [value, value], t.with_element(value.type, t.bool_), {"predicate": "oeq"})


def _made_nan(c: _Checker) -> None:
    """Assert: the result is a number, or an operand was none already."""
    result = c.op.result
    assert result is not None
    good = _is_number(c, result)
    kind = good.type
    true = c.constant(True, t.bool_)
    ones = c.emit("vector.splat", [true], kind) if isinstance(kind, t.VecType) else true
    for operand in c.op.operands:
        strange = c.emit("arith.xori", [_is_number(c, operand), ones], kind)
        good = c.emit("arith.ori", [good, strange], kind)
    c.require(good, "a NaN was made of numbers")


BEFORE: Mapping[str, Callable[[_Checker], None]] = {
    "memref.load": _place(1), "memref.store": _place(2), "vector.load": _vector_load,
    "vector.maskedload": _vector_load, "vector.store": _vector_store, "vector.maskedstore": _vector_store,
    "vector.stream_store": _vector_store, "vector.gather": _lanes(0), "vector.scatter": _lanes(1),
    "memref.subview": _subview,
    **{f"memref.atomic_{n}": _place(1) for n in ("load", "store", "add", "min", "max", "exchange", "compare_exchange")},
    **{f"memref.{n}": _place(1) for n in ("atomic_wait", "atomic_wake", "lock")},
    **{f"arith.{n}": _divisor for n in ("floordivsi", "floormodsi", "divui", "remui")},
}  # fmt: skip
AFTER: Mapping[str, Callable[[_Checker], None]] = {
    **{f"arith.{n}": _overflow for n in ("addi", "subi", "muli")},
    **{f"arith.{n}": _made_nan for n in ("addf", "subf", "mulf", "divf")},
    "math.fma": _made_nan, "math.sqrt": _made_nan,
}  # fmt: skip
