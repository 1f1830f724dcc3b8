"""Parallel loops of products run on threads of their own, made without a library, and share one allocator."""

import ctypes
import os
import platform
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.lang.link.machines import command

from hekla.lang.files import kernel_in
from hekla.lang.products import build_product
from hekla.lang.targets.known import target_named

FILE = Path(__file__).parent / "built.py"
QUICK = ("native",)
THREADED = ("native", "x86-64-v2", "aarch64", "aarch64-neoverse-n1", "riscv64", "riscv64-v")
EVERY = [t if t in QUICK else pytest.param(t, marks=pytest.mark.slow) for t in THREADED]
ALONE = [pytest.param(t, marks=pytest.mark.slow) for t in ("thumb-cortex-m7", "wasm32")]


def status_of(name: str, target: str, folder: Path, threads: str | None = None, before: Sequence[str] = ()) -> int:
    """Build a program, run it with so many threads, and return its exit status."""
    path = folder / f"{name}.{target}"
    build_product(kernel_in(FILE, name), target=target, kind="executable", output=path)
    environment = {k: v for k, v in os.environ.items() if k != "HEKLA_THREADS"}
    if threads is not None:
        environment["HEKLA_THREADS"] = threads
    call = [*before, *command(target_named(target).family, path)]
    done = subprocess.run(call, timeout=120, check=False, env=environment)
    return done.returncode


@pytest.mark.parametrize("target", EVERY)
def test_as_many_threads_as_asked_for_are_at_work_at_once(target: str, tmp_path: Path) -> None:
    assert status_of("together", target, tmp_path, "4") == 4


@pytest.mark.slow
@pytest.mark.parametrize("words", ["1", "0", "many", "", "2x", None])
def test_fewer_threads_never_make_four_meet(words: str | None, tmp_path: Path) -> None:
    """Words that are no number mean as many threads as processors, of which this test may use one."""
    only = [shutil.which("taskset") or pytest.skip("needs taskset"), "-c", str(min(os.sched_getaffinity(0)))]
    assert status_of("together", "native", tmp_path, words, only) < 4


@pytest.mark.parametrize("target", [*EVERY, *ALONE])
@pytest.mark.parametrize("name", ["churned", "many_loops"])
def test_threads_share_memory_and_the_pool(name: str, target: str, tmp_path: Path) -> None:
    assert status_of(name, target, tmp_path, "4") == kernel_in(FILE, name)()


@pytest.mark.parametrize("target", EVERY)
def test_threads_of_a_program_lose_nothing_under_a_lock(target: str, tmp_path: Path) -> None:
    assert status_of("locked", target, tmp_path, "4") == kernel_in(FILE, "locked")() == 1


@pytest.mark.skipif(platform.machine() != "x86_64", reason="loads a library for x86-64")
def test_a_shared_library_runs_its_loops_on_threads_whoever_calls(tmp_path: Path) -> None:
    path = tmp_path / "sums.so"
    build_product(kernel_in(FILE, "thread_sum"), target="x86-64-v2", kind="shared", output=path)
    sums = ctypes.CDLL(str(path)).thread_sum
    x = np.arange(400 * 50, dtype=np.float32).reshape(400, 50) % 17
    results = [np.zeros(400, np.float32) for _ in range(4)]

    def call(out: "np.ndarray[tuple[int], np.dtype[np.float32]]") -> None:
        fault = ctypes.c_int64(0)
        pointer, word = ctypes.c_void_p, ctypes.c_int64
        for _ in range(50):
            sums(pointer(x.ctypes.data), word(400), word(50), word(50), pointer(out.ctypes.data), word(400),
                 ctypes.byref(fault))  # fmt: skip
        assert fault.value == 0

    callers = [threading.Thread(target=call, args=(out,)) for out in results]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    for out in results:
        assert (out == x.sum(axis=1)).all()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="loads a library for x86-64")
def test_a_shared_library_makes_the_threads_that_the_environment_asks_for(tmp_path: Path) -> None:
    path = tmp_path / "together.so"
    build_product(kernel_in(FILE, "together"), target="x86-64-v2", kind="shared", output=path)
    program = (
        f"import ctypes; fault = ctypes.c_int64(0); met = ctypes.CDLL({str(path)!r}).together(ctypes.byref(fault)); "
        "print(met, len(__import__('os').listdir('/proc/self/task')))"
    )
    call = [sys.executable, "-c", program]
    done = subprocess.run(
        call, env={**os.environ, "HEKLA_THREADS": "4"}, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["4", "4"]
