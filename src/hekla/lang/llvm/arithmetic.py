"""LLVM for arithmetic on scalars and vectors. Every operation is total: no input is undefined behaviour."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from hekla.lang import types as t
from hekla.lang.ir.core import Op
from hekla.lang.llvm.names import literal, register_type, suffix

if TYPE_CHECKING:
    from hekla.lang.llvm.text import FunctionText

Handler = Callable[["FunctionText", Op], None]


def splat_literal(kind: t.Type, number: int | float | bool) -> str:
    """Return a constant of a scalar type, or one spread over a vector."""
    element = t.element_of(kind)
    assert element is not None
    one = literal(element, number)
    return f"splat ({register_type(element)} {one})" if isinstance(kind, t.VecType) else one


def _plain(instruction: str) -> Handler:
    def handler(f: "FunctionText", op: Op) -> None:
        a, b = op.operands
        flags = " nsw" if op.attrs.get("no_overflow") else ""
        f.set(op, f.make(f"{instruction}{flags} {f.typed(a)}, {f.ref(b)}"))

    return handler


def _float(instruction: str) -> Handler:
    def handler(f: "FunctionText", op: Op) -> None:
        a, b = op.operands
        demand = f.function.demand
        flags = " reassoc" if demand is not None and demand.reassociate else ""
        f.set(op, f.make(f"{instruction}{flags} {f.typed(a)}, {f.ref(b)}"))

    return handler


def _negate(f: "FunctionText", op: Op) -> None:
    f.set(op, f.make(f"fneg {f.typed(op.operands[0])}"))


def _shift(instruction: str) -> Handler:
    def handler(f: "FunctionText", op: Op) -> None:
        """The amount counts modulo the width, as x86 and the interpreter do."""
        a, b = op.operands
        element = t.element_of(a.type)
        assert element is not None
        amount = f.ref(b)
        known = f.constants.get(b)
        if known is None or not 0 <= known < element.bits:
            amount = f.make(f"and {f.typed(b)}, {splat_literal(a.type, element.bits - 1)}")
        f.set(op, f.make(f"{instruction} {f.typed(a)}, {amount}"))

    return handler


def _division(instruction: str, *, signed: bool, remainder: bool) -> Handler:
    def handler(f: "FunctionText", op: Op) -> None:
        """Rounds down as Python does. By 0: quotient and remainder are 0. Smallest // -1 wraps to itself."""
        a, b = op.operands
        kind = register_type(a.type)
        known = f.constants.get(b)
        if known is not None and known > 0:
            _by_positive_constant(f, op, instruction, int(known), signed=signed, remainder=remainder)
            return
        zero, one = splat_literal(a.type, 0), splat_literal(a.type, 1)
        by_zero = f.make(f"icmp eq {kind} {f.ref(b)}, {zero}")
        unsafe = by_zero
        if signed:
            by_minus_one = f.make(f"icmp eq {kind} {f.ref(b)}, {splat_literal(a.type, -1)}")
            unsafe = f.make(f"or {_mask(a.type)} {by_zero}, {by_minus_one}")
        divisor = f.make(f"select {_mask(a.type)} {unsafe}, {kind} {one}, {kind} {f.ref(b)}")
        result = f.make(f"{instruction} {f.typed(a)}, {divisor}")
        if signed:
            result = _floored(f, op, result, divisor, remainder=remainder)
            if not remainder:
                negated = f.make(f"sub {kind} {zero}, {f.ref(a)}")
                result = f.make(f"select {_mask(a.type)} {by_minus_one}, {kind} {negated}, {kind} {result}")
        f.set(op, f.make(f"select {_mask(a.type)} {by_zero}, {kind} {zero}, {kind} {result}"))

    return handler


def _by_positive_constant(
    f: "FunctionText", op: Op, instruction: str, known: int, *, signed: bool, remainder: bool
) -> None:
    a, b = op.operands
    if known & (known - 1) == 0:
        if remainder:
            f.set(op, f.make(f"and {f.typed(a)}, {splat_literal(a.type, known - 1)}"))
        else:
            shift = "ashr" if signed else "lshr"
            f.set(op, f.make(f"{shift} {f.typed(a)}, {splat_literal(a.type, known.bit_length() - 1)}"))
        return
    result = f.make(f"{instruction} {f.typed(a)}, {f.ref(b)}")
    f.set(op, _floored(f, op, result, f.ref(b), remainder=remainder) if signed else result)


def _floored(f: "FunctionText", op: Op, result: str, divisor: str, *, remainder: bool) -> str:
    """Turn a quotient or remainder that cuts towards zero into one that rounds down."""
    a = op.operands[0]
    kind, mask, zero = register_type(a.type), _mask(a.type), splat_literal(a.type, 0)
    rest = result if remainder else f.make(f"srem {f.typed(a)}, {divisor}")
    signs = f.make(f"xor {kind} {rest}, {divisor}")
    differ = f.make(f"icmp slt {kind} {signs}, {zero}")
    inexact = f.make(f"icmp ne {kind} {rest}, {zero}")
    wrong = f.make(f"and {mask} {differ}, {inexact}")
    mended = f.make(
        f"add {kind} {rest}, {divisor}" if remainder else f"sub {kind} {result}, {splat_literal(a.type, 1)}"
    )
    return f.make(f"select {mask} {wrong}, {kind} {mended}, {kind} {result}")


