"""Every kernel of every file, swept: reference -> interpreter -> LLVM unoptimised -> LLVM optimised.

A new kernel is one new file in hekla.kernels with SWEEPS in it, and no new test code.
"""

from dataclasses import replace

import numpy as np
import pytest

from hekla.kernels.catalogue import all_sweeps
from hekla.lang.sweep import Sweep, SweepError, run_sweep

SWEEPS = all_sweeps()
EXPECTED = {
    "saxpy", "dot", "cosine_f16", "dot_bf16", "squared_l2_i8_many", "softmax", "layer_norm", "gelu", "sgemm",
    "int8_gemm", "smallest", "resize_normalise", "swap_32", "scan_frames", "dequantise_i4", "mailbox_8",
}  # fmt: skip


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda s: s.name)
def test_a_kernel_means_the_same_every_way_it_runs(sweep: Sweep) -> None:
    assert run_sweep(sweep) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda s: s.name)
def test_a_checked_build_finds_nothing_wrong_with_a_kernel(sweep: Sweep) -> None:
    checked = sweep.kernel.with_options(checked=True)
    for arguments in sweep.cases(np.random.default_rng(0)):
        checked(*(a.copy() if isinstance(a, np.ndarray) else a for a in arguments), **dict(sweep.named))


def test_the_kernels_are_found() -> None:
    assert {s.name for s in SWEEPS} >= EXPECTED


def test_a_wrong_reference_is_noticed() -> None:
    saxpy = next(s for s in SWEEPS if s.name == "saxpy")

    def wrong(
        a: float, x: "np.ndarray[tuple[int], np.dtype[np.float32]]", y: "np.ndarray[tuple[int], np.dtype[np.float32]]"
    ) -> None:
        y[:] = a * x - y

    with pytest.raises(SweepError, match="saxpy, case 1, the reference -> the interpreter: argument 3 differs"):
        run_sweep(replace(saxpy, reference=wrong))
