"""The machine: memory, files as memory, views other libraries can read, processors and their limits."""

from hekla.runtime.accounting import MemoryAccount, Usage
from hekla.runtime.arena import Arena
from hekla.runtime.buffer import Buffer, HugePages
from hekla.runtime.cpu import CpuFeatures, cpu_features
from hekla.runtime.limits import Limits, allowed_cpus, read_limits, usable_cpus, usable_memory_bytes
from hekla.runtime.mapped import Access, Advice, MappedFile
from hekla.runtime.topology import Topology, read_topology
from hekla.runtime.view import View, view_of

__all__ = [
    "Access",
    "Advice",
    "Arena",
    "Buffer",
    "CpuFeatures",
    "HugePages",
    "Limits",
    "MappedFile",
    "MemoryAccount",
    "Topology",
    "Usage",
    "View",
    "allowed_cpus",
    "cpu_features",
    "read_limits",
    "read_topology",
    "usable_cpus",
    "usable_memory_bytes",
    "view_of",
]
