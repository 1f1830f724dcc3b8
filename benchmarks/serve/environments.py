"""Each peer in a virtual environment of its own, outside the repository: $XDG_CACHE_HOME/hekla/bench/PEER/venv.

`python -m benchmarks.serve.environments [PEER ...]` makes those that are missing or whose requirements changed.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
# Triton's Python back end loads libpython from the system; an interpreter that was built static has none.
_INTERPRETERS = {"triton": "/usr/bin/python3.11"}


def cache() -> Path:
    """Return the folder for everything that is made once and kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hekla" / "bench"


def python(peer: str) -> Path:
    """Return the interpreter of a peer's environment."""
    return cache() / peer / "venv" / "bin" / "python"


def names() -> list[str]:
    """Return the peers that have an environment."""
    return sorted(path.parent.name for path in PEERS.glob("*/requirements.txt"))


def is_ready(peer: str) -> bool:
    """True if the peer's environment was made from the requirements as they are now."""
    stamp = cache() / peer / "requirements.sha256"
    return stamp.exists() and stamp.read_text() == _digest(peer)


def make(peer: str) -> None:
    """Make or renew a peer's environment. Errors: subprocess.CalledProcessError if pip fails."""
    interpreter = _INTERPRETERS.get(peer, sys.executable)
    folder = cache() / peer
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([interpreter, "-m", "venv", folder / "venv"], check=True)
    requirements = PEERS / peer / "requirements.txt"
    subprocess.run([python(peer), "-m", "pip", "install", "--quiet", "--requirement", requirements], check=True)
    (folder / "requirements.sha256").write_text(_digest(peer))


def _digest(peer: str) -> str:
    return hashlib.sha256((PEERS / peer / "requirements.txt").read_bytes()).hexdigest()


def main() -> None:
    for peer in sys.argv[1:] or names():
        if is_ready(peer):
            print(f"{peer}: ready")
        else:
            print(f"{peer}: installing")
            make(peer)


if __name__ == "__main__":
    main()
