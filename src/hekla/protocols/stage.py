"""The seam between a pipeline and the steps a task adds around its engine.

A pipeline has four stages: load (bytes to values), preprocess, infer, postprocess. Infer is an `Engine`; the other
three are `Stage`s. A stage sees one request, never a batch.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hekla.protocols.tensor import TensorSpec

# What flows between stages: arrays for the engine, anything else (a decoded image, a scale) carried past it.
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StageSource:
    """What a stage is made from."""

    model: str
    folder: Path  # the version's folder: vocabularies and the like are read below it
    options: Mapping[str, object]  # the stage's table in model.toml less `stage`
    where: str = ""  # how errors name that table


class Stage(Protocol):
    """A step of one request. Called from several threads at once: it keeps no state of its own."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What the stage reads from the values that reach it. () where it takes what comes."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The tensors it answers that a client may see. () where only the next stage does."""

    def run(self, values: Values, state: MutableMapping[str, Any]) -> Values:
        """Return the values the next stage gets, those passed through included.

        `state` lives as long as the request's sequence (correlation id); for a request outside any sequence it is
        empty and forgotten. Errors: InputError naming the input for bad input; anything else is a fault of the stage.
        """


class StageLoader(Protocol):
    """Makes stages. Registered by name in the entry-point group `hekla.stages`."""

    def __call__(self, source: StageSource) -> Stage:
        """Return a ready stage. Errors: ConfigError for a wrong option; ModelFileError for a damaged file."""
