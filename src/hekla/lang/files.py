"""Kernels in files, named FILE:NAME on the command line."""

import hashlib
import importlib.util
import sys
from pathlib import Path

from hekla.base.errors import NotFoundError, nearest_name
from hekla.lang.kernel import Kernel


def kernel_in(path: Path, name: str) -> Kernel:
    """Import a Python file and return one of its kernels. Errors: NotFoundError; whatever the file itself raises."""
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
    kernels = {n: v for n, v in vars(module).items() if isinstance(v, Kernel)}
    if name not in kernels:
        raise NotFoundError(f"no kernel {name!r} in this file", where=str(path), cure=nearest_name(name, kernels))
    return kernels[name]
