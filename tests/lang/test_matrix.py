"""Every target with every kind it has: built, run where a runner is, and right beside NumPy, with Hekla's kernels."""

import ctypes
import math
import mmap
import platform
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.lang.link.machines import QUIET, SEMIHOSTING, command
from tests.lang.link.test_bpf import PROG_TEST_RUN, bpf, load

from hekla.lang.files import kernel_in
from hekla.lang.link.architectures import ARCHITECTURES
from hekla.lang.link.assemble import Making, assemble
from hekla.lang.link.build import KINDS, start_object
from hekla.lang.link.build import build as link
from hekla.lang.link.elf_read import read_object
from hekla.lang.link.executable import executable
from hekla.lang.link.image import image
from hekla.lang.link.start_check import start_check
from hekla.lang.link.support import support_text
from hekla.lang.products import build_product
from hekla.lang.targets.known import NAMES, missing_features, target_named
from hekla.lang.targets.x86 import native

HERE = Path(__file__).parent
FILE = HERE / "numerics.py"
N, ROWS, COLUMNS, DEPTH = 101, 3, 70, 9
QUICK = {("native", "executable"), ("x86-64-v3", "shared"), ("x86-64-v2", "flat")}
MATRIX = [
    pytest.param(name, kind, marks=() if (name, kind) in QUICK else pytest.mark.slow)
    for name in NAMES
    for kind in KINDS[target_named(name).family]
]


@pytest.mark.parametrize(("name", "kind"), MATRIX)
def test_a_product_of_every_target_and_kind_is_right(name: str, kind: str, tmp_path: Path) -> None:
    target = target_named(name)
    if target.family == "x86-64":
        lacks = missing_features(target, native().required)
        if platform.machine() != "x86_64" or lacks:
            pytest.skip(f"this processor lacks {', '.join(lacks) or 'x86-64'}")
    RUNS[kind, target.family if target.family in ("bpf", "wasm32", "thumb") else ""](name, tmp_path)


# --- programs -----------------------------------------------------------------------------------------------


def program(name: str, folder: Path, kind: str = "executable") -> None:
    """Give the program of all kernels its numbers, and compare each result."""
    path = folder / "program"
    build_product(kernel_in(FILE, "main"), target=name, kind=kind, output=path)  # type: ignore[arg-type]  # one of Kind
    given, wanted = numbers()
    family = target_named(name).family
    call = command(family, path)
    if kind == "image":
        call = ["qemu-system-arm", "-M", "mps2-an500", *QUIET, *SEMIHOSTING, "-device", f"loader,file={path},addr=0"]
    content = np.concatenate([g.ravel() for g in given]).astype(np.float32).tobytes()
    done = subprocess.run(call, input=content, capture_output=True, timeout=120, check=False)
    found = np.frombuffer(done.stderr if family == "thumb" else done.stdout, np.float32)
    assert len(found) == sum(w.size for w in wanted.values()), done.stderr
    assert done.returncode == len(found) % 127
    at = 0
    for what, numbers_wanted in wanted.items():
        part = found[at : at + numbers_wanted.size].reshape(numbers_wanted.shape)
        np.testing.assert_allclose(part, numbers_wanted, rtol=2e-5, atol=2e-6, err_msg=what)
        at += numbers_wanted.size


def numbers() -> tuple[list[Any], dict[str, Any]]:  # Any: arrays of f32 and f64
    """Return what the program reads, and what it writes, by NumPy."""
    rng = np.random.default_rng(5)
    shapes = [(N,), (N,), (ROWS, COLUMNS), (COLUMNS,), (ROWS, DEPTH), (DEPTH, COLUMNS)]
    given = [rng.normal(size=s).astype(np.float32) for s in shapes]
    x, y, a, w, left, right = (g.astype(np.float64) for g in given)
    e = np.exp(a - a.max(axis=1, keepdims=True))
    phi = np.array([[0.5 * (1 + math.erf(v / 2**0.5)) for v in row] for row in a])
    return given, {
        "dot and cosine": np.array([x @ y, x @ y / np.sqrt((x @ x) * (y @ y))]),
        "softmax": e / e.sum(axis=1, keepdims=True),
        "rms_norm": a / np.sqrt((a * a).mean(axis=1, keepdims=True) + 1e-5) * w,
        "gelu": a * phi,
        "sgemm": left @ right + w,
    }


