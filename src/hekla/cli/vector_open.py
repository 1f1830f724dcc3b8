"""Opening collections for commands: reading works beside a writer, writing says who holds the lock."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hekla.vector import Collection

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The collection's folder.", show_default=False)]


def reading(folder: Path) -> "Collection":
    """Return a collection as it stands on disk now. Errors: NotFoundError; DamagedError."""
    from hekla.vector import Collection

    return Collection.open(folder, is_read_only=True)


def writing(folder: Path, *, has_upkeep: bool = True) -> "Collection":
    """Return a collection to write to. Errors: LockedError with the cure; NotFoundError; DamagedError; DiskError."""
    from hekla.vector import Collection, LockedError

    try:
        return Collection.open(folder, has_upkeep=has_upkeep)
    except LockedError as error:
        cure = "ask that server to do it, or stop the process first; `hekla vector info` and `search` work meanwhile"
        raise LockedError(error.message, where=error.where, cure=cure) from error
