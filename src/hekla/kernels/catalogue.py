"""Every kernel there is, found by what the files of this package declare, for tests, benchmarks and warming up."""

import importlib
import pkgutil

import hekla.kernels
from hekla.lang.sweep import Sweep


def all_sweeps() -> list[Sweep]:
    """Return the SWEEPS of each file, in the order of the files' names."""
    found: list[Sweep] = []
    for file in pkgutil.walk_packages(hekla.kernels.__path__, "hekla.kernels."):
        module = importlib.import_module(file.name)
        found += getattr(module, "SWEEPS", ())
    return found
