"""Errors that show the user's frames and not ours: the message already points at the line that is wrong."""

import functools
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, TypeVar

from hekla.base.errors import HeklaError

P = ParamSpec("P")
R = TypeVar("R")
_OURS = str(Path(__file__).parent)


def no_frames_of_ours(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate what users call: a HeklaError leaves it without the frames below it. Other errors keep them: our faults.

    What caused the error (an exception in a @comptime function, say) keeps the frames of its author. One frame of this
    file remains, which Python adds as the error passes it; pytest leaves that out too.
    """

    @functools.wraps(function)
    def outermost(*given: P.args, **named: P.kwargs) -> R:
        __tracebackhide__ = True
        try:
            return function(*given, **named)
        except HeklaError as error:
            found = _shortened(error)
        try:
            raise found
        finally:
            del found  # else this frame and the error would keep each other, and the arguments, until a collection

    return outermost


def _shortened(error: HeklaError) -> HeklaError:
    """Cut our frames off an error and its causes, and hide exceptions that were only met on the way."""
    error.__suppress_context__ = True
    cause = error.__cause__
    while cause is not None:
        cause.__traceback__ = _without_ours(cause.__traceback__)
        cause = cause.__cause__
    return error.with_traceback(None)


def _without_ours(traceback: TracebackType | None) -> TracebackType | None:
    while traceback is not None and traceback.tb_frame.f_code.co_filename.startswith(_OURS):
        traceback = traceback.tb_next
    return traceback
