"""What the numbers were measured on."""

import os
import platform
from importlib import metadata
from pathlib import Path

from benchmarks.serve import environments

_OF_INTEREST = ("onnxruntime", "numpy", "uvloop", "httptools")
# The distribution whose version stands for each peer.
_PEERS = {
    "triton": "nvidia_pytriton",
    "fastapi": "fastapi",
    "litserve": "litserve",
    "bentoml": "bentoml",
    "mlserver": "mlserver",
    "kserve": "kserve",
    "ray": "ray",
}


def describe() -> dict[str, str]:
    """Return what a reader needs to judge the numbers: processor, cores, memory, kernel, versions."""
    facts = {
        "processor": _first_value("/proc/cpuinfo", "model name"),
        "vector units": ", ".join(flag for flag in _flags() if flag in {"avx2", "avx512f", "avx512_vnni", "amx_tile"}),
        "cores": str(os.cpu_count()),
        "memory": f"{int(_first_value('/proc/meminfo', 'MemTotal').split()[0]) / 1e6:.1f} GB",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load average before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }
    facts |= {name: metadata.version(name) for name in _OF_INTEREST}
    facts |= {f"peer {peer}": version for peer in _PEERS if (version := _peer_version(peer))}
    return facts


def _peer_version(peer: str) -> str:
    packages = environments.python(peer).parents[1] / "lib"
    for path in packages.glob(f"python3*/site-packages/{_PEERS[peer]}-*.dist-info"):
        return path.name.removesuffix(".dist-info").rpartition("-")[2]
    return ""


def _flags() -> list[str]:
    return _first_value("/proc/cpuinfo", "flags").split()


def _first_value(path: str, key: str) -> str:
    for line in Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return "unknown 0"
