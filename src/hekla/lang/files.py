"""Kernels in files, named FILE:NAME on the command line."""

import hashlib
import importlib.util
import sys
from pathlib import Path
from typing import Any, TypeVar

from hekla.base.errors import NotFoundError, nearest_name
from hekla.lang.actors import Actor
from hekla.lang.kernel import Kernel
from hekla.lang.types import StructType

Named = TypeVar("Named", Kernel, StructType)


def kernel_in(path: Path, name: str) -> Kernel:
    """Import a Python file and return one of its kernels. Errors: NotFoundError; whatever the file itself raises."""
    return _named(path, name, Kernel, "kernel")


def kernel_or_actor_in(path: Path, name: str) -> Kernel:
    """Import a Python file and return one of its kernels, or all that an actor of it runs. Errors: as `kernel_in`."""
    found = _names_in(path).get(name)
    return found.kernels()[1] if isinstance(found, Actor) else kernel_in(path, name)


def struct_in(path: Path, name: str) -> StructType:
    """Import a Python file and return one of its records. Errors: as `kernel_in`."""
    return _named(path, name, StructType, "@struct")


def kernels_in(path: Path) -> dict[str, Kernel]:
    """Import a Python file and return its kernels by name, those it imports left out. Errors: as `kernel_in`."""
    return {n: v for n, v in _names_in(path).items() if isinstance(v, Kernel) and Path(v.definition.file) == path}


def _named(path: Path, name: str, kind: type[Named], what: str) -> Named:
    found = {n: v for n, v in _names_in(path).items() if isinstance(v, kind)}
    if name not in found:
        raise NotFoundError(f"no {what} {name!r} in this file", where=str(path), cure=nearest_name(name, found))
    return found[name]


def _names_in(path: Path) -> dict[str, Any]:  # Any: whatever the file defines
    if not path.is_file():
        raise NotFoundError("no such file", where=str(path))
    module_name = f"hekla_file_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[module_name]
    return vars(module)
