"""What must hold of every IR we make: a table of rules, one for each operation.

A fault here is ours, never the author's, so it is an assertion. In tests it runs after every pass; otherwise
once, before the LLVM text is written.
"""

from collections.abc import Callable, Mapping, Sequence

from hekla.lang import types as t
from hekla.lang.ir.core import TERMINATORS, Function, Module, Op, SlotType, Value

Rule = Callable[[Op], bool]


def verify_module(module: Module) -> None:
    """Raise AssertionError naming the first operation that breaks a rule."""
    for function in module.functions.values():
        verify_function(function, module)


def verify_function(function: Function, module: Module) -> None:
    """Check blocks, definitions before uses along the block order of each block, and every rule."""
    everywhere = {op.result for b in function.blocks for op in b.ops if op.result is not None} | set(function.params)
    for block in function.blocks:
        assert block.is_closed, f"{function.symbol}: block {block.label} does not end"
        own = {op.result for op in block.ops if op.result is not None}
        seen = set()
        for position, op in enumerate(block.ops):
            where = f"{function.symbol}/{block.label}/{op.name} ({op.span})"
            assert (op.name in TERMINATORS) == (position == len(block.ops) - 1), f"{where}: in the wrong place"
            for value in op.operands:
                assert value in everywhere, f"{where}: an operand is defined nowhere"
                assert value not in own or value in seen, f"{where}: an operand is used before it is defined"
            assert op.name in RULES, f"{where}: no such operation"
            assert RULES[op.name](op), (
                f"{where}: types {[str(v.type) for v in op.operands]} -> {op.result and op.result.type}"
            )
            if op.name == "scf.parallel":
                callee = module.functions.get(op.attrs["callee"])
                kinds = [t.index, *(v.type for v in op.operands)]
                assert callee is not None, f"{where}: its body is not in the module"
                assert kinds == [p.type for p in callee.params], f"{where}: captures differ from its body's"
            if op.name == "func.call":
                _check_call(op, module, where)
            if op.result is not None:
                seen.add(op.result)


def _check_call(op: Op, module: Module, where: str) -> None:
    callee = module.functions.get(op.attrs["callee"])
    assert callee is not None, f"{where}: calls {op.attrs['callee']}, which is not in the module"
    assert [v.type for v in op.operands] == [p.type for p in callee.params], f"{where}: wrong arguments"
    assert (op.result.type if op.result else t.none) == callee.result, f"{where}: wrong result"


def _kinds(op: Op) -> list[t.Type]:
    return [v.type for v in op.operands] + ([op.result.type] if op.result is not None else [])


def _same(count: int, *kinds: str) -> Rule:
    """`count` operands and the result, all of one scalar or vector type of these kinds."""

    def rule(op: Op) -> bool:
        found = _kinds(op)
        element = t.element_of(found[0])
        return len(found) == count + 1 and len(set(found)) == 1 and element is not None and element.kind in kinds

    return rule


def _lanes(kind: t.Type) -> int:
    return int(kind.lanes) if isinstance(kind, t.VecType) else 0


def _compare(op: Op) -> bool:
    a, b, result = _kinds(op)
    return a == b and t.element_of(result) == t.bool_ and _lanes(a) == _lanes(result)


def _fits(op: Op) -> bool:
    a, b, result = _kinds(op)
    return a == b and t.is_scalar(a, "int") and result == t.bool_


def _select(op: Op) -> bool:
    mask, a, b, result = _kinds(op)
    return t.element_of(mask) == t.bool_ and a == b == result and _lanes(mask) in (0, _lanes(a))


def _convert(source: str, target: str) -> Rule:
    def rule(op: Op) -> bool:
        a, b = (t.element_of(k) for k in _kinds(op))
        lanes = [_lanes(k) for k in _kinds(op)]
        return a is not None and b is not None and a.kind in source and b.kind in target and lanes[0] == lanes[1]

    return rule


