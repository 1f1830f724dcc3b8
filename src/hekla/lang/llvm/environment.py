"""The table through which a kernel's code reaches the process: it refers to nothing by address."""

from collections.abc import Iterable
from typing import Protocol

from hekla.lang import types as t

ENTRY, ENVIRONMENT = "hekla_call", "hekla_env"
POOL = "hekla_pool"  # a table of two, filled after loading: the pool's run function, and the pool
C_API = (
    "PyFloat_AsDouble", "PyLong_AsLongLong", "PyLong_AsUnsignedLongLong", "PyErr_Occurred", "PyErr_Clear",
    "PyEval_SaveThread", "PyEval_RestoreThread", "PyFloat_FromDouble", "PyLong_FromLongLong",
    "PyLong_FromUnsignedLongLong", "PyBool_FromLong", "PyObject_Vectorcall", "Py_IncRef", "Py_DecRef",
)  # fmt: skip
OBJECTS = ("ndarray", "None", "True", "False", "fault")


class HasType(Protocol):
    """A parameter, of the IR or of an interface."""

    @property
    def type(self) -> t.Type:
        """Its type."""


def environment_names(params: Iterable[HasType]) -> list[str]:
    """Return what the table holds, in order: C functions, objects, then the dtype of each view parameter."""
    dtypes = [f"dtype:{i}" for i, p in enumerate(params) if isinstance(p.type, t.ViewType)]
    return [*C_API, *OBJECTS, *dtypes]
