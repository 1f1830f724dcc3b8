"""Every error a user can cause, in one tree.

HeklaError
├── InputError            the request is wrong: the caller can cure it by sending something else
│   ├── DtypeError        an array has another element type than its receiver states
│   ├── ShapeError        an array has another shape than its receiver states
│   └── TooLargeError     the request is over a stated limit
├── NotFoundError         the thing named is not here
├── DeniedError           the caller's key is not good for it
│   └── UnknownCallerError no key came, or one that nobody was given
├── ConflictError         the thing named is already here, or in use
├── ConfigError           a file or option the operator wrote is wrong
│   └── ModelFileError    a model's own files are damaged, unsafe or not what `model.toml` says
├── UnavailableError      known, but not ready to answer now
│   └── OverloadedError   its queue is full: come back after `retry_after_s`
├── DeadlineError         the time the caller allowed is over
├── CancelledError        the caller went away
├── UnsupportedError      asked for something this build does not do
└── EngineError           an engine failed while it computed: nobody's input is to blame

Fields first, message second. `where` names the user's place: a JSON path (`$.inputs[0].shape`), a file and key
(`models/ocr/model.toml: [batching].max_batch`), an option (`--port`). `cure` says what to do about it.
Which HTTP status and gRPC code each one gets is one table: `hekla.serve.status`.
"""

import difflib
from collections.abc import Iterable

_QUOTED_CHARACTERS = 100


class HeklaError(Exception):
    """Root of the tree: what was wrong, where, and the cure.

    shows_source: the text has several lines, those of the author's file that are wrong among them.
    """

    shows_source = False

    def __init__(self, message: str, *, where: str = "", cure: str = "") -> None:
        self.message, self.where, self.cure = message, where, cure
        super().__init__(message)

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}; {self.cure}" if self.cure else text


class InputError(HeklaError):
    """The request is wrong; the same request will fail again."""


class DtypeError(InputError):
    """An array does not have the element type its receiver states."""

    def __init__(self, where: str, *, expected: str, got: str) -> None:
        self.expected, self.got = expected, got
        super().__init__(f"expected datatype {expected}, got {got}", where=where)


class ShapeError(InputError):
    """An array does not have the shape its receiver states."""

    def __init__(self, where: str, *, expected: str, got: object) -> None:
        self.expected, self.got = expected, got
        super().__init__(f"expected shape {expected}, got {_shape_text(got)}", where=where)


class TooLargeError(InputError):
    """The request is over a stated limit."""

    def __init__(self, where: str, *, limit: str, got: str, cure: str = "") -> None:
        self.limit, self.got = limit, got
        super().__init__(f"the limit is {limit}, got {got}", where=where, cure=cure)


class NotFoundError(HeklaError):
    """The thing named is not here."""


class DeniedError(HeklaError):
    """The caller's key is not good for this."""


class UnknownCallerError(DeniedError):
    """No key came, or one that nobody was given."""


class ConflictError(HeklaError):
    """The thing named is already here, or in use."""


class ConfigError(HeklaError):
    """A file or option the operator wrote is wrong."""


class ModelFileError(ConfigError):
    """A model's own files are damaged, unsafe, or not what `model.toml` says."""


class UnavailableError(HeklaError):
    """Known, but not ready to answer now."""


class OverloadedError(UnavailableError):
    """A queue is full; the request was refused at once and cost nothing."""

    def __init__(self, message: str, *, retry_after_s: float, where: str = "", cure: str = "") -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message, where=where, cure=cure)


class DeadlineError(HeklaError):
    """The time the caller allowed is over."""


class CancelledError(HeklaError):
    """The caller went away or asked to stop."""


class UnsupportedError(HeklaError):
    """Asked for something this build does not do."""


class EngineError(HeklaError):
    """An engine failed while it computed."""


def quoted(value: object) -> str:
    """Return a value as an error quotes it: its repr, cut after 100 characters."""
    text = repr(value[:101] if isinstance(value, str | bytes) else value)
    return text if len(text) <= _QUOTED_CHARACTERS else f"{text[:_QUOTED_CHARACTERS]}..."


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return a cure naming the known name closest to a misspelled one, or listing the known ones."""
    names = sorted(known)
    # A name of megabytes is near to none, and finding that out would take minutes.
    close = difflib.get_close_matches(name, names, n=1) if len(name) <= _QUOTED_CHARACTERS else []
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(names)}" if names else "none is known"


def _shape_text(shape: object) -> str:
    return str(list(shape)) if isinstance(shape, tuple) else str(shape)
