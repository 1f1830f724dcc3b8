"""Builds the ONNX Runtime back end for Triton: peers/triton/onnx_backend.cc, by g++, into the cache."""

import hashlib
import subprocess
from pathlib import Path

from benchmarks.serve import environments

NAME = "hekla_onnx"
FILE = f"libtriton_{NAME}.so"
_SOURCE = environments.PEERS / "triton" / "onnx_backend.cc"


def build() -> Path:
    """Return the shared object, built if the source or the runtime changed.

    Errors: FileNotFoundError without g++; subprocess.CalledProcessError if it fails.
    """
    runtime = next(
        (environments.cache() / "triton").glob("venv/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.*")
    )
    digest = hashlib.sha256(_SOURCE.read_bytes() + str(runtime).encode()).hexdigest()[:16]
    target = environments.cache() / "triton" / f"onnx_backend-{digest}.so"
    if not target.exists():
        options = ["-std=c++17", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra"]
        define = f'-DHEKLA_ONNXRUNTIME="{runtime}"'
        subprocess.run(["g++", *options, define, str(_SOURCE), "-o", str(target), "-ldl"], check=True)
    return target
