"""Makes the runner that the options ask for, and tells beforehand how much memory it takes."""

from typing import Protocol

from hekla.kernels.llm.panels import NUMBERS
from hekla.llm.checks import TargetKinds, check_target
from hekla.llm.compiled.plan import Planner
from hekla.llm.compiled.runner import CompiledRunner
from hekla.llm.compiled.scratch import Scratch
from hekla.llm.compiled.shape import layer_tables, step_shape
from hekla.llm.dequantise import dequantised
from hekla.llm.model_file import ModelFile
from hekla.llm.options import LlmOptions
from hekla.llm.reference import KvType, ReferenceRunner
from hekla.llm.resources import RunnerSizes
from hekla.llm.runner import ModelRunner
from hekla.llm.tensors import Quantisation
from hekla.runtime import cpu_features

_REFERENCE_PAGE = 16
_COMPILED_PAGE = 64
_KV_BYTES = {"f32": 4, "f16": 2, "int8": 1}
_KV_TYPES: dict[str, KvType] = {"f32": "f32", "f16": "f16", "int8": "int8"}


class RunnerMaker(Protocol):
    """One model, not yet in memory."""

    def sizes(self) -> RunnerSizes:
        """Return what it will take."""

    def make(self, pages: int, adapter_bytes: int) -> ModelRunner:
        """Return it, ready. Errors: ModelFileError."""


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

    def make(self, pages: int, adapter_bytes: int) -> ModelRunner:
        """Return it, ready."""
        return ReferenceRunner(
            self._model.config,
            {name: dequantised(tensor) for name, tensor in self._model.tensors.items()},
            pages=pages,
            page_tokens=_REFERENCE_PAGE,
            max_step_tokens=self._options.max_step_tokens,
            kv_type=_KV_TYPES[self._options.kv_type],
        )


class CompiledMaker:
    """Weights as the file has them, laid out for the kernels; a step is one native call."""

    def __init__(self, model: ModelFile, options: LlmOptions, *, max_rows: int, threads: int = 0) -> None:
        self._model, self._options, self._max_rows, self._threads = model, options, max_rows, threads
        check_target(model.tensors, compiled_kinds(), model.name)

    def sizes(self) -> RunnerSizes:
        """Return what it will take."""
        config, options = self._model.config, self._options
        plan = Planner(config, self._model.tensors).plan()
        shape = step_shape(config, plan, page=_COMPILED_PAGE, kv=options.kv_type, is_exact=options.precision == "exact")
        _, frequencies = layer_tables(config)
        # memory that nobody touches costs nothing: it is made to be measured, and dropped
        scratch = Scratch.of(shape, options.max_step_tokens, self._max_rows, 2 * frequencies.size)
        vector = shape.head_room * _KV_BYTES[options.kv_type] + (4 if options.kv_type == "int8" else 0)
        return RunnerSizes(
            weight_bytes=plan.bytes,
            scratch_bytes=scratch.bytes,
            page_bytes=2 * len(config.layers) * config.kv_heads * _COMPILED_PAGE * vector,
            page_tokens=_COMPILED_PAGE,
        )

    def make(self, pages: int, adapter_bytes: int) -> ModelRunner:
        """Return it, ready. The first start of a model takes seconds, later ones tenths of a second."""
        options = self._options
        return CompiledRunner(
            self._model.config,
            self._model.tensors,
            kv_bytes=pages * self.sizes().page_bytes,
            files=[file.path for file in self._model.files],
            mapped=self._model.files,
            kv_type=_KV_TYPES[options.kv_type],
            precision="exact" if options.precision == "exact" else "quantised",
            page_tokens=_COMPILED_PAGE,
            max_step_tokens=options.max_step_tokens,
            max_logits_rows=self._max_rows,
            adapter_bytes=adapter_bytes,
            threads=self._threads,
        )


def runner_maker(model: ModelFile, options: LlmOptions, *, max_rows: int, threads: int = 0) -> RunnerMaker:
    """Return what makes the runner of a model, for steps of at most `max_rows` rows of logits.

    threads: that a step is computed with; 0: one for each processor that may be used.
    """
    if options.runner == "reference":
        return ReferenceMaker(model, options)
    return CompiledMaker(model, options, max_rows=max_rows, threads=threads)


def compiled_kinds() -> TargetKinds:
    """Return what the kernels compute with here. They are compiled for this very processor, whatever it can do."""
    cpu = cpu_features()
    name = f"{cpu.architecture} with vectors of {cpu.vector_bits} bits"
    return TargetKinds(name, frozenset(kind for kind in Quantisation if kind.name in NUMBERS))
