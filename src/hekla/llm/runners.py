"""Makes the runner that the options ask for, and tells beforehand how much memory it takes."""

from typing import Protocol

from hekla.base.errors import UnsupportedError
from hekla.llm.dequantise import dequantised
from hekla.llm.model_file import ModelFile
from hekla.llm.options import LlmOptions
from hekla.llm.reference import KvType, ReferenceRunner
from hekla.llm.resources import RunnerSizes
from hekla.llm.runner import ModelRunner

_REFERENCE_PAGE = 16
_KV_BYTES = {"f32": 4, "f16": 2, "int8": 1}


class RunnerMaker(Protocol):
    """One model, not yet in memory."""

    def sizes(self) -> RunnerSizes:
        """Return what it will take."""

    def make(self, pages: int) -> ModelRunner:
        """Return it, ready. Errors: ModelFileError, UnsupportedError."""


class ReferenceMaker:
    """Weights in f32, everything in NumPy."""

    def __init__(self, model: ModelFile, options: LlmOptions) -> None:
        self._model, self._options = model, options

    def sizes(self) -> RunnerSizes:
        """Return what it will take."""
        config = self._model.config
        numbers = 2 * len(config.layers) * config.kv_heads * _REFERENCE_PAGE
        scales = 4 * numbers if self._options.kv_type == "int8" else 0
        return RunnerSizes(
            weight_bytes=4 * self._model.parameters,
            scratch_bytes=4 * self._options.max_step_tokens * (config.vocabulary_tokens + config.width),
            page_bytes=numbers * config.head_width * _KV_BYTES[self._options.kv_type] + scales,
            page_tokens=_REFERENCE_PAGE,
        )

    def make(self, pages: int) -> ModelRunner:
        """Return it, ready."""
        kv_types: dict[str, KvType] = {"f32": "f32", "f16": "f16", "int8": "int8"}
        return ReferenceRunner(
            self._model.config,
            {name: dequantised(tensor) for name, tensor in self._model.tensors.items()},
            pages=pages,
            page_tokens=_REFERENCE_PAGE,
            max_step_tokens=self._options.max_step_tokens,
            kv_type=kv_types[self._options.kv_type],
        )


def runner_maker(model: ModelFile, options: LlmOptions, threads: int) -> RunnerMaker:
    """Return what makes the runner of a model. Errors: UnsupportedError."""
    if options.runner == "reference":
        return ReferenceMaker(model, options)
    raise UnsupportedError("the compiled runner is not in this build", cure='set runner = "reference"')