# --- libraries ----------------------------------------------------------------------------------------------


def vectors() -> tuple["np.ndarray[Any, np.dtype[np.float32]]", "np.ndarray[Any, np.dtype[np.float32]]"]:
    """Return two vectors whose dot product is exact."""
    return np.arange(N, dtype=np.float32) % 7, np.arange(N, dtype=np.float32) % 5


def shared(name: str, folder: Path) -> None:
    """Call a shared object where this process can load it; elsewhere readelf must be content with it."""
    path = folder / "dot.so"
    build_product(kernel_in(FILE, "dot"), target=name, kind="shared", output=path)
    if target_named(name).family != "x86-64":
        machine = {"aarch64": 183, "riscv64": 243}[target_named(name).family]
        assert struct.unpack_from("<HH", path.read_bytes(), 16) == (3, machine)
        program_of_object(name, folder)  # the same code, without a loader for that processor
        return
    called(ctypes.CDLL(str(path)).dot)


def called(function: Any) -> None:  # Any: a function of ctypes
    """Compare a dot product with NumPy's."""
    x, y = vectors()
    function.restype = ctypes.c_float
    pointer, word = ctypes.c_void_p, ctypes.c_int64
    assert function(pointer(x.ctypes.data), word(N), pointer(y.ctypes.data), word(N)) == x @ y


def wasm_module(name: str, folder: Path) -> None:
    """Call the exported function under wasmtime, its vectors in the module's memory."""
    wasmtime = pytest.importorskip("wasmtime", reason="needs the wasmtime package")
    path = folder / "dot.wasm"
    build_product(kernel_in(FILE, "dot"), target=name, kind="shared", output=path)
    store = wasmtime.Store()
    exports = wasmtime.Instance(store, wasmtime.Module.from_file(store.engine, str(path)), []).exports(store)
    x, y = vectors()
    at = 40_000
    exports["memory"].write(store, x.tobytes() + y.tobytes(), at)
    assert exports["dot"](store, at, N, at + x.nbytes, N) == x @ y


# --- objects and flat binaries ------------------------------------------------------------------------------

CALLER = """
@x = internal global [N x float] [X]
@y = internal global [N x float] [Y]
declare float @dot(ptr, i64, ptr, i64)
define i32 @main() {
  %r = call float @dot(ptr @x, i64 N, ptr @y, i64 N)
  %i = fptosi float %r to i32
  %s = srem i32 %i, 120
  ret i32 %s
}
"""


def program_of_object(name: str, folder: Path) -> None:
    """Link an object into a program that calls it, as any linker would, and run that."""
    target = target_named(name)
    content = build_product(kernel_in(FILE, "dot"), target=name, kind="object").content
    x, y = vectors()
    text = CALLER.replace("[X]", f"[{', '.join(f'float {v:.1f}' for v in x)}]")
    text = text.replace("[Y]", f"[{', '.join(f'float {v:.1f}' for v in y)}]").replace("N", str(N))
    path = folder / "program"
    if target.family == "wasm32":
        pytest.skip("an object of WebAssembly is for wasm-ld, which is not here; modules are linked by hekla.lang.link")
    main = read_object(assemble(text, target, Making(1)), "main")
    library = read_object(content, "dot.o")
    support = read_object(assemble(support_text(target, 4096, is_program=True), target, Making(1)), "support")
    objects = [main, library, support]
    if target.memory is not None:
        objects += [start_check("main", target), start_object(target, "main")]
        made = image(objects, ARCHITECTURES[target.family], target.memory, elf=True)[0]
    else:
        if target.family != "x86-64":
            objects.append(start_check("main", target))
        objects.append(start_object(target, "main"))
        made = executable(objects, ARCHITECTURES[target.family], "_start")[0]
    path.write_bytes(made)
    path.chmod(0o755)
    done = subprocess.run(command(target.family, path), check=False, timeout=60)
    assert done.returncode == int(x @ y) % 120


