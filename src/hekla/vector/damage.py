"""Errors that damaged bytes cause where they are used, told as what they are.

Opening reads headers and tables, not what they describe: a flipped bit may first be met as an index past an end, or as
JSON that is none. Whoever reads catches that here; then every byte is compared with its checksum, and if any is wrong
the caller hears of the damage. If none is, the fault is ours and goes on as it was.
"""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from hekla.base.errors import HeklaError
from hekla.vector.errors import DamagedError


class Verifiable(Protocol):
    """What can say which of its bytes are damaged."""

    def verify(self) -> list[str]:
        """Read every byte and return what is damaged."""


S = TypeVar("S", bound=Verifiable)
P = ParamSpec("P")
R = TypeVar("R")


def telling_damage(read: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Return the method, raising DamagedError where it fails for what is on disk."""

    @wraps(read)
    def told(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return read(self, *args, **kwargs)
        except HeklaError:
            raise
        except (ArithmeticError, AssertionError, LookupError, MemoryError, ValueError) as error:
            damaged = self.verify()
            if not damaged:
                raise
            raise DamagedError(damaged[0], cure="restore the collection from a snapshot") from error

    return told
