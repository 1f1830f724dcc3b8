"""What machine this is, in one line each, so that a recorded table can be judged."""

import os
import platform
from pathlib import Path

import llvmlite

from benchmarks.lang.limits import Limits
from benchmarks.lang.peers import versions
from hekla.lang.llvm.target import host_target


def describe(limits: Limits) -> list[tuple[str, str]]:
    """Return (what, value) of the machine, its software and its measured limits."""
    target = host_target()
    simd = [f for f in ("avx2", "avx512f", "avx512vnni", "avx512bf16", "avx512fp16", "neon", "v") if target.has(f)]
    return [
        ("processor", f"{_processor()} ({target.cpu}), {os.cpu_count()} cores"),
        ("vector units", ", ".join(simd)),
        ("load before the run", " ".join(f"{v:.2f}" for v in os.getloadavg())),
        ("system", f"{platform.system()} {platform.release()}, Python {platform.python_version()}"),
        ("versions", f"llvmlite {llvmlite.__version__}, {versions()}"),
        ("f32 multiply-add, 1 thread", f"{limits.flops / 1e9:.0f} GFLOP/s"),
        ("u8 x s8 dot product, 1 thread", f"{limits.byte_ops / 1e9:.0f} Gop/s"),
        *((f"reading, {name}", f"{value / 1e9:.0f} GB/s") for name, value in limits.read_bytes.items()),
        ("copying, 2 x 128 MiB", f"{limits.copy_bytes / 1e9:.0f} GB/s read and written"),
    ]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