def flat(name: str, folder: Path) -> None:
    """Run a flat binary at an odd page: in this process, or as data that a program of its processor calls."""
    target = target_named(name)
    content = build_product(kernel_in(FILE, "dot"), target=name, kind="flat").content
    if target.family == "x86-64":
        room = mmap.mmap(-1, 8192 + len(content), prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        room[4096 : 4096 + len(content)] = content
        address = ctypes.addressof(ctypes.c_char.from_buffer(room)) + 4096
        kinds = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64]
        called(ctypes.CFUNCTYPE(ctypes.c_float, *kinds)(address))
        return
    x, y = vectors()
    text = CALLER.replace("[X]", f"[{', '.join(f'float {v:.1f}' for v in x)}]")
    text = text.replace("[Y]", f"[{', '.join(f'float {v:.1f}' for v in y)}]").replace("N", str(N))
    text = text.replace(
        "declare float @dot(ptr, i64, ptr, i64)",
        f"@flat = internal constant [{len(content)} x i8] [{', '.join(f'i8 {b}' for b in content)}], align 4096",
    ).replace("@dot(", "@flat(")
    path = folder / "program"
    link(text, entry="main", target=target, kind="executable", output=path)
    marked = bytearray(path.read_bytes())  # constants may not be executed: here they must be
    for number in range(int.from_bytes(marked[56:58], "little")):
        marked[64 + 56 * number + 4] |= 1 if marked[64 + 56 * number] == 1 else 0
    path.write_bytes(marked)
    done = subprocess.run(command(target.family, path), check=False, timeout=60)
    assert done.returncode == int(x @ y) % 120


# --- eBPF ---------------------------------------------------------------------------------------------------


def filter_loads(name: str, folder: Path) -> None:
    """The verifier takes a kernel of whole numbers, and runs it where it may."""
    code = build_product(kernel_in(HERE / "built.py", "collatz"), target=name, kind="flat").content
    descriptor = load(code)
    packet = ctypes.create_string_buffer(64)
    attributes = bytearray(128)
    struct.pack_into("<IIIIQQI", attributes, 0, descriptor, 0, 64, 0, ctypes.addressof(packet), 0, 1)
    if bpf(PROG_TEST_RUN, attributes) < 0:
        pytest.skip("bpf(2) cannot run programs here")
    assert struct.unpack_from("<I", attributes, 4)[0] == kernel_in(HERE / "built.py", "collatz")()


def filter_object(name: str, folder: Path) -> None:
    """The object holds the function under its name, for a loader such as bpftool."""
    content = build_product(kernel_in(HERE / "built.py", "collatz"), target=name, kind="object").content
    assert "collatz" in {s.name for s in read_object(content, "collatz.o").symbols if s.section is not None}


RUNS = {
    ("executable", ""): program, ("executable", "wasm32"): program, ("executable", "thumb"): program,
    ("image", "thumb"): lambda name, folder: program(name, folder, "image"),
    ("shared", ""): shared, ("shared", "wasm32"): wasm_module,
    ("object", ""): program_of_object, ("object", "thumb"): program_of_object, ("object", "wasm32"): program_of_object,
    ("object", "bpf"): filter_object, ("flat", ""): flat, ("flat", "bpf"): filter_loads,
}  # fmt: skip


def test_the_matrix_has_every_target_and_every_kind() -> None:
    assert {name for name, *_ in (p.values for p in MATRIX)} == set(NAMES)