def _bitcast(op: Op) -> bool:
    sizes = []
    for kind in _kinds(op):
        element = t.element_of(kind)
        if element is None:
            return False
        sizes.append(element.bits * max(1, _lanes(kind)))
    return len(sizes) == 2 and sizes[0] == sizes[1]


def _is_place(op: Op, leading: int) -> bool:
    root = op.operands[leading - 1].type
    indices = op.operands[leading:]
    return (
        isinstance(root, SlotType | t.ViewType)
        and all(v.type == t.index for v in indices)
        and list(op.attrs["path"]).count("i") == len(indices)
    )


def _view_access(op: Op, first: int, masked: bool, vector: t.Type) -> bool:
    view = op.operands[first].type
    indices = op.operands[first + 1 : len(op.operands) - int(masked)]
    good_mask = not masked or _kinds(op)[len(op.operands) - 1] == t.VecType(t.bool_, _lanes(vector))
    return (
        isinstance(view, t.ViewType)
        and not view.strided
        and len(indices) == view.rank
        and t.element_of(vector) == view.element
        and good_mask
    )


def _vector_load(op: Op) -> bool:
    return op.result is not None and _view_access(op, 0, op.name == "vector.maskedload", op.result.type)


def _vector_store(op: Op) -> bool:
    view = op.operands[1].type
    return (
        isinstance(view, t.ViewType)
        and view.mutable
        and _view_access(op, 1, op.name == "vector.maskedstore", op.operands[0].type)
    )


def _gather(op: Op) -> bool:
    view, where, mask, result = _kinds(op)
    return isinstance(view, t.ViewType) and view.rank == 1 and _lanes(where) == _lanes(mask) == _lanes(result)


def _scatter(op: Op) -> bool:
    value, view, where, mask = _kinds(op)
    return isinstance(view, t.ViewType) and view.mutable and _lanes(where) == _lanes(mask) == _lanes(value)


def _atomic(op: Op) -> bool:
    count = 1 + list(op.attrs["path"]).count("i")
    kinds = {v.type for v in op.operands[count:]} | ({op.result.type} if op.result is not None else set())
    good = len(kinds) <= 1 and all(t.is_scalar(k, "int") for k in kinds)
    return good and isinstance(op.operands[0].type, SlotType | t.ViewType) and _indices(op.operands[1:count])


def _indices(values: Sequence[Value]) -> bool:
    return all(v.type == t.index for v in values)


def _subview(op: Op) -> bool:
    view, *words = [v.type for v in op.operands]
    form = op.attrs["form"]
    count = sum({"i": 1, "s": 2, "k": 3, "-": 0}[letter] for letter in form)
    return (
        isinstance(view, t.ViewType) and len(form) == view.rank and words == [t.index] * count and op.result is not None
    )


def _any(op: Op) -> bool:
    return True


def _no_result(op: Op) -> bool:
    return op.result is None


def _transfer(op: Op) -> bool:
    file, view, result = _kinds(op)
    return file == t.i32 and isinstance(view, t.ViewType) and view.rank == 1 and result == t.index


