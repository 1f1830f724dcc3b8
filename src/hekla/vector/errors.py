"""What can go wrong with a collection.

HeklaError
├── InputError
│   └── PointError          a point, vector, payload or filter is wrong; `where` is its path in the request
├── ConflictError
│   └── LockedError         another process has the collection open for writing
└── UnavailableError
    ├── DiskError           the disk refused: full, read-only or broken; what was acknowledged stays
    └── DamagedError        bytes on disk are not those that were written; `where` names the file and the offset
"""

from hekla.base.errors import ConflictError, InputError, UnavailableError


class PointError(InputError):
    """A point, vector, payload or filter is wrong."""


class LockedError(ConflictError):
    """Another process has the collection open for writing."""


class DiskError(UnavailableError):
    """The disk refused to write; nothing of the batch was kept."""


class DamagedError(UnavailableError):
    """Bytes on disk are not those that were written."""