def _mask(kind: t.Type) -> str:
    return register_type(t.with_element(kind, t.bool_))


def _compare(instruction: str) -> Handler:
    def handler(f: "FunctionText", op: Op) -> None:
        a, b = op.operands
        f.set(op, f.make(f"{instruction} {op.attrs['predicate']} {f.typed(a)}, {f.ref(b)}"))

    return handler


def _float_choice(predicate: str) -> Handler:
    def handler(f: "FunctionText", op: Op) -> None:
        a, b = op.operands
        is_a = f.make(f"fcmp {predicate} {f.typed(a)}, {f.ref(b)}")
        f.set(op, f.make(f"select {_mask(a.type)} {is_a}, {f.typed(a)}, {f.typed(b)}"))

    return handler


def _intrinsic(name: str, *extra: str) -> Handler:
    def handler(f: "FunctionText", op: Op) -> None:
        kind = op.operands[0].type
        args = [f.typed(v) for v in op.operands] + list(extra)
        f.set(op, f.intrinsic(f"llvm.{name}.{suffix(kind)}", register_type(kind), args))

    return handler


def _fits(name: str) -> Handler:
    def handler(f: "FunctionText", op: Op) -> None:
        """Whether + - * of signed scalars gives the mathematical result."""
        kind = register_type(op.operands[0].type)
        pair = f"{{ {kind}, i1 }}"
        full = f"llvm.s{name}.with.overflow.{kind}"
        f.text.declare(full, pair, f"{kind}, {kind}")
        both = f.make(f"call {pair} @{full}({f.typed(op.operands[0])}, {f.typed(op.operands[1])})")
        f.set(op, f.make(f"xor i1 {f.make(f'extractvalue {pair} {both}, 1')}, true"))

    return handler


def _select(f: "FunctionText", op: Op) -> None:
    assert op.result is not None
    mask, a, b = op.operands
    f.set(op, f.make(f"select {f.typed(mask)}, {f.typed(a)}, {f.typed(b)}"))


def _from_bfloat(f: "FunctionText", op: Op) -> str:
    """bf16 to f32: the upper half of its bits. LLVM's own needs a library where the processor lacks AVX512-BF16."""
    assert op.result is not None
    source, kind = op.operands[0], op.result.type
    short, wide = (register_type(t.with_element(kind, e)) for e in (t.u16, t.u32))
    bits = f.make(f"zext {short} {f.make(f'bitcast {f.typed(source)} to {short}')} to {wide}")
    high = f.make(f"shl {wide} {bits}, {splat_literal(t.with_element(kind, t.u32), 16)}")
    return f.make(f"bitcast {wide} {high} to {register_type(kind)}")


def _to_bfloat(f: "FunctionText", op: Op) -> str:
    """f32 to bf16, rounded to nearest, ties to even; NaN stays NaN."""
    assert op.result is not None
    source, kind = op.operands[0], op.result.type
    whole = t.with_element(kind, t.u32)
    short, wide = register_type(t.with_element(kind, t.u16)), register_type(whole)
    bits = f.make(f"bitcast {f.typed(source)} to {wide}")
    high = f.make(f"lshr {wide} {bits}, {splat_literal(whole, 16)}")
    half = f.make(
        f"add {wide} {f.make(f'and {wide} {high}, {splat_literal(whole, 1)}')}, {splat_literal(whole, 0x7FFF)}"
    )
    rounded = f.make(f"lshr {wide} {f.make(f'add {wide} {bits}, {half}')}, {splat_literal(whole, 16)}")
    quiet = f.make(f"or {wide} {high}, {splat_literal(whole, 0x40)}")
    is_nan = f.make(f"fcmp uno {f.typed(source)}, {splat_literal(source.type, 0)}")
    chosen = f.make(f"select {_mask(kind)} {is_nan}, {wide} {quiet}, {wide} {rounded}")
    return f.make(f"bitcast {short} {f.make(f'trunc {wide} {chosen} to {short}')} to {register_type(kind)}")


BFLOAT: dict[str, Callable[["FunctionText", Op], str]] = {"fpext": _from_bfloat, "fptrunc": _to_bfloat}


def _convert(instruction: str) -> Handler:
    def handler(f: "FunctionText", op: Op) -> None:
        assert op.result is not None
        source = op.operands[0]
        if register_type(source.type) == register_type(op.result.type):
            f.set(op, f.ref(source))
            return
        if instruction in BFLOAT and t.bf16 in (t.element_of(source.type), t.element_of(op.result.type)):
            f.set(op, BFLOAT[instruction](f, op))
            return
        f.set(op, f.make(f"{instruction} {f.typed(source)} to {register_type(op.result.type)}"))

    return handler


