"""Each peer database in a virtual environment of its own: $XDG_CACHE_HOME/hekla/bench/vector-databases/PEER.

`python -m benchmarks.vector.database_environments [PEER ...]` makes those that are missing or whose pins changed. Their
requirements contradict each other, so one environment for all would compare them at versions nobody chose.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

PINS: Mapping[str, Sequence[str]] = {
    "chroma": ("chromadb==1.5.9",),
    "lancedb": ("lancedb==0.40.0",),
    "milvus-lite": ("milvus-lite==3.2.2", "pymilvus"),
    "qdrant-edge": ("qdrant-edge-py==0.9.0", "numpy"),
    "sqlite-vec": ("sqlite-vec==0.1.9", "apsw", "numpy"),
    "zvec": ("zvec==0.8.0", "numpy"),
}


def cache() -> Path:
    """Return the folder for everything that is made once and kept."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "hekla" / "bench" / "vector-databases"


def python(peer: str) -> Path:
    """Return the interpreter that has a peer."""
    return cache() / peer / "venv" / "bin" / "python"


def is_ready(peer: str) -> bool:
    """True if the peer's environment was made from the pins as they are now."""
    stamp = cache() / peer / "pins"
    return stamp.exists() and stamp.read_text() == "\n".join(PINS[peer])


def make(peer: str) -> None:
    """Make or renew a peer's environment. Errors: subprocess.CalledProcessError if pip fails."""
    folder = cache() / peer
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    subprocess.run([python(peer), "-m", "pip", "install", "--quiet", *PINS[peer]], check=True)
    (folder / "pins").write_text("\n".join(PINS[peer]))


def main() -> None:
    for peer in sys.argv[1:] or PINS:
        if is_ready(peer):
            print(f"{peer}: ready")
            continue
        print(f"{peer}: installing", flush=True)
        try:
            make(peer)
        except subprocess.CalledProcessError as error:
            print(f"{peer}: cannot be installed: {error}")


if __name__ == "__main__":
    main()
