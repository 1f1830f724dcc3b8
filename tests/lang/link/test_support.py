"""fmaf is rounded once, on machines with and without the instruction."""

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.lang.link.machines import run

# (a, b, c) whose product and sum, rounded twice, go to the wrong neighbour; and plain ones
CASES = (
    (1.5, 2.5, 0.25),
    (1.0 + 2.0**-23, 1.0 + 2.0**-23, -1.0),
    (16777215.0, 16777215.0, 1.0),
    (1.0 + 2.0**-12, 1.0 + 2.0**-12, 2.0**-60),
    (3.0, -7.0, 21.0),
    (2.0**-120, 2.0**-20, 1.0),
)


def exact(a: float, b: float, c: float) -> int:
    """Return the bits of a b + c rounded once to f32, from exact arithmetic."""
    value = Fraction(a) * Fraction(b) + Fraction(c)
    near = np.float32(float(value))
    around = (np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf)))
    best = min(around, key=lambda x: (abs(Fraction(float(x)) - value), x.view(np.uint32) & 1))
    return int(best.view(np.uint32))


@pytest.mark.parametrize("name", ["native", "x86-64-v2", "aarch64", "riscv64", "thumb-cortex-m7", "wasm32"])
def test_fmaf_is_rounded_once(name: str, tmp_path: Path) -> None:
    lines, constants = [], []
    for number, case in enumerate(CASES):
        for letter, value in zip("abc", case, strict=True):
            (bits,) = struct.unpack("<Q", struct.pack("<d", value))
            constants.append(f"@{letter}{number} = global float 0x{bits:016X}")
            lines.append(f"  %{letter}{number} = load volatile float, ptr @{letter}{number}")
        args = ", ".join(f"float %{letter}{number}" for letter in "abc")
        lines += [f"  %r{number} = call float @llvm.fma.f32({args})", f"  %i{number} = bitcast float %r{number} to i32"]
        lines += [f"  %w{number} = zext i32 %i{number} to i64", f"  call void @hekla_print_i64(i64 %w{number})"]
    text = "\n".join(
        [
            "declare float @llvm.fma.f32(float, float, float)\ndeclare void @hekla_print_i64(i64)",
            *constants,
            "define i32 @main() {",
            *lines,
            "  ret i32 0\n}\n",
        ]
    )
    printed, status = run(text, name, tmp_path)
    assert status == 0
    assert [int(line) for line in printed.split()] == [exact(*case) for case in CASES]
