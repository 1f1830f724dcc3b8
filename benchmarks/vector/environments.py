"""The peers' libraries in a virtual environment of their own, outside the repository:
$XDG_CACHE_HOME/hekla/bench/vector.

`python -m benchmarks.vector.environments` makes it if it is missing or its requirements changed.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
REQUIREMENTS = PEERS / "requirements.txt"


def cache() -> Path:
    """Return the folder for everything that is made once and kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hekla" / "bench" / "vector"


def python() -> Path:
    """Return the interpreter that has the peers."""
    return cache() / "venv" / "bin" / "python"


def is_ready() -> bool:
    """True if the environment was made from the requirements as they are now."""
    stamp = cache() / "requirements.sha256"
    return stamp.exists() and stamp.read_text() == _digest()


def make() -> None:
    """Make or renew the environment. Errors: subprocess.CalledProcessError if pip fails."""
    cache().mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", cache() / "venv"], check=True)
    subprocess.run([python(), "-m", "pip", "install", "--quiet", "--requirement", REQUIREMENTS], check=True)
    (cache() / "requirements.sha256").write_text(_digest())


def _digest() -> str:
    return hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()


def main() -> None:
    if is_ready():
        print("ready")
    else:
        make()


if __name__ == "__main__":
    main()
