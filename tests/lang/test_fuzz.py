"""Random programs: the compiler against the interpreter, and the front end against nonsense."""

import ast
import copy
import random
import warnings
from pathlib import Path
from typing import Any, cast

import llvmlite.binding as llvm
import numpy as np
import pytest

from hekla.base.errors import HeklaError
from hekla.lang import types as t
from hekla.lang.files import kernel_in
from hekla.lang.kernel import Kernel
from hekla.lang.llvm.target import host_target
from hekla.lang.llvm.text import emit_module
from hekla.lang.sweep import same

HERE = Path(__file__).parent
INTEGERS = ("i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "index")
FLOATS = ("f32", "f64")
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


class Shuffled(ast.NodeTransformer):
    """Replaces some expressions of a program by others from the same program."""

    def __init__(self, rng: random.Random, pool: list[ast.expr]) -> None:
        self.rng, self.pool = rng, pool

    def visit(self, node: ast.AST) -> ast.AST:
        """Visit, and now and then put something else."""
        found: ast.AST = super().visit(node)
        is_value = isinstance(found, ast.expr) and isinstance(getattr(found, "ctx", ast.Load()), ast.Load)
        if is_value and not isinstance(found, ast.Slice) and self.rng.random() < 0.08:
            return copy.deepcopy(self.rng.choice(self.pool))
        return found


def scrambled(path: Path, seed: int) -> str:
    """Return the text of an accepted program with parts exchanged."""
    tree = ast.parse(path.read_text())
    rng = random.Random(seed)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            inside = [n for s in node.body for n in ast.walk(s)]
            pool = [n for n in inside if isinstance(n, ast.expr) and not isinstance(n, ast.Slice | ast.Starred)]
            loads = [copy.deepcopy(n) for n in pool if isinstance(getattr(n, "ctx", ast.Load()), ast.Load)]
            if loads:
                shuffled = Shuffled(rng, loads)
                node.body = [cast(ast.stmt, shuffled.visit(s)) for s in node.body]
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
    for path in sorted((HERE / "accepted").glob("*.py")):
        for seed in range(8):
            text = scrambled(path, seed)
            outcomes.append(survives(text, tmp_path, f"scrambled_{path.stem}_{seed}"))
    assert any(outcomes)
    assert not all(outcomes)


def test_a_wrong_meaning_would_be_seen() -> None:
    assert same(np.float32(1), np.float32(1), 0, 0)
    assert not same(np.array([1, np.nan]), np.array([1.0000001, np.nan]), 0, 0)
