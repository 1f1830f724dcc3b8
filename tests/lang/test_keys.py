"""Keys made from source: whatever decides the code changes them, and nothing else does."""

import linecache
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hekla.kernels.catalogue import all_sweeps
from hekla.lang.files import kernel_in
from hekla.lang.host import processor
from hekla.lang.kernel import Kernel
from hekla.lang.keys import source_key
from hekla.lang.llvm.cache import CodeCache
from hekla.lang.texts import SETTLED_NS, Folder, Texts

PROGRAM = """
import dataclasses
import math
import typing
import numpy as np
from hekla.lang import *
import other

@dataclasses.dataclass(frozen=True)
class Shape:
    height: int
    width: int = 3

    @property
    def area(self):
        return self.height * self.width + EXTRA


class Point(typing.NamedTuple):
    x: int


EXTRA = 1
SHAPES = (Shape(2), Shape(4))
POINT = Point(7)
SCALE = 3
TABLE = (1, 2, (4, 8))
STEPS = [1, 2]
NAMED = {"first": 5}
ARRAY = np.arange(3)
T = TypeParam("T", (f32, f64))


@struct
class Pair:
    a: f32
    b: f64


def helper(n):
    return n + 1


@comptime
def made(n):
    return helper(n) * len(STEPS) + NAMED["first"] + int(ARRAY[1]) + int(math.floor(2.5))


@kernel(inline=True)
def called(x: f64) -> f64:
    return x + 1.0 + f64(other.SECOND)


@kernel(inline=True)
def given(x: f64) -> f64:
    return x * 2.0


def closure(offset):
    @kernel
    def inner(x: f64) -> f64:
        return x + offset

    return inner


offset = closure(4)


@kernel
def program(x: f64, *, f: Function = given, width: Const = 2) -> f64:
    local: f64 = x
    pair = Pair(a=0.0, b=local)
    for i in unroll(range(width)):
        pair.b += f64(TABLE[2][i % 2]) * f64(SCALE) + f64(made(3)) + f64(other.FACTOR)
        pair.b += f64(SHAPES[1].area) + f64(POINT.x)
    return offset(f(called(pair.b)))
"""
OTHER = "FACTOR = 6\nSECOND = 2\nUNUSED = 1\n"
CHANGES = {
    "a constant": ("SCALE = 3", "SCALE = 7"),
    "the kind of a constant": ("SCALE = 3", "SCALE = 3.0"),
    "a number in a tuple": ("(4, 8)", "(4, 9)"),
    "a called kernel": ("x + 1.0 +", "x + 1.5 +"),
    "a kernel given as a default": ("x * 2.0", "x * 2.5"),
    "a default": ("width: Const = 2", "width: Const = 3"),
    "a @comptime function": ("helper(n) *", "helper(n) +"),
    "a function that it calls": ("return n + 1", "return n + 2"),
    "a list that it reads": ("STEPS = [1, 2]", "STEPS = [1, 2, 3]"),
    "a dictionary that it reads": ('"first": 5', '"first": 6'),
    "an array that it reads": ("np.arange(3)", "np.arange(3) * 2"),
    "a captured variable": ("closure(4)", "closure(5)"),
    "a module's variable": ("FACTOR = 6", "FACTOR = 7"),
    "another variable of that module, asked for by a called kernel": ("SECOND = 2", "SECOND = 3"),
    "a field of a dataclass": ("Shape(4)", "Shape(5)"),
    "a default of a dataclass": ("width: int = 3", "width: int = 4"),
    "a property of a dataclass": ("self.height * self.width", "self.height + self.width"),
    "a number that it reads": ("EXTRA = 1", "EXTRA = 2"),
    "a named tuple": ("Point(7)", "Point(8)"),
    "the kernel": ("offset(f(called(pair.b)))", "f(called(pair.b))"),
}
SAME_CODE = {
    "the type of a field that decides nothing": ("a: f32\n", "a: f64\n"),
    "the line": ("import math\n", "import math\n\n"),
    "how a called kernel is inlined": ("@kernel(inline=True)\ndef called", "@kernel\ndef called"),
}


