"""Code in memory, ready to be called by CPython."""

import ctypes
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hekla.lang import types as t
from hekla.lang.interface import Interface
from hekla.lang.llvm.environment import C_API, ENTRY, ENVIRONMENT, POOL, environment_names
from hekla.lang.llvm.image import Image, ImageInMemory

if TYPE_CHECKING:
    from hekla.lang.llvm.pool import ThreadPool

METH_FASTCALL_WITH_KEYWORDS = 0x82


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
        self, image: Image, interface: Interface, fault: Callable[[int], None], pool: "ThreadPool | None" = None
    ) -> None:
        self._code = ImageInMemory(image)
        addresses = self._code.addresses
        self._dtypes = [t.numpy_dtype(p.type.element) for p in interface.params if isinstance(p.type, t.ViewType)]
        self._fault = fault
        self._definitions: list[_MethodDef] = []
        names = environment_names(interface.params)
        table = (ctypes.c_void_p * len(names)).from_address(addresses[ENVIRONMENT])
        for position, value in enumerate(_environment(self._dtypes, fault)):
            table[position] = value
        self._entry = addresses[ENTRY]
        self._pool = pool
        if pool is not None:
            launch = (ctypes.c_void_p * 2).from_address(addresses[POOL])
            launch[0], launch[1] = pool.run_address, pool.address

    def bind(self, name: str, slow: Callable[..., Any]) -> Callable[..., Any]:
        """Return a built-in function that runs the kernel and calls `slow` for what it does not expect.

        Any: the arguments and the result are the kernel's.
        """
        definition = _MethodDef(name.encode(), self._entry, METH_FASTCALL_WITH_KEYWORDS, None)
        self._definitions.append(definition)
        make = ctypes.pythonapi.PyCFunction_NewEx
        make.restype = ctypes.py_object
        make.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
        made: Callable[..., Any] = make(ctypes.addressof(definition), slow, None)
        return made


def _environment(dtypes: Sequence["np.dtype[Any]"], fault: Callable[[int], None]) -> list[int]:
    functions = [ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0 for name in C_API]
    objects = [id(o) for o in (np.ndarray, None, True, False, fault)]
    return [*functions, *objects, *(id(d) for d in dtypes)]
