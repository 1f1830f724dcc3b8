"""C programs call products through their headers, and broken promises are faults in checked builds."""

import ctypes
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from hekla.base.errors import ConfigError
from hekla.cli.build import build
from hekla.lang.files import kernel_in
from hekla.lang.products import build_product, header_of

FILE = Path(__file__).parent / "called.py"
TARGET = "x86-64-v2"
pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="calls code for x86-64")

CALLER = """
#include <stdio.h>
#include <stddef.h>
#include "scale.h"
#include "move.h"
#include "small.h"
#include "is_large.h"
#include "double.h"
#include "total.h"

int main(void) {
  float x[2][3] = {{1, 2, 3}, {4, 5, 6}}, y[2][4] = {{0}};
  int64_t n = scale(0.5f, &x[0][0], 2, 3, 3, &y[0][0], 2, 3, 4);
  printf("%d %g %g %g %g\\n", (int)n, y[0][0], y[0][2], y[0][3], y[1][1]);
  Point points[4] = {{.kind = 2, .x = 1.0}, {.kind = 9}, {.kind = 3, .x = -1.0, .path = {7, 8, 9}}};
  move(points, 2, 2, 0.25);
  printf("%g %g %g %d %d %d\\n", points[0].x, points[1].x, points[2].x, points[2].path[0], points[2].path[1],
         points[1].path[1]);
  printf("%d %d\\n", small(-1, 200, -300, 400, false, -7, 5), small(-1, 2, -3, 4, true, -7, 0));
  printf("%d %d\\n", is_large(1ull << 63, 1.5f), is_large(1ull << 63, 0.5f));
  printf("%u\\n", double_(2500000000u, 1u));
  int64_t fault = 0;
  float sum = total(x[0], 6, 6, &fault);
  printf("%g %d [%s]\\n", sum, (int)fault, total_fault_text(fault));
  sum = total(x[0], 6, (int64_t)1 << 60, &fault);
  printf("%g %s", sum, fault ? total_fault_text(fault) : "none");
  return 0;
}
"""
SAID = """6 0.5 1.5 0 2.5
1.5 0 -0.25 7 9 0
41 5
1 0
705032705
21 0 []
0 called.py:76:9: out of memory
"""