class World:
    """A folder with a program, the module it imports, and a cache."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "program.py"
        self.cache = CodeCache(folder / "cache")

    def kernel(self, program: str = PROGRAM, other: str = OTHER) -> Kernel:
        """Write both files and return the kernel, imported afresh."""
        self.path.write_text(program)
        (self.folder / "other.py").write_text(other)
        linecache.checkcache()
        sys.modules.pop("other", None)
        sys.path.insert(0, str(self.folder))
        dont, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            return kernel_in(self.path, "program").with_options(cache=self.cache)
        finally:
            sys.dont_write_bytecode = dont
            sys.path.remove(str(self.folder))
            sys.modules.pop("other", None)


def key(kernel: Kernel, flags: str = "") -> str | None:
    return source_key(kernel.definition, (), {}, flags)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_same_source_has_the_same_key_and_needs_no_front_end(world: World) -> None:
    first = world.kernel().compile()
    assert not first.code[1]
    assert "_lowered" in vars(first)
    second = world.kernel().compile()
    assert second.code[1]
    assert "_lowered" not in vars(second)
    assert second(1.0) == first(1.0)
    assert "_lowered" not in vars(second)
    assert second.interpret(1.0) == first(1.0)  # what asks for the tree gets it


@pytest.mark.parametrize("what", CHANGES)
def test_what_decides_the_code_decides_the_key(world: World, what: str) -> None:
    before, after = CHANGES[what]
    old = world.kernel()
    old_key, old_value = key(old), old(1.0)
    assert before in PROGRAM + OTHER
    new = world.kernel(PROGRAM.replace(before, after), OTHER.replace(before, after))
    assert key(new) not in (None, old_key)
    assert new(1.0) == new.compile().interpret(1.0)
    assert (new(1.0) != old_value) or what == "the kind of a constant"


@pytest.mark.parametrize("what", SAME_CODE)
def test_what_may_decide_the_code_decides_the_key_too(world: World, what: str) -> None:
    before, after = SAME_CODE[what]
    old = world.kernel()
    old_key, old_value = key(old), old(1.0)
    assert before in PROGRAM
    new = world.kernel(PROGRAM.replace(before, after))
    assert key(new) not in (None, old_key)
    assert new(1.0) == old_value


def test_a_kernel_that_only_moved_finds_its_object_file(world: World) -> None:
    assert not world.kernel().compile().code[1]
    moved = world.kernel("\n" + PROGRAM).compile()
    assert "_lowered" in vars(moved)
    assert moved.code[1]


def test_what_decides_nothing_is_left_out_of_the_key(world: World) -> None:
    old = key(world.kernel())
    assert old is not None
    assert key(world.kernel(PROGRAM + "\n\nAFTER = 1\n", OTHER.replace("UNUSED = 1", "UNUSED = 2"))) == old
    assert key(world.kernel(), "other flags") not in (None, old)


def test_a_value_that_cannot_be_told_leaves_a_kernel_without_a_key(world: World) -> None:
    told = "class Settings:\n    scale = 3\n\n\nSCALE = Settings.scale\n"
    untold = told.replace("SCALE = Settings.scale\n", "SETTINGS = Settings()\n")
    assert key(world.kernel(PROGRAM.replace("SCALE = 3\n", told))) is not None
    odd = PROGRAM.replace("SCALE = 3\n", untold).replace("f64(SCALE)", "f64(SETTINGS.scale)")
    kernel = world.kernel(odd)
    assert key(kernel) is None
    assert not kernel.compile().code[1]
    again = world.kernel(odd).compile()
    assert "_lowered" in vars(again)
    assert again.code[1]  # by its text
    assert world.kernel(odd.replace("scale = 3", "scale = 4"))(1.0) != again(1.0)


def test_a_processor_that_cannot_be_told_leaves_kernels_without_a_key(tmp_path: Path) -> None:
    assert processor(tmp_path) == ""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("processor: 0\nflags: sse2 avx2\ncpu MHz: 12\n\nprocessor: 1\nflags: no\n")
    told = processor(tmp_path)
    assert "flags=sse2 avx2" in told
    assert "MHz" not in told
    (tmp_path / "proc/cpuinfo").write_text("processor: 0\nflags: sse2\n")
    assert processor(tmp_path) != told


def test_every_kernel_of_ours_has_a_key() -> None:
    for sweep in all_sweeps():
        assert source_key(sweep.kernel.definition, (), dict(sweep.named), "") is not None, sweep.name


def test_a_warm_process_loads_neither_llvm_nor_the_front_end(tmp_path: Path) -> None:
    program = tmp_path / "warm.py"
    program.write_text(
        "import sys\nimport numpy as np\nfrom hekla.kernels.resize import resize_normalise\n"
        "from hekla.lang import MutView, f32, kernel, parallel\n\n\n"
        "@kernel\ndef fill(x: MutView[f32, 1]):\n    for i in parallel(len(x)):\n        x[i] = f32(i)\n\n\n"
        "x = np.zeros(1000, np.float32)\nfill(x)\nassert (x == np.arange(1000)).all()\n"
        "out = np.zeros((3, 2, 2), np.float32)\n"
        "resize_normalise(np.zeros((4, 12), np.uint8), np.ones(3, np.float32), np.ones(3, np.float32), out)\n"
        "assert (out == 1).all()\n"
        "from hekla.kernels.int8_gemm import int8_gemm, packed_of\n"  # whose loop needs the thread pool
        "c = np.zeros((1, 33), np.int32)\n"
        "int8_gemm(np.ones((1, 3), np.uint8), packed_of(np.ones((3, 33), np.int8)), c)\n"
        "assert (c == 3).all()\n"
        "print(*(m for m in sys.modules if m in ('llvmlite.binding', 'hekla.lang.compiler', 'hekla.lang.ir.core')))\n"
    )
    said = []
    for seed in ("1", "2"):
        environment = {**os.environ, "HEKLA_CACHE": str(tmp_path / "cache"), "PYTHONHASHSEED": seed}
        environment["HEKLA_THREADS"] = "2"  # that the pool has a worker
        done = subprocess.run([sys.executable, str(program)], env=environment, check=True, capture_output=True)
        said.append(done.stdout.decode().split())
    assert "llvmlite.binding" in said[0]
    assert said[1] == []


def test_generic_kernels_are_found_by_their_types_without_a_front_end(world: World) -> None:
    generic = (
        "from hekla.lang import *\n\nT = TypeParam('T')\n\n\n@kernel\ndef program(x: View[T, 1]) -> T:\n"
        "    return x[0] + x[1]\n"
    )
    for warm in (False, True):
        kernel = world.kernel(generic)
        for dtype in (np.int32, np.float64):
            given = np.ones(2, dtype)
            compiled = kernel.compiled_for([given], {})
            assert ("_lowered" in vars(compiled)) is not warm
            assert kernel(given) == 2


def learnt(world: World, kernel: Kernel, now_ns: int) -> tuple[str | None, bool]:
    """Return the key by what the cache knows of the texts, and whether it learnt any at a time."""
    texts = Texts(world.cache, kernel.definition)
    return source_key(kernel.definition, (), {}, "", texts), texts.keep(now_ns)


def long_after() -> int:
    return time.time_ns() + 2 * SETTLED_NS


def test_texts_are_remembered_once_files_are_settled_and_give_the_same_key(world: World) -> None:
    kernel = world.kernel()
    assert learnt(world, kernel, time.time_ns()) == (key(kernel), False)  # the next write might have the same time
    assert learnt(world, kernel, long_after()) == (key(kernel), True)
    assert learnt(world, world_unchanged(world), long_after()) == (key(kernel), False)


def world_unchanged(world: World) -> Kernel:
    """Return the kernel, imported afresh from files that nobody wrote."""
    sys.path.insert(0, str(world.folder))
    try:
        return kernel_in(world.path, "program")
    finally:
        sys.path.remove(str(world.folder))
        sys.modules.pop("other", None)


def test_what_is_remembered_is_not_read_again(world: World) -> None:
    learnt(world, world.kernel(), long_after())
    kernel = world_unchanged(world)
    learnt(world, kernel, long_after())
    assert "text" not in vars(kernel.definition)


@pytest.mark.parametrize("what", [*CHANGES, *SAME_CODE])
def test_remembered_texts_hide_no_change(world: World, what: str) -> None:
    before, after = (CHANGES | SAME_CODE)[what]
    old, _ = learnt(world, world.kernel(), long_after())
    new = world.kernel(PROGRAM.replace(before, after), OTHER.replace(before, after))
    assert learnt(world, new, long_after())[0] == key(new) != old


def test_a_value_that_a_process_sets_is_seen_though_its_file_is_as_it_was(world: World) -> None:
    learnt(world, world.kernel(), long_after())
    kernel = world_unchanged(world)
    kernel.definition.function.__globals__["SCALE"] = 8
    assert learnt(world, kernel, long_after())[0] == key(kernel) != key(world_unchanged(world))


def test_texts_are_not_remembered_of_a_file_that_was_read_before_it_was_written(world: World) -> None:
    kernel = world.kernel()
    assert key(kernel) is not None  # reads the files
    world.path.write_text(PROGRAM + "\n# later\n")
    assert learnt(world, kernel, long_after()) == (key(kernel), False)


def test_the_hash_of_a_folder_is_remembered_until_a_file_is_written_made_or_removed(tmp_path: Path) -> None:
    folder, cache = tmp_path / "code", CodeCache(tmp_path / "cache")
    for name in ("inner", "without"):
        (folder / name).mkdir(parents=True)
        (folder / name / "one.py").write_text(name)

    def digest() -> str:
        found = Folder(cache, folder, frozenset({"without"})).digest(long_after())
        assert found == Folder(CodeCache(None), folder, frozenset({"without"})).digest()
        assert found == Folder(cache, folder, frozenset({"without"})).digest(long_after())
        return found

    seen = [digest()]
    (folder / "inner/one.py").write_text("other")
    seen.append(digest())
    (folder / "inner/two.py").write_text("")
    seen.append(digest())
    (folder / "inner/three").mkdir()
    (folder / "inner/three/four.py").write_text("")
    seen.append(digest())
    (folder / "inner/one.py").unlink()
    seen.append(digest())
    assert len(set(seen)) == len(seen)
    (folder / "without/one.py").write_text("nobody asks")
    assert digest() == seen[-1]
    assert list((tmp_path / "cache").rglob("*.text"))


def test_loading_what_is_kept_makes_nothing(world: World) -> None:
    kernel = world.kernel()
    assert not kernel.find_kept()
    assert not list((world.folder / "cache").rglob("*.image"))
    expected = kernel(1.0)
    loaded = world_unchanged(world).with_options(cache=world.cache)
    assert loaded.find_kept()
    assert "_lowered" not in vars(loaded.compile())
    assert loaded(1.0) == expected
