"""Files whose pages are on disk and not in memory."""

import os
from pathlib import Path


def drop_from_memory(path: Path) -> None:
    """Ask the system to forget a file's pages; file systems that have no disk behind them do not."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
