"""Random programs: the compiler against the interpreter, and the front end against nonsense."""

import ast
import copy
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import llvmlite.binding as llvm
import numpy as np
import pytest
from tests.lang.random_programs import COLUMNS, KINDS, ROWS, SIZE, RandomProgram

from hekla.base.errors import HeklaError
from hekla.lang import CheckError
from hekla.lang import types as t
from hekla.lang.files import kernel_in
from hekla.lang.kernel import Kernel
from hekla.lang.llvm.target import host_target
from hekla.lang.llvm.text import emit_module
from hekla.lang.sweep import same

HERE = Path(__file__).parent
INTEGERS = ("i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "index")
FLOATS = ("f32", "f64", "f16", "bf16")
BINARY = {"int": ["+", "-", "*", "//", "%", "&", "|", "^", "<<", ">>"], "float": ["+", "-", "*", "/"]}


class Expressions:
    """Makes random expressions of one type over x, y and constants; `lanes` 1 is scalar."""

    def __init__(self, rng: random.Random, kind: str, lanes: int) -> None:
        self.rng, self.kind, self.lanes = rng, kind, lanes
        self.is_int = kind in INTEGERS

    def make(self, depth: int) -> str:
        """Return an expression of this type."""
        if depth == 0:
            return self.rng.choice(["x", "y", self.constant()])
        choice = self.rng.randrange(10)
        a, b = self.make(depth - 1), self.make(depth - 1)
        if choice < 5:
            return f"({a} {self.rng.choice(BINARY['int' if self.is_int else 'float'])} {b})"
        if choice == 5:
            return f"{self.rng.choice(['min', 'max'])}({a}, {b})"
        if choice == 6:
            compare = self.rng.choice(["<", "<=", "==", "!=", ">", ">="])
            return f"select({a} {compare} {b}, {b}, {a})"
        if choice == 7:
            other = self.rng.choice(INTEGERS + FLOATS)
            return f"{self.kind}({other}({a}))"
        if choice == 8:
            return f"abs({a})" if self.is_int else f"{self.rng.choice(['floor', 'sqrt', 'round_even', 'trunc'])}({a})"
        return f"(-{a})" if not self.is_int else f"popcount({a} ^ {b})"

    def constant(self) -> str:
        """Return a typed constant."""
        if self.is_int:
            low, high = t.SCALARS[self.kind].limits
            number = self.rng.choice([0, 1, 2, 3, 7, 16, high, low, self.rng.randint(low, high)])
            text = f"{self.kind}({number})"
        else:
            text = f"{self.kind}({self.rng.choice([0.0, 1.0, -1.5, 1e-3, 3e4, self.rng.uniform(-9, 9)])!r})"
        return text if self.lanes == 1 else f"Vec[{self.kind}, {self.lanes}]({text})"


def program_of(text: str, folder: Path, name: str) -> Kernel:
    """Write a program to a file, import it and return its kernel named `program`."""
    path = folder / f"{name}.py"
    path.write_text(text)
    return kernel_in(path, "program")


def values(rng: np.random.Generator, kind: str, count: int) -> "np.ndarray[Any, Any]":
    """Return numbers of a type with the awkward ones among them."""
    dtype = t.SCALARS[kind].dtype
    if kind in INTEGERS:
        low, high = t.SCALARS[kind].limits
        made = rng.integers(low, high, count, dtype=dtype, endpoint=True)
        made[:4] = np.array([0, 1, high, low]).astype(dtype) if kind != "u64" else np.array([0, 1, 2**64 - 1, 5], dtype)
        return made
    made = rng.normal(0, 10, count).astype(dtype)
    made[:6] = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-30]
    return made


