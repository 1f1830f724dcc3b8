"""The native thread of an actor: its code, and a record it begins with.

The record is words of 64 bits, on a cache line of its own:

    word  meaning
    0     the thread's number (32 bits, a futex), set first of all
    1     the number of the fault it ended with, or 0
    2     a place for a fault while it closes its mailbox
    3...  what the kernel takes, a view as its pointer, sizes and strides
"""

import ctypes
import platform
from functools import cached_property
from typing import Any

import numpy as np

from hekla.base.errors import UnsupportedError
from hekla.lang import types as t
from hekla.lang.errors import CheckError
from hekla.lang.kernel import Compiled, Kernel
from hekla.lang.llvm.cache import CodeCache
from hekla.lang.llvm.codegen import object_code
from hekla.lang.llvm.image import ImageInMemory
from hekla.lang.llvm.link_image import link_image
from hekla.lang.llvm.names import commas
from hekla.lang.llvm.system import over_c_library
from hekla.lang.llvm.text import Text, emit_module
from hekla.lang.llvm.views import flat_params

ENTRY = "hekla_thread"
GET_THREAD_NUMBER = {"x86_64": 186, "aarch64": 178, "riscv64": 178}
FIRST = 3  # the word of the first argument


class ThreadCode:
    """The code of one class of actors, for one choice of options; its threads run in it, so it lives with them."""

    def __init__(self, step: Kernel, main: Kernel) -> None:
        self._step = step
        self.main: Compiled = main.compile()

    @cached_property
    def step(self) -> Compiled:
        """What handles one message, for actors without a thread."""
        return self._step.compile()

    @cached_property
    def text(self) -> Text:
        """The LLVM text, the thread's entry included."""
        text = emit_module(self.main.module, self.main.target)
        over_c_library(text)
        text.functions.append(self._entry(text))
        return text

    def _entry(self, text: Text) -> str:
        machine = platform.machine()
        if platform.system() != "Linux" or machine not in GET_THREAD_NUMBER:
            raise UnsupportedError(f"actors need threads of Linux, not {platform.system()} on {machine}")
        symbols = {f.name: f for f in self.main.module.functions.values()}
        lines, words = [], []
        params = flat_params([(f"a{i}", p.type) for i, p in enumerate(self.main.function.params)])
        for position, (kind, _, name) in enumerate(params):
            at = f"%at{position}"
            lines += [f"  {at} = getelementptr i64, ptr %record, i64 {FIRST + position}"]
            lines += [f"  {name} = load {kind}, ptr {at}"]
            words.append(f"{kind} {name}")
        box = words[: len(flat_params([("a0", self.main.function.params[0].type)]))]
        fault = ["ptr %fault"] if text.faults else []
        closing = ["ptr %closing"] if text.faults else []
        return "\n".join([
            f"define ptr @{ENTRY}(ptr %record) #0 {{", "entry:",
            "  %fault = getelementptr i64, ptr %record, i64 1", "  %closing = getelementptr i64, ptr %record, i64 2",
            f"  %id = call i64 (i64, ...) @syscall(i64 {GET_THREAD_NUMBER[machine]})",
            "  %number = trunc i64 %id to i32", "  store atomic i32 %number, ptr %record release, align 8",
            "  call void @hekla.wake(ptr %record, i32 1)", *lines,
            f"  call void @{symbols['run'].symbol}({commas([*words, *fault])})",
            f"  call void @{symbols['ended'].symbol}({commas([*box, *closing])})",
            "  ret ptr null", "}",
        ])  # fmt: skip

    @cached_property
    def address(self) -> int:
        """Where the thread's entry lies in memory."""
        cache = self.main.options.cache or CodeCache.standard()
        code, _ = object_code(self.text.finish(), self.main.target, self.main.flags, cache)
        self._image = ImageInMemory(link_image(code, [ENTRY]))
        return self._image.addresses[ENTRY]

    def record(self, arrays: list["np.ndarray[Any, Any]"]) -> "np.ndarray[Any, Any]":  # Any: views of many elements
        """Return the record a thread begins with."""
        words = [0] * FIRST
        for param, array in zip(self.main.function.params, arrays, strict=True):
            assert isinstance(param.type, t.ViewType)
            strides = [s // array.dtype.itemsize for s in array.strides]
            words += [array.ctypes.data, *array.shape, *(strides if param.type.strided else strides[:-1])]
        memory = np.zeros(len(words) + 8, np.uint64)
        start = -memory.ctypes.data % t.LINE_BYTES // 8
        memory[start : start + len(words)] = np.array(words, np.int64).view(np.uint64)
        return memory[start : start + len(words)]

    def fault(self, number: int) -> CheckError:
        """Return the fault a thread ended with."""
        message, span = self.text.sites[number - 1]
        return CheckError(message, span)


class Thread:
    """A thread of ours: pthread_create with a place to run on, and a join that frees the interpreter lock."""

    def __init__(self, entry: int, record: int, processors: tuple[int, ...]) -> None:
        self._libc = ctypes.CDLL(None)
        self._handle = ctypes.c_ulong()
        attributes = ctypes.create_string_buffer(128)  # pthread_attr_t is 56 bytes on x86-64, 64 on AArch64
        self._call("pthread_attr_init", attributes)
        if processors:
            mask = (ctypes.c_ulong * 16)()
            for number in processors:
                if number not in range(64 * 16):
                    raise UnsupportedError(f"there is no processor {number}")
                mask[number // 64] |= 1 << (number % 64)
            self._call("pthread_attr_setaffinity_np", attributes, ctypes.c_size_t(128), mask)
        try:
            entry_pointer, given = ctypes.c_void_p(entry), ctypes.c_void_p(record)
            self._call("pthread_create", ctypes.byref(self._handle), attributes, entry_pointer, given)
        finally:
            self._call("pthread_attr_destroy", attributes)

    def join(self) -> None:
        """Wait until the thread ended; once."""
        self._call("pthread_join", self._handle, None)

    def _call(self, name: str, *given: Any) -> None:  # Any: what ctypes passes to C
        error = getattr(self._libc, name)(*given)
        if error:
            raise UnsupportedError(f"the system refused {name}: error {error}", cure="ask for fewer threads, or others")
