"""Object code in memory, ready to be called by CPython."""

import ctypes
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from hekla.lang import types as t
from hekla.lang.ir.core import Function
from hekla.lang.llvm.control import POOL
from hekla.lang.llvm.entry import C_API, ENTRY, ENVIRONMENT, environment_names
from hekla.lang.llvm.pool import ThreadPool

METH_FASTCALL = 0x80
_numbers = itertools.count()  # names of libraries within LLVM; never read for anything else


class _MethodDef(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


class Loaded:
    """Owns the memory of one kernel's code. What `bind` makes is valid while this lives: `slow` must hold it."""

    def __init__(
        self, code: bytes, function: Function, fault: Callable[[int], None], pool: ThreadPool | None = None
    ) -> None:
        self._jit = llvm.create_lljit_compiler()
        builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
        builder.export_symbol(ENTRY).export_symbol(ENVIRONMENT)
        if pool is not None:
            builder.export_symbol(POOL)
        self._library = builder.link(self._jit, f"hekla.{next(_numbers)}")
        self._dtypes = [numpy_dtype(p.type) for p in function.params if isinstance(p.type, t.ViewType)]
        self._fault = fault
        self._definitions: list[_MethodDef] = []
        names = environment_names(function)
        table = (ctypes.c_void_p * len(names)).from_address(self._library[ENVIRONMENT])
        for position, value in enumerate(_environment(self._dtypes, fault)):
            table[position] = value
        self._entry = self._library[ENTRY]
        self._pool = pool
        if pool is not None:
            launch = (ctypes.c_void_p * 2).from_address(self._library[POOL])
            launch[0], launch[1] = pool.run_address, pool.address

    def bind(self, name: str, slow: Callable[..., Any]) -> Callable[..., Any]:
        """Return a built-in function that runs the kernel and calls `slow` for what it does not expect.

        Any: the arguments and the result are the kernel's.
        """
        definition = _MethodDef(name.encode(), self._entry, METH_FASTCALL, None)
        self._definitions.append(definition)
        make = ctypes.pythonapi.PyCFunction_NewEx
        make.restype = ctypes.py_object
        make.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
        made: Callable[..., Any] = make(ctypes.addressof(definition), slow, None)
        return made


def numpy_dtype(kind: t.ViewType) -> "np.dtype[Any]":
    """Return the one dtype object arrays of a view's elements usually have."""
    return t.numpy_dtype(kind.element)


def _environment(dtypes: Sequence["np.dtype[Any]"], fault: Callable[[int], None]) -> list[int]:
    functions = [ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0 for name in C_API]
    objects = [id(o) for o in (np.ndarray, None, True, False, fault)]
    return [*functions, *objects, *(id(d) for d in dtypes)]
