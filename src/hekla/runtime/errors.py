"""What can go wrong with the machine's memory and files.

HeklaError
├── InputError
│   ├── BoundsError         a range lies outside of its memory or file
│   └── LayoutError         memory cannot be seen as what was asked: its type, alignment, device or strides
├── ConflictError
│   ├── InUseError          memory cannot be given back while views look at it
│   └── ReleasedError       memory was given back already
├── UnavailableError
│   └── NoMemoryError       the machine, an arena or an account's limit has no room
└── ModelFileError
    ├── TruncatedFileError  a file is shorter than what it is said to hold
    └── ChangedFileError    a mapped file is another one now, or has another size
"""

from hekla.base.errors import ConflictError, InputError, ModelFileError, UnavailableError


class BoundsError(InputError):
    """A range lies outside of its memory or file."""

    def __init__(self, where: str, *, start: int, stop: int, size: int) -> None:
        self.start, self.stop, self.size = start, stop, size
        super().__init__(f"bytes {start} to {stop} lie outside of the {size} there are", where=where)


class LayoutError(InputError):
    """Memory cannot be seen as what was asked."""


class InUseError(ConflictError):
    """Memory cannot be given back while views look at it."""


class ReleasedError(ConflictError):
    """Memory was given back already."""


class NoMemoryError(UnavailableError):
    """No room for `asked_bytes`."""

    def __init__(self, message: str, *, asked_bytes: int, where: str = "", cure: str = "") -> None:
        self.asked_bytes = asked_bytes
        super().__init__(message, where=where, cure=cure)


class TruncatedFileError(ModelFileError):
    """A file is shorter than what it is said to hold."""

    def __init__(self, where: str, *, expected_bytes: int, got_bytes: int) -> None:
        self.expected_bytes, self.got_bytes = expected_bytes, got_bytes
        cure = "copy or download it again"
        super().__init__(f"expected {expected_bytes} bytes, the file has {got_bytes}", where=where, cure=cure)


class ChangedFileError(ModelFileError):
    """A mapped file is another one now, or has another size."""
