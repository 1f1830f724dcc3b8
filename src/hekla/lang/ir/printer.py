"""The printed form of the IR: MLIR's vocabulary and look, one operation a line."""

from hekla.lang import types as t
from hekla.lang.ir.core import Block, Function, Module, Op, SlotType, Value, path_text


def type_text(kind: t.Type) -> str:
    """Return a type as MLIR would write it; unsigned integers keep their sign bit as `ui`."""
    if isinstance(kind, t.ScalarType):
        return {"bool": "i1", "index": "index"}.get(kind.name, f"ui{kind.bits}" if not kind.signed else kind.name)
    if isinstance(kind, t.VecType):
        return f"vector<{kind.lanes}x{type_text(kind.element)}>"
    if isinstance(kind, t.ArrayType):
        return f"tensor<{kind.length}x{type_text(kind.element)}>"
    if isinstance(kind, t.ViewType):
        layout = ", strided" if kind.strided else ""
        return f"memref<{'?x' * kind.rank}{type_text(kind.element)}{layout}{'' if kind.mutable else ', const'}>"
    if isinstance(kind, t.RegionType):
        return "!hekla.region"
    if isinstance(kind, t.BufferType):
        return f"!hekla.buffer<{type_text(kind.element)}>"
    if isinstance(kind, SlotType):
        return f"memref<{type_text(kind.element)}>"
    return f"!hekla.{kind}" if isinstance(kind, t.StructType) else "()"


class _Names:
    """%0, %1, ... in order of definition, with the author's names where there are any."""

    def __init__(self) -> None:
        self._names: dict[Value, str] = {}
        self._used: set[str] = set()

    def of(self, value: Value) -> str:
        if value not in self._names:
            name = f"%{value.hint}" if value.hint and not value.hint.startswith("%") else f"%{len(self._names)}"
            while name in self._used:
                name += "_"
            self._used.add(name)
            self._names[value] = name
        return self._names[value]


def print_op(op: Op, names: _Names) -> str:
    """Return one operation as text."""
    operands = [names.of(v) for v in op.operands]
    attrs = dict(op.attrs)
    path = attrs.pop("path", None)
    attrs.pop("loop", None)  # a place in the source, like a span
    targets = [f"^{b.label}" for b in attrs.pop("targets", ())]
    if path is not None:
        leading = 2 if op.name in ("memref.store", "memref.fill") else 1
        last = leading + list(path).count("i")
        place = operands[leading - 1] + path_text(path, operands[leading:last])
        operands = [*operands[: leading - 1], place, *operands[last:]]
    callee = attrs.pop("callee", None)
    text = op.name + (f" @{callee}" if callee is not None else "")
    text += (" " + ", ".join([*operands, *targets])) if operands or targets else ""
    if attrs:
        text += " {" + ", ".join(f"{k} = {v!r}" for k, v in sorted(attrs.items())) + "}"
    types = [type_text(v.type) for v in op.operands]
    if op.result is None:
        return text + (" : " + ", ".join(types) if types else "")
    return f"{names.of(op.result)} = {text} : ({', '.join(types)}) -> {type_text(op.result.type)}"


def print_block(block: Block, names: _Names) -> str:
    """Return one block as text."""
    return "\n".join([f"^{block.label}:", *(f"  {print_op(op, names)}" for op in block.ops)])


def print_function(function: Function) -> str:
    """Return one function as text."""
    names = _Names()
    params = ", ".join(f"{names.of(p)}: {type_text(p.type)}" for p in function.params)
    blocks = "\n".join(print_block(b, names) for b in function.blocks)
    return f"func.func @{function.symbol}({params}) -> {type_text(function.result)} {{\n{blocks}\n}}"


def print_module(module: Module) -> str:
    """Return a whole module as text."""
    return "\n\n".join(print_function(f) for f in module.functions.values()) + "\n"