def check(seed: int, folder: Path) -> None:
    """Make one program and run it three ways. The seed is in the program's name and so in every failure."""
    rng = random.Random(seed)
    kind, lanes = rng.choice(INTEGERS + FLOATS), rng.choice([1, 4, 16])
    expression = Expressions(rng, kind, lanes).make(rng.randint(1, 4))
    read, write = ("{}[i]", "c[i] = {}") if lanes == 1 else (f"load({{}}, i, width={lanes})", "store(c, i, {})")
    text = (
        "from hekla.lang import *\n\n@kernel\n"
        f"def program(a: View[{kind}, 1], b: View[{kind}, 1], c: MutView[{kind}, 1]):\n"
        f"    for i in range(0, len(a), {lanes}):\n"
        f"        x = {read.format('a')}\n        y = {read.format('b')}\n"
        f"        {write.format(expression)}\n"
    )
    program = program_of(text, folder, f"fuzz_{seed}")
    data = np.random.default_rng(seed)
    a, b = values(data, kind, 32), values(data, kind, 32)[::-1].copy()
    results = []
    for run in (program.compile().interpret, program.with_options(optimise=False), program):
        c = np.zeros(32, a.dtype)
        run(a, b, c)
        results.append(c)
    for way, result in zip(("unoptimised", "optimised"), results[1:], strict=True):
        assert same(results[0], result, 0, 0), f"seed {seed}, {way}:\n{text}\n{results[0]}\n{result}"


def test_random_expressions_mean_the_same_three_ways(tmp_path: Path) -> None:
    for seed in range(12):
        check(seed, tmp_path)


@pytest.mark.slow
def test_many_random_expressions_mean_the_same_three_ways(tmp_path: Path) -> None:
    for seed in range(100, 400):
        check(seed, tmp_path)


def check_whole_program(seed: int, folder: Path) -> bool:
    """Run a whole random program four ways; True where the checked build ran to its end too."""
    made = RandomProgram(seed)
    text = made.text()
    program = program_of(text, folder, f"whole_{seed}")
    data = np.random.default_rng(seed)
    x = values(data, made.kind, SIZE)
    strided = data.integers(-99, 99, (COLUMNS, ROWS), dtype=np.int32).T
    ways: dict[str, Callable[..., Any]] = {
        "interpreted": program.compile().interpret,
        "unoptimised": program.with_options(optimise=False),
        "optimised": program,
        "checked": program.with_options(checked=True),
    }
    results: dict[str, list[Any]] = {}
    for way, run in ways.items():
        y, z = np.ones(SIZE, x.dtype), np.arange(SIZE, dtype=np.int64)
        try:
            results[way] = [run(x.copy(), strided, y, z, 11), y, z]
        except CheckError as error:
            if way != "checked" or error.span.file != str(folder / f"whole_{seed}.py"):
                raise AssertionError(f"seed {seed}, {way}: {error}\n{text}") from error
    for way, result in results.items():
        for before, now in zip(results["interpreted"], result, strict=True):
            assert same(before, now, 0, 0), f"seed {seed}, {way}:\n{text}\n{before}\n{now}"
    return "checked" in results


def test_random_programs_mean_the_same_four_ways(tmp_path: Path) -> None:
    finished = [check_whole_program(seed, tmp_path) for seed in range(4)]
    assert any(finished)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(100, 250, 30))
def test_many_random_programs_mean_the_same_four_ways(tmp_path: Path, first: int) -> None:
    finished = [check_whole_program(seed, tmp_path) for seed in range(first, first + 30)]
    assert any(finished)
    assert not all(finished)


def test_random_programs_have_every_part_and_every_kind_of_number() -> None:
    made = [RandomProgram(seed) for seed in range(100, 250)]
    text = "\n".join(m.text().split("def program")[1] for m in made)
    parts = (
        "if ", "else:", "while ", "break", "continue", "Array[", "buffer(", "_moved", "region(", "Record(", "split(",
        "load(", "select(", "any_lane", "shuffle(", "store(", "reduce_", "gather(", "parallel(", "atomic_add",
        "atomic_max", "reduce_min=", "reduce_add=(", "Mutex[", "compare_exchange(", "apply(", "filled(", "bf16(",
        "f16(", "s[",
    )  # fmt: skip
    assert [p for p in parts if p not in text] == []
    assert {m.kind for m in made} == set(KINDS)