def _saturating(name: str) -> Handler:
    def handler(f: "FunctionText", op: Op) -> None:
        assert op.result is not None
        source, kind = op.operands[0], op.result.type
        if isinstance(kind, t.VecType):
            f.set(op, _saturating_lanes(f, op, name))
            return
        full = f"llvm.{name}.sat.{suffix(kind)}.{suffix(source.type)}"
        f.set(op, f.intrinsic(full, register_type(kind), [f.typed(source)]))

    return handler


def _saturating_lanes(f: "FunctionText", op: Op, name: str) -> str:
    """The vector form of a saturating conversion. LLVM's own takes the vector apart, at 20 times the cost."""
    assert op.result is not None
    have, wanted = op.operands[0].type, op.result.type
    element, target = t.element_of(have), t.element_of(wanted)
    assert element is not None
    assert target is not None
    low, high = target.limits
    digits = 24 if element.bits == 32 else 53
    highest = high >> max(0, high.bit_length() - digits) << max(0, high.bit_length() - digits)  # a float holds it
    mask, kind, text = _mask(have), register_type(have), f.typed(op.operands[0])
    floor, ceiling = splat_literal(have, low), splat_literal(have, highest)
    under = f.make(f"fcmp olt {text}, {floor}")
    raised = f.make(f"select {mask} {under}, {kind} {floor}, {text}")
    over = f.make(f"fcmp ogt {kind} {raised}, {ceiling}")
    clamped = f.make(f"select {mask} {over}, {kind} {ceiling}, {kind} {raised}")
    number = f.make(f"fcmp ord {text}, {splat_literal(have, 0)}")
    clamped = f.make(f"select {mask} {number}, {kind} {clamped}, {kind} {splat_literal(have, 0)}")
    if target.bits < 32:  # machines convert to 32 bits
        wide = register_type(t.with_element(wanted, t.i32))
        middle = f.make(f"fptosi {kind} {clamped} to {wide}")
        return f.make(f"trunc {wide} {middle} to {register_type(wanted)}")
    result = f.make(f"{name} {kind} {clamped} to {register_type(wanted)}")
    if highest == high:
        return result
    return f.make(
        f"select {mask} {over}, {register_type(wanted)} {splat_literal(wanted, high)}, {register_type(wanted)} {result}"
    )


ARITHMETIC: dict[str, Handler] = {
    "arith.addi": _plain("add"), "arith.subi": _plain("sub"), "arith.muli": _plain("mul"),
    "arith.addi_fits": _fits("add"), "arith.subi_fits": _fits("sub"), "arith.muli_fits": _fits("mul"),
    "arith.addf": _float("fadd"), "arith.subf": _float("fsub"), "arith.mulf": _float("fmul"),
    "arith.divf": _float("fdiv"), "arith.negf": _negate,
    "arith.andi": _plain("and"), "arith.ori": _plain("or"), "arith.xori": _plain("xor"),
    "arith.shli": _shift("shl"), "arith.shrsi": _shift("ashr"), "arith.shrui": _shift("lshr"),
    "arith.floordivsi": _division("sdiv", signed=True, remainder=False),
    "arith.floormodsi": _division("srem", signed=True, remainder=True),
    "arith.divui": _division("udiv", signed=False, remainder=False),
    "arith.remui": _division("urem", signed=False, remainder=True),
    "arith.cmpi": _compare("icmp"), "arith.cmpf": _compare("fcmp"), "arith.select": _select,
    "arith.minf": _float_choice("olt"), "arith.maxf": _float_choice("ogt"),
    "arith.minsi": _intrinsic("smin"), "arith.maxsi": _intrinsic("smax"),
    "arith.minui": _intrinsic("umin"), "arith.maxui": _intrinsic("umax"),
    "arith.trunci": _convert("trunc"), "arith.extsi": _convert("sext"), "arith.extui": _convert("zext"),
    "arith.sitofp": _convert("sitofp"), "arith.uitofp": _convert("uitofp"),
    "arith.extf": _convert("fpext"), "arith.truncf": _convert("fptrunc"), "arith.bitcast": _convert("bitcast"),
    "arith.fptosi": _saturating("fptosi"), "arith.fptoui": _saturating("fptoui"),
    "math.fma": _intrinsic("fma"), "math.sqrt": _intrinsic("sqrt"), "math.absf": _intrinsic("fabs"),
    "math.floor": _intrinsic("floor"), "math.ceil": _intrinsic("ceil"), "math.trunc": _intrinsic("trunc"),
    "math.roundeven": _intrinsic("roundeven"), "math.copysign": _intrinsic("copysign"),
    "math.ctpop": _intrinsic("ctpop"), "math.ctlz": _intrinsic("ctlz", "i1 false"),
    "math.cttz": _intrinsic("cttz", "i1 false"), "math.absi": _intrinsic("abs", "i1 false"),
}  # fmt: skip
