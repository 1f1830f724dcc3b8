"""The seam between whatever computes tensors from tensors and whatever wants them.

A tensor engine answers in one call, so its state machine has one step: `run`. (Token streams, which need `submit`,
`step` and `cancel`, are another seam.) The reasons are in docs/adr/0002-tensor-engines-answer-in-one-call.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hekla.protocols.tensor import Tensors, TensorSpec


class Cancellation:
    """A one-way switch that the caller of `run` may throw from any thread, at most once to effect."""

    __slots__ = ("_is_set", "_on_set")

    def __init__(self) -> None:
        self._is_set = False
        self._on_set: Callable[[], None] | None = None

    @property
    def is_set(self) -> bool:
        """True once `set` was called."""
        return self._is_set

    def set(self) -> None:
        """Ask the running call to stop. Never waits; a second call does nothing."""
        if not self._is_set:
            self._is_set = True
            if self._on_set is not None:
                self._on_set()

    def on_set(self, stop: Callable[[], None]) -> None:
        """Register what an engine does when asked to stop; called at once if that has happened already."""
        self._on_set = stop
        if self._is_set:
            stop()


@dataclass(frozen=True, slots=True)
class EngineSource:
    """What an engine is made from: one version of one model in a repository."""

    model: str
    version: int
    folder: Path  # the version's folder; engines read only below it
    inputs: tuple[TensorSpec, ...] = ()  # as declared in model.toml; () where the model's file says them
    outputs: tuple[TensorSpec, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)  # the [engine] table less `kind`
    threads: int = 1  # for one `run`; several instances each get as many
    code_folders: tuple[Path, ...] = ()  # where the operator allows an engine to execute code from; nowhere else
    where: str = ""  # how errors name the model.toml this came from


class Engine(Protocol):
    """Tensors in, tensors out. One `run` at a time per engine; more parallelism is more engines.

    After an error the engine is as it was before the call, unless the error is UnavailableError: then it is
    dead and must be closed.
    """

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What `run` takes. Never changes."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What `run` can answer. Never changes. Every output of a batchable engine has a batch axis."""

    @property
    def may_block(self) -> bool:
        """True if a `run` may wait for something other than this CPU: then it never runs on an event loop."""

    def run(self, inputs: Tensors, outputs: Sequence[str] = (), cancellation: Cancellation | None = None) -> Tensors:
        """Return the outputs named (all of them for ()), computed from the inputs.

        Inputs are only read, and may be views of memory that is reused after the call. What is returned
        belongs to the caller. The caller has checked names, dtypes and shapes against `inputs`.
        Errors: EngineError if the computation failed; InputError if it failed because of the values given;
        CancelledError if it stopped because it was asked to; UnavailableError if the engine is dead.
        """

    def close(self) -> None:
        """Free everything. May wait for a running call to stop. A second call does nothing."""


class EngineLoader(Protocol):
    """Makes engines. Registered by name in the entry-point group `hekla.engines`."""

    def __call__(self, source: EngineSource) -> Engine:
        """Return a ready engine.

        Errors: ConfigError for an option that is wrong; ModelFileError for files that are damaged, unsafe or
        do not do what the declared inputs and outputs say.
        """