class Shuffled(ast.NodeTransformer):
    """Replaces some expressions of a program by others, exchanges operators, and drops or repeats statements."""

    def __init__(self, rng: random.Random, pool: list[ast.expr], statements: list[ast.stmt], rate: float) -> None:
        self.rng, self.pool, self.statements, self.rate = rng, pool, statements, rate

    def visit(self, node: ast.AST) -> ast.AST:
        """Visit, and now and then put something else."""
        found: ast.AST = super().visit(node)
        if isinstance(found, ast.operator) and self.rng.random() < 0.1 * self.rate:
            return self.rng.choice([ast.Add(), ast.Mult(), ast.FloorDiv(), ast.MatMult(), ast.LShift(), ast.BitAnd()])
        if isinstance(found, ast.cmpop) and self.rng.random() < 0.1 * self.rate:
            return self.rng.choice([ast.Lt(), ast.Eq(), ast.Is(), ast.NotIn()])
        for block in ("body", "orelse"):
            if isinstance(found, ast.stmt) and getattr(found, block, None):
                setattr(found, block, self.exchanged(getattr(found, block)))
        is_value = isinstance(found, ast.expr) and isinstance(getattr(found, "ctx", ast.Load()), ast.Load)
        if is_value and not isinstance(found, ast.Slice) and self.rng.random() < 0.05 * self.rate:
            return copy.deepcopy(self.rng.choice(self.pool))
        return found

    def exchanged(self, block: list[ast.stmt]) -> list[ast.stmt]:
        """Return a block with a statement dropped, repeated or put from elsewhere."""
        made: list[ast.stmt] = []
        for statement in block:
            chance = self.rng.random()
            made += [] if chance < 0.03 * self.rate else [statement]
            if chance > 1 - 0.06 * self.rate:
                made.append(copy.deepcopy(self.rng.choice([statement, *self.statements])))
        return made or [ast.Pass()]


def scrambled(text: str, seed: int) -> str:
    """Return an accepted program with parts exchanged, of its kernels among themselves too."""
    tree = ast.parse(text)
    rng = random.Random(seed)
    kernels = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    inside = [n for k in kernels for s in k.body for n in ast.walk(s)]
    pool = [n for n in inside if isinstance(n, ast.expr) and not isinstance(n, ast.Slice | ast.Starred)]
    loads = [copy.deepcopy(n) for n in pool if isinstance(getattr(n, "ctx", ast.Load()), ast.Load)]
    statements = [copy.deepcopy(n) for n in inside if isinstance(n, ast.stmt)]
    if loads:
        shuffled = Shuffled(rng, loads, statements, rate=min(1.0, 60 / len(inside)))  # one or two changes
        for node in kernels:
            node.body = shuffled.exchanged([cast(ast.stmt, shuffled.visit(s)) for s in node.body])
    return ast.unparse(ast.fix_missing_locations(tree))


def survives(text: str, folder: Path, name: str) -> bool:
    """Compile a program; True where it was accepted. Only a HeklaError may refuse it, LLVM never."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # Python's own, about nonsense like 4(0.0)
            module, _ = program_of(text, folder, name).lower()
    except (HeklaError, SyntaxError):
        return False
    parsed = llvm.parse_assembly(emit_module(module, host_target()).finish())
    parsed.verify()
    return True


@pytest.mark.slow
def test_scrambled_programs_are_compiled_or_refused_but_never_break_the_compiler(tmp_path: Path) -> None:
    outcomes = []
    for path in (*sorted((HERE / "accepted").glob("*.py")), *sorted((HERE / "vectorize" / "accepted").glob("*.py"))):
        for seed in range(8):
            text = scrambled(path.read_text(), seed)
            outcomes.append(survives(text, tmp_path, f"scrambled_{path.stem}_{seed}"))
    assert any(outcomes)
    assert not all(outcomes)


@pytest.mark.slow
def test_scrambled_random_programs_never_break_the_compiler(tmp_path: Path) -> None:
    outcomes = [survives(scrambled(RandomProgram(s).text(), s), tmp_path, f"random_{s}") for s in range(300)]
    assert any(outcomes)
    assert not all(outcomes)


def test_a_wrong_meaning_would_be_seen() -> None:
    assert same(np.float32(1), np.float32(1), 0, 0)
    assert not same(np.array([1, np.nan]), np.array([1.0000001, np.nan]), 0, 0)
