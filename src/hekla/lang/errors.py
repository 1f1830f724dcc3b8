"""What a kernel's author can do wrong. Every error shows the author's line with a caret, and the cure.

HeklaError
├── KernelError                 the program is refused; `span` is the place in the author's file
│   ├── UnsupportedPythonError  a construct of Python that the language does not have
│   ├── KernelTypeError         types, shapes or constants do not fit together
│   ├── OwnershipError          use after move, two writers, a view that outlives its memory
│   ├── RaceError               iterations of a parallel loop were not shown to keep apart
│   ├── DeadlockError           threads were not shown to wait for each other in one order only
│   ├── VectorizeError          a loop under @vectorize stayed scalar; the message has the reason
│   └── TargetError             the program needs instructions that the target, or this machine, has not
├── InputError
│   └── ArgumentError           a kernel was called with the wrong arguments
└── EngineError
    ├── ActorStoppedError       a message to an actor that takes no more
    └── CheckError              a fault while a kernel ran (no memory, or a checked build's find) at `span`
"""

from collections.abc import Iterable

from hekla.base.errors import EngineError, HeklaError, InputError
from hekla.lang.source import Span

Note = tuple[str, Span]


class KernelError(HeklaError):
    """The program is refused."""

    shows_source = True

    def __init__(self, message: str, *, span: Span, cure: str = "", notes: Iterable[Note] = ()) -> None:
        super().__init__(message, where=str(span), cure=cure)
        self.span, self.notes = span, tuple(notes)

    @property
    def line(self) -> int:
        """The line of the author's file, from 1."""
        return self.span.line

    @property
    def column(self) -> int:
        """The column of the author's file, from 1."""
        return self.span.column

    def __str__(self) -> str:
        parts = [f"{self.span}: {self.message}", self.span.caret()]
        if self.cure:
            parts.append(f"  cure: {self.cure}")
        for text, span in self.notes:
            parts += [f"{span}: note: {text}", span.caret()]
        return "\n".join(parts)


class UnsupportedPythonError(KernelError):
    """A construct of Python that the language does not have."""


class KernelTypeError(KernelError):
    """Types, shapes or constants do not fit together."""


class OwnershipError(KernelError):
    """Use after move, two writers at once, or a view that outlives its memory."""


class RaceError(KernelError):
    """Iterations of a parallel loop were not shown to keep apart."""


class DeadlockError(KernelError):
    """Threads may wait for each other in a ring, or were not shown not to."""


class VectorizeError(KernelError):
    """A loop under @vectorize stayed scalar."""


class TargetError(KernelError):
    """The program needs instructions that the target, or this machine, has not."""


class ArgumentError(InputError):
    """A kernel was called with the wrong arguments."""


class ActorStoppedError(EngineError):
    """A message to an actor that was stopped."""


class CheckError(EngineError):
    """A fault while a kernel ran: no memory for a buffer, or what a checked build found."""

    shows_source = True

    def __init__(self, message: str, span: Span) -> None:
        super().__init__(message, where=str(span))
        self.span = span

    def __str__(self) -> str:
        return f"{self.span}: {self.message}\n{self.span.caret()}"