INTEGER = (
    "addi", "subi", "muli", "shli", "shrsi", "shrui", "floordivsi", "floormodsi", "divui", "remui",
    "minsi", "maxsi", "minui", "maxui",
)  # fmt: skip
RULES: Mapping[str, Rule] = {
    "arith.constant": lambda op: not op.operands and op.result is not None and t.is_scalar(op.result.type),
    **{f"arith.{n}": _same(2, "int") for n in INTEGER},
    **{f"arith.{n}": _same(2, "int", "bool") for n in ("andi", "ori", "xori")},
    **{f"arith.{n}": _same(2, "float") for n in ("addf", "subf", "mulf", "divf", "minf", "maxf")},
    **{f"arith.{n}_fits": _fits for n in ("addi", "subi", "muli")},
    "arith.negf": _same(1, "float"), "arith.cmpi": _compare, "arith.cmpf": _compare, "arith.select": _select,
    "arith.trunci": _convert("int", "int"), "arith.extsi": _convert("int", "int"),
    "arith.extui": _convert("int bool", "int"),
    "arith.sitofp": _convert("int", "float"), "arith.uitofp": _convert("int bool", "float"),
    "arith.extf": _convert("float", "float"), "arith.truncf": _convert("float", "float"), "arith.bitcast": _bitcast,
    "arith.fptosi": _convert("float", "int"), "arith.fptoui": _convert("float", "int"),
    **{f"math.{n}": _same(1, "float") for n in ("sqrt", "absf", "floor", "ceil", "trunc", "roundeven")},
    **{f"math.{n}": _same(1, "int") for n in ("absi", "ctpop", "ctlz", "cttz")},
    "math.fma": _same(3, "float"), "math.copysign": _same(2, "float"),
    "memref.alloca": lambda op: op.result is not None and isinstance(op.result.type, SlotType),
    "memref.load": lambda op: _is_place(op, 1) and op.result is not None,
    "memref.store": lambda op: _is_place(op, 2) and op.result is None, "memref.fill": lambda op: _is_place(op, 2),
    "memref.dim": _any, "memref.stride": _any, "memref.cast": _any, "memref.subview": _subview, "memref.borrow": _any,
    "memref.region": lambda op: _kinds(op) == [t.index, t.RegionType()],
    "memref.take": lambda op: [v.type for v in op.operands] == [SlotType(t.RegionType()), t.index],
    "memref.text": lambda op: not op.operands and isinstance(op.attrs["bytes"], bytes),
    "system.write": _transfer, "system.read": _transfer,
    "system.open": lambda op: len(op.operands) == 1, "system.close": _no_result,
    "memref.mark": lambda op: _kinds(op) == [SlotType(t.RegionType()), t.index],
    "memref.release": lambda op: _kinds(op) == [SlotType(t.RegionType()), t.index] and op.result is None,
    "memref.alloc": _any, "memref.dealloc": _no_result, "memref.prefetch": _no_result,
    "llvm.struct": _any, "llvm.extractvalue": _any, "tensor.splat": _any, "tensor.from_elements": _any,
    **{f"memref.atomic_{n}": _atomic for n in ("load", "store", "add", "min", "max", "exchange", "compare_exchange")},
    "memref.atomic_wait": _atomic, "memref.atomic_wake": _atomic, "hekla.pause": _no_result, "hekla.yield": _no_result,
    "memref.lock": lambda op: _is_place(op, 1), "memref.unlock": lambda op: _is_place(op, 1),
    "scf.parallel": lambda op: op.result is None and op.operands[0].type == t.index,
    "func.call": _any, "func.return": _no_result, "cf.assert": _no_result,
    "cf.br": lambda op: len(op.attrs["targets"]) == 1, "cf.cond_br": lambda op: op.operands[0].type == t.bool_,
    "vector.splat": lambda op: op.result is not None and op.operands[0].type == t.element_of(op.result.type),
    "vector.from_elements": lambda op: op.result is not None and len(op.operands) == _lanes(op.result.type),
    "hekla.cycles": lambda op: _kinds(op) == [t.u64],
    "vector.step": lambda op: op.result is not None and not op.operands,
    "vector.extract": lambda op: len(op.operands) == 2, "vector.insert": lambda op: len(op.operands) == 3,
    "vector.shuffle": lambda op: op.result is not None and _lanes(op.result.type) == len(op.attrs["lanes"]),
    "vector.create_mask": lambda op: op.operands[0].type == t.index,
    "vector.load": _vector_load, "vector.maskedload": _vector_load, "vector.store": _vector_store,
    "vector.maskedstore": _vector_store, "vector.stream_store": _vector_store, "vector.gather": _gather,
    "vector.scatter": _scatter, "vector.reduction": lambda op: op.attrs["kind"] in ("add", "min", "max", "and", "or"),
    "vector.dot4": lambda op: _lanes(op.operands[1].type) == 4 * _lanes(op.operands[0].type),
}  # fmt: skip
