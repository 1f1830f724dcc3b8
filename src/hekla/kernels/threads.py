"""Kernels on so many threads: what an engine's `threads` means for parallel loops."""

import os
from functools import cache

from hekla.lang.kernel import Kernel
from hekla.lang.llvm.pool import ThreadPool
from hekla.runtime.limits import usable_cpus


@cache
def _pool(threads: int) -> ThreadPool:
    return ThreadPool(threads - 1)  # its threads live as long as the process: one pool for all who ask for so many


def on_threads(kernel: Kernel, threads: int) -> Kernel:
    """Return the kernel with its loops on `threads` threads, the caller's included; 0: on the process's own pool.

    HEKLA_THREADS in the environment overrides, as it does for that pool.
    """
    if threads in (0, usable_cpus()) or "HEKLA_THREADS" in os.environ:
        return kernel
    return kernel.with_options(pool=_pool(threads))
