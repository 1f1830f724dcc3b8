"""Worker threads for parallel loops: native, persistent, without allocation or Python at a launch.

A launch writes the task into the pool, counts the epoch up and wakes who sleeps; everybody, the caller included,
takes ranges of iterations from one counter until none are left. Then the caller closes the launch and waits for the
workers that joined it; one that comes too late, or sleeps, is not waited for. Both sides spin briefly and then sleep
on a futex: pure spinning ruins a machine that others use too.
A launch while the pool is busy (a loop within a loop, a second Python thread) runs in the caller alone.

    offset  size  meaning                               offset  size  meaning
    0       4     epoch, a futex                         192     8     task (context, begin, end)
    64      8     next iteration to take                 200     8     context
    128     4     state, a futex: open (2^30) + joined   208     8     iterations
    132     4     the caller sleeps                      216     8     iterations a range
    256     4     busy                                   260     4     workers
    320     4     workers asleep
"""

import contextlib
import ctypes
import os
from functools import cache

from hekla.lang.keys import code_key
from hekla.lang.llvm.built import Built
from hekla.lang.llvm.cache import CodeCache
from hekla.lang.llvm.image import ImageInMemory
from hekla.runtime.limits import usable_cpus

POOL_BYTES = 384
RUN, START = EXPORTS = ("hekla_pool_run", "hekla_pool_start")


class ThreadPool:
    """`workers` threads that help whoever launches a loop; they live as long as the process.

    The memory and the code of a pool are never freed, because its threads run in them. After fork the child has no
    workers and runs its loops alone. Errors: UnsupportedError on machines other than Linux on a known processor.
    """

    def __init__(self, workers: int, cache: CodeCache | None = None) -> None:
        self._code = ImageInMemory(_built(cache or CodeCache.standard()).image)
        self._memory = ctypes.create_string_buffer(POOL_BYTES + 64)
        self.address = -(-ctypes.addressof(self._memory) // 64) * 64
        self.run_address: int = self._code.addresses[RUN]
        start = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)(self._code.addresses[START])
        self.workers: int = start(self.address, workers) if workers else 0
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))  # threads run in this memory until the process ends
        os.register_at_fork(after_in_child=self._forget_workers)

    def _forget_workers(self) -> None:
        ctypes.memset(self.address, 0, POOL_BYTES)
        self.workers = 0


def _built(cache: CodeCache) -> Built:
    """Return the pool's code from the cache, or made by LLVM and kept there."""
    key = code_key("the thread pool")
    built = Built.kept(cache, key) if key is not None else None
    if built is None:
        from hekla.lang.llvm.pool_code import build_pool  # brings LLVM

        built = build_pool(EXPORTS, cache)
        if key is not None:
            built.keep(cache, key)
    return built


@cache
def standard_pool() -> ThreadPool:
    """Return the process's pool: as many threads as the process may keep busy, the caller's included.

    HEKLA_THREADS overrides what affinity and control group allow.
    """
    threads = usable_cpus()
    with contextlib.suppress(ValueError):
        threads = max(1, int(os.environ.get("HEKLA_THREADS", threads)))
    return ThreadPool(threads - 1)
