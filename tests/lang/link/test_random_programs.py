"""Random integer programs give, on every target, what LLVM gives in this process."""

import ctypes
import random
from pathlib import Path

import llvmlite.binding as llvm
import pytest
from tests.lang.link.machines import RUNNABLE, run

from hekla.lang.link.assemble import initialise
from hekla.lang.targets.known import target_named

FUNCTIONS, OPERATIONS = 8, 12
INPUTS = (0, 1, -1, 7, 2**31 - 1, -(2**63), 0x123456789ABCDEF)


def random_function(number: int, chance: random.Random) -> str:
    """Return `i64 f<number>(i64, i64)`: a loop of random operations that may call functions written before it."""
    lines, names = [], ["%a", "%b", "%i"]
    for step in range(OPERATIONS):
        name = f"%v{step}"
        x, y = chance.choice(names), chance.choice([*names, str(chance.choice(INPUTS))])
        kind = chance.choice(["add", "sub", "mul", "xor", "and", "or", "shift", "divide", "narrow", "load", "call"])
        if kind == "shift":
            lines += [
                f"{name}m = and i64 {y}, 63",
                f"{name} = {chance.choice(['shl', 'lshr', 'ashr'])} i64 {x}, {name}m",
            ]
        elif kind == "divide":
            lines += [f"{name}p = or i64 {y}, 1", f"{name}q = and i64 {name}p, 65535"]
            lines += [f"{name} = {chance.choice(['udiv', 'urem', 'sdiv', 'srem'])} i64 {x}, {name}q"]
        elif kind == "narrow":
            bits = chance.choice([8, 16, 32])
            lines += [f"{name}n = trunc i64 {x} to i{bits}"]
            lines += [f"{name} = {chance.choice(['sext', 'zext'])} i{bits} {name}n to i64"]
        elif kind == "load":
            lines += [f"{name}k = and i64 {x}, 7", f"{name}g = getelementptr i64, ptr @numbers, i64 {name}k"]
            lines += [f"{name} = load i64, ptr {name}g"]
        elif kind == "call" and number:
            lines += [f"{name} = call i64 @f{chance.randrange(number)}(i64 {x}, i64 {y})"]
        else:
            lines += [f"{name} = {kind if kind != 'call' else 'add'} i64 {x}, {y}"]
        names.append(name)
    result = "%a0"
    for step in range(OPERATIONS):  # so that no operation is without effect
        lines += [f"%m{step} = mul i64 {result}, 31", f"%s{step} = xor i64 %m{step}, %v{step}"]
        result = f"%s{step}"
    body = "\n  ".join(lines)
    # sections of their own make the linker, and not the assembler, write the calls
    return f"""
define i64 @f{number}(i64 %a0, i64 %b) noinline section ".text.f{number}" {{
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %a = phi i64 [ %a0, %entry ], [ {result}, %loop ]
  {body}
  %next = add i64 %i, 1
  %end = icmp eq i64 %next, 3
  br i1 %end, label %done, label %loop
done:
  ret i64 {result}
}}"""


def random_program(seed: int) -> tuple[str, str]:
    """Return (functions, a main that prints each one's result for some inputs)."""
    chance = random.Random(seed)
    numbers = ", ".join(f"i64 {chance.getrandbits(64) - (1 << 63)}" for _ in range(8))
    functions = [f"@numbers = constant [8 x i64] [{numbers}]"]
    functions += [random_function(number, chance) for number in range(FUNCTIONS)]
    calls = []
    for number in range(FUNCTIONS):
        x, y = chance.choice(INPUTS), chance.choice(INPUTS)
        calls += [f"  %x{number} = load volatile i64, ptr @in{number}"]
        calls += [f"  %r{number} = call i64 @f{number}(i64 %x{number}, i64 {y})"]
        calls += [f"  call void @hekla_print_i64(i64 %r{number})"]
        functions += [f"@in{number} = global i64 {x}", f"; {number}: {x} {y}"]
    body = "\n".join(calls)
    return "\n".join(
        [*functions, ""]
    ), f"declare void @hekla_print_i64(i64)\ndefine i32 @main() {{\n{body}\n  ret i32 0\n}}\n"


def in_process(functions: str) -> str:
    """Return what LLVM's own loader and this processor make of the program: the oracle."""
    initialise()
    machine = llvm.Target.from_default_triple().create_target_machine()
    module = llvm.parse_assembly(functions)
    printed = []
    with llvm.create_mcjit_compiler(module, machine) as engine:
        engine.finalize_object()
        for line in functions.splitlines():
            if line.startswith("; "):
                number, x, y = line[2:].replace(":", "").split()
                kind = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
                printed.append(f"{kind(engine.get_function_address(f'f{number}'))(int(x), int(y))}\n")
    return "".join(printed)


@pytest.mark.parametrize("name", RUNNABLE)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_random_program_gives_the_same_numbers_everywhere(name: str, seed: int, tmp_path: Path) -> None:
    functions, main = random_program(seed)
    assert run(functions + main, name, tmp_path) == (in_process(functions), 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNNABLE)
@pytest.mark.parametrize("seed", range(3, 23))
def test_many_random_programs_give_the_same_numbers_everywhere(name: str, seed: int, tmp_path: Path) -> None:
    functions, main = random_program(seed)
    assert run(functions + main, name, tmp_path) == (in_process(functions), 0)


def test_the_oracle_sees_a_changed_constant(tmp_path: Path) -> None:
    functions, main = random_program(1)
    start = functions.index("[i64 ") + 5
    end = functions.index(",", start)
    planted = functions[:start] + "17" + functions[end:]
    assert run(planted + main, "native", tmp_path)[0] != in_process(functions)


def test_every_target_that_runs_is_known() -> None:
    assert [target_named(name).name for name in RUNNABLE] == list(RUNNABLE)