def made(folder: Path, name: str, kind: str, *, checked: bool = False, target: str = TARGET) -> Path:
    """Build one kernel and its header, and return the product's path."""
    path = folder / f"{name}.{'so' if kind == 'shared' else 'o'}"
    kernel = kernel_in(FILE, name)
    build_product(kernel, target=target, kind=kind, output=path, checked=checked)  # type: ignore[arg-type]  # one of Kind
    (folder / f"{name}.h").write_text(header_of(kernel, target=target, checked=checked))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("kind", ["shared", "object"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_c_program_calls_products_through_their_headers(
    compiler: str, kind: str, checked: bool, tmp_path: Path
) -> None:
    found = shutil.which(compiler)
    if found is None:
        pytest.skip(f"needs {compiler}")
    (tmp_path / "main.c").write_text(caller(checked))
    names = ("scale", "move", "small", "is_large", "double", "total")
    products = [str(made(tmp_path, name, kind, checked=checked)) for name in names]
    call = [found, "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-psabi", "main.c", *products]
    subprocess.run([*call, "-o", "main", f"-Wl,-rpath,{tmp_path}"], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True)
    assert done.stdout == SAID


def caller(checked: bool) -> str:
    """Return the C program; every kernel of a checked build takes `fault`."""
    if not checked:
        return CALLER
    text = CALLER.replace("int main(void) {", "int main(void) {\n  int64_t fault = 0;").replace(
        "  int64_t fault = 0;\n  float sum", "  float sum"
    )
    for end in ("&y[0][0], 2, 3, 4", "points, 2, 2, 0.25", "-7, 5", "-7, 0", "1.5f", "63, 0.5f", "2500000000u, 1u"):
        text = text.replace(f"{end})", f"{end}, &fault)")
    return text


@pytest.mark.slow
def test_a_header_is_also_cpp(tmp_path: Path) -> None:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs g++")
    for name in ("scale", "move", "small", "total"):
        made(tmp_path, name, "object")
    lines = [f'#include "{name}.h"' for name in ("scale", "move", "small", "total")]
    (tmp_path / "main.cc").write_text("\n".join([*lines, "static_assert(sizeof(Point) == 32);", "int main() {}", ""]))
    subprocess.run([compiler, "-std=c++17", "-Wall", "-Werror", "-c", "main.cc"], cwd=tmp_path, check=True)


GOLDEN = """\
/* scale: made by hekla build --checked

   y = a x, element by element; returns how many.

   x: View[f32, 2], read, at a multiple of 4 bytes.
   y: MutView[f32, 2], read and written, at a multiple of 4 bytes.
   Sizes and strides count elements; sizes are 0 or more; what a view covers must exist.
   What is written may not overlap another argument.
   That arguments keep these rules is checked: a broken one is a fault.
   Set *fault to 0 before the call. It is not 0 after a fault; the result is then 0. */
#ifndef HEKLA_SCALE_H
#define HEKLA_SCALE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
#define HEKLA_RESTRICT __restrict__
extern "C" {
#else
#define HEKLA_RESTRICT restrict
#endif

int64_t scale(float a, const float *HEKLA_RESTRICT x, int64_t x_size0, int64_t x_size1, int64_t x_stride0, \
float *HEKLA_RESTRICT y, int64_t y_size0, int64_t y_size1, int64_t y_stride0, int64_t *fault);

/* What a fault was: a text that ends in a line feed; empty for numbers there are not. */
const char *scale_fault_text(int64_t fault);

#undef HEKLA_RESTRICT
#ifdef __cplusplus
}
#endif
#endif
"""


def test_a_header_says_all_that_a_caller_must_know() -> None:
    assert header_of(kernel_in(FILE, "scale"), target=TARGET, checked=True) == GOLDEN


class Checked:
    """The checked `scale` of a shared object, called from here."""

    def __init__(self, folder: Path) -> None:
        self.library = ctypes.CDLL(str(made(folder, "scale", "shared", checked=True)))
        self.library.scale.restype = ctypes.c_int64
        self.library.scale_fault_text.restype = ctypes.c_char_p

    def call(self, x: int, x_words: tuple[int, ...], y: int, y_words: tuple[int, ...]) -> str:
        """Return what the fault was, or an empty text."""
        fault, word = ctypes.c_int64(0), ctypes.c_int64
        words = [*map(word, x_words)], [*map(word, y_words)]
        self.library.scale(ctypes.c_float(2), ctypes.c_void_p(x), *words[0], ctypes.c_void_p(y), *words[1],
                           ctypes.byref(fault))  # fmt: skip
        said: bytes = self.library.scale_fault_text(fault)
        return said.decode().partition(": ")[2].strip()


def test_each_broken_promise_is_a_fault_of_its_own(tmp_path: Path) -> None:
    scale = Checked(tmp_path)
    x, y = np.ones((4, 4), np.float32), np.zeros((4, 4), np.float32)
    a, b, whole = x.ctypes.data, y.ctypes.data, (4, 4, 4)
    assert scale.call(a, whole, b, whole) == ""
    assert (y == 2).all()
    assert scale.call(a + 1, (2, 2, 4), b, whole) == "x does not lie at a multiple of 4 bytes"
    assert scale.call(a, (2, 2, 4), b + 2, (2, 2, 4)) == "y does not lie at a multiple of 4 bytes"
    assert scale.call(a, (-1, 4, 4), b, whole) == "x.shape[0] is below 0"
    assert scale.call(a, whole, b, (4, -4, 4)) == "y.shape[1] is below 0"
    assert scale.call(0, whole, b, whole) == "x is a null pointer"
    assert scale.call(0, (0, 4, 4), b, (0, 4, 4)) == ""
    assert scale.call(a, whole, a, whole) == "x and y overlap, and y is written"
    assert scale.call(a, (2, 4, 4), a + 28, (2, 4, 4)) == "x and y overlap, and y is written"
    assert scale.call(a, (2, 4, 4), a + 32, (2, 4, 4)) == ""
    assert scale.call(a + 48, (2, 4, -4), a, (1, 4, 4)) == "an index is out of bounds"
    assert scale.call(a + 48, (4, 4, -4), b, whole) == ""
    assert scale.call(a, (5, 4, 4), b, whole) == "an index is out of bounds"


def test_the_command_writes_a_header(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(build)
    path, header = tmp_path / "scale.so", tmp_path / "scale.h"
    arguments = [f"{FILE}:scale", "--target", TARGET, "-o", str(path), "--header", str(header)]
    result = CliRunner().invoke(app, [*arguments, "--kind", "shared", "--checked"])
    assert result.exception is None, result.exception
    assert header.read_text() == GOLDEN
    result = CliRunner().invoke(app, [*arguments, "--kind", "flat"])
    assert isinstance(result.exception, ConfigError)
    assert "is not called from C" in str(result.exception)
