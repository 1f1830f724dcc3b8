"""Every kernel of every file, swept: reference -> interpreter -> LLVM unoptimised -> LLVM optimised.

A new kernel is one new file in hekla.kernels with SWEEPS in it, and no new test code.
"""

import importlib
import pkgutil
from dataclasses import replace

import numpy as np
import pytest

import hekla.kernels
from hekla.lang.sweep import Sweep, SweepError, run_sweep


def sweeps_of_all_files() -> list[Sweep]:
    """Return what every file of hekla.kernels declares."""
    found: list[Sweep] = []
    for file in pkgutil.iter_modules(hekla.kernels.__path__):
        module = importlib.import_module(f"hekla.kernels.{file.name}")
        found += getattr(module, "SWEEPS", ())
    return found


SWEEPS = sweeps_of_all_files()


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda s: s.name)
def test_a_kernel_means_the_same_every_way_it_runs(sweep: Sweep) -> None:
    assert run_sweep(sweep) >= 1


def test_the_kernels_are_found() -> None:
    assert {"saxpy", "dot", "cosine", "softmax", "layer_norm", "gelu", "sgemm", "int8_gemm"} <= {s.name for s in SWEEPS}


def test_a_wrong_reference_is_noticed() -> None:
    saxpy = next(s for s in SWEEPS if s.name == "saxpy")

    def wrong(
        a: float, x: "np.ndarray[tuple[int], np.dtype[np.float32]]", y: "np.ndarray[tuple[int], np.dtype[np.float32]]"
    ) -> None:
        y[:] = a * x - y

    with pytest.raises(SweepError, match="saxpy, case 1, the reference -> the interpreter: argument 3 differs"):
        run_sweep(replace(saxpy, reference=wrong))
