"""The compiled runner: a step of the whole model is one native call, in memory made beforehand."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import ml_dtypes
import numpy as np

from hekla.base.errors import ConfigError, EngineError, TooLargeError
from hekla.kernels.llm.sampling import NOT_FINITE, TOP
from hekla.kernels.llm.step import BATCH_FAULTS, step
from hekla.kernels.threads import on_threads
from hekla.llm.compiled.adapters import Adapters
from hekla.llm.compiled.plan import Planner
from hekla.llm.compiled.scratch import Scratch, zeros
from hekla.llm.compiled.shape import layer_tables, step_shape
from hekla.llm.compiled.store import WeightStore, packed_weights
from hekla.llm.model_config import ModelConfig
from hekla.llm.runner import F32, LoraDelta, SamplingRows, StepBatch, StepResult
from hekla.llm.tensors import StoredTensor
from hekla.runtime import MappedFile

KvType = Literal["f32", "f16", "int8"]
Precision = Literal["quantised", "exact"]
KV_DTYPES: Mapping[str, type[np.generic]] = {"f32": np.float32, "f16": np.float16, "int8": np.int8}
ADAPTER_BYTES = 1 << 30


class CompiledRunner:
    """A `ModelRunner`: `hekla.llm.runner` says what its methods promise.

    kv_bytes: the budget of the pages, which are as many as fit.
    precision: "quantised" multiplies bytes; "exact" f32 by what the stored weights mean, some times as slow.
    files: the model's, whose packed weights are then kept in the store; none: they are packed at each start.
    threads: that a step is computed with; 0: one for each processor that may be used.
    mapped: the same as the tensors see them, whose pages are given back while they are packed.
    Cost: the first start of a model packs and compiles (seconds), later ones map both (tenths of a second).
    Errors: ModelFileError for a missing tensor; TooLargeError where not one page fits the budget.
    """

    def __init__(
        self,
        config: ModelConfig,
        tensors: Mapping[str, StoredTensor],
        *,
        kv_bytes: int,
        files: Sequence[Path] = (),
        mapped: Sequence[MappedFile] = (),
        store: WeightStore | None = None,
        kv_type: KvType = "f16",
        precision: Precision = "quantised",
        page_tokens: int = 64,
        max_step_tokens: int = 512,
        max_logits_rows: int = 64,
        adapter_bytes: int = ADAPTER_BYTES,
        threads: int = 0,
    ) -> None:
        if page_tokens < 16 or page_tokens & (page_tokens - 1):
            raise ConfigError(f"page_tokens is a power of two from 16 up, got {page_tokens}")
        plan = Planner(config, tensors).plan()
        self._config, self._page_tokens = config, page_tokens
        self._max_step_tokens, self._max_logits_rows = max_step_tokens, max_logits_rows
        self._weights = packed_weights(plan, files, store or WeightStore.standard(), mapped)
        self._shape = step_shape(config, plan, page=page_tokens, kv=kv_type, is_exact=precision == "exact")
        layers, frequencies = layer_tables(config)
        self._scratch = Scratch.of(self._shape, max_step_tokens, max_logits_rows, 2 * frequencies.size)
        self._adapters = Adapters(plan, adapter_bytes)
        self._pages = self._make_pages(kv_type, kv_bytes)
        self._results = (
            zeros(max_logits_rows, np.int32),
            zeros(max_logits_rows, np.float32),
            zeros(max_logits_rows * TOP, np.int32).reshape(-1, TOP),
            zeros(max_logits_rows * TOP, np.float32).reshape(-1, TOP),
            zeros(max_logits_rows, np.int32),
            np.zeros(2, np.uint64),
        )
        self._rows = 0
        self._saved = np.zeros(1 << 16, np.float32)
        self._no_mask = np.zeros((1, 1), np.uint32)
        views = [self._weights.view(t) for t in (np.uint8, np.float16, ml_dtypes.bfloat16, np.float32)]
        self._model = (*views, plan.table, plan.vector_table, layers, frequencies)
        scratch = self._scratch
        self._memory = (
            self._keys.reshape(-1), self._key_scales.reshape(-1), self._values.reshape(-1),
            self._value_scales.reshape(-1), self._pages,
            *(getattr(scratch, name) for name in scratch.__slots__),
        )  # fmt: skip
        # what the step is compiled for: the kernel's entry skips all choosing at each call
        self._entry = on_threads(step, threads).compiled_for(self._arguments(_no_batch()), {"shape": self._shape}).entry

    def _make_pages(self, kv_type: KvType, budget_bytes: int) -> int:
        """Make as many pages as fit the budget and return their number."""
        shape, dtype = self._shape, np.dtype(KV_DTYPES[kv_type])
        layers = len(self._config.layers)
        positions = layers * shape.kv_heads * self._page_tokens  # of one page
        scaled = 4 if kv_type == "int8" else 0
        page_bytes = 2 * positions * (shape.head_room * dtype.itemsize + scaled)
        pages = budget_bytes // page_bytes
        if pages < 1:
            raise TooLargeError("one page of keys and values", limit=f"{budget_bytes} bytes", got=f"{page_bytes} bytes")
        dimensions = (pages, layers, shape.kv_heads * self._page_tokens)
        count = pages * positions
        self._keys, self._values = (
            zeros(count * shape.head_room, dtype.type).reshape(*dimensions, shape.head_room) for _ in range(2)
        )
        self._key_scales, self._value_scales = (
            zeros(count if scaled else 0, np.float32).reshape(dimensions if scaled else (0,)) for _ in range(2)
        )
        return pages

    @property
    def page_tokens(self) -> int:
        """Positions that one page holds, for all layers."""
        return self._page_tokens

    @property
    def pages(self) -> int:
        """How many pages the budget gave."""
        return self._pages

    @property
    def max_step_tokens(self) -> int:
        """The most tokens of one step."""
        return self._max_step_tokens

    @property
    def max_logits_rows(self) -> int:
        """The most rows of logits of one step."""
        return self._max_logits_rows

    @property
    def vocabulary_tokens(self) -> int:
        """Length of a row of logits."""
        return self._config.vocabulary_tokens

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights that are mapped or held."""
        return self._weights.nbytes + self._adapters.values.nbytes

    @property
    def kv_bytes(self) -> int:
        """Bytes of all pages."""
        return self._keys.nbytes + self._values.nbytes + self._key_scales.nbytes + self._value_scales.nbytes

    @property
    def scratch_bytes(self) -> int:
        """Bytes of the memory steps work in."""
        return self._scratch.bytes

    def step(self, batch: StepBatch) -> StepResult:
        """Compute a step; see `ModelRunner.step`. Errors: EngineError for a batch that leads outside of the memory."""
        rows = len(batch.logits_rows)
        if len(batch.tokens) > self._max_step_tokens or rows > self._max_logits_rows:
            raise EngineError(
                f"a step of {len(batch.tokens)} tokens and {rows} rows of logits, where memory was made for "
                f"{self._max_step_tokens} and {self._max_logits_rows}"
            )
        began = time.perf_counter()
        fault = self._entry(*self._arguments(batch))
        took = time.perf_counter() - began
        if fault:
            raise EngineError(f"a batch that cannot be computed: {BATCH_FAULTS[fault]}")
        tokens, logprobs, top_tokens, top_logprobs, status, clock = self._results
        self._rows = rows
        if status[:rows].any():
            row = int(np.flatnonzero(status[:rows])[0])
            if status[row] == NOT_FINITE:
                raise EngineError(f"the logits of row {row} are not finite")
            raise EngineError(f"the mask of row {row} allows no token")
        forward, sample = int(clock[0]), int(clock[1])
        share = sample / (forward + sample) if forward + sample else 0.0
        return StepResult(
            tokens[:rows], logprobs[:rows], top_tokens[:rows], top_logprobs[:rows], took * (1 - share), took * share
        )

    def _arguments(self, batch: StepBatch) -> tuple[Any, ...]:  # Any: arrays of several types, and the number of pages
        s = batch.sampling
        if len(s.seen_token) > len(self._saved):
            self._saved = np.zeros(2 * len(s.seen_token), np.float32)
        return (
            batch.tokens, batch.positions, batch.sequence_start, batch.page_table, batch.logits_rows, batch.adapter,
            *self._model, self._adapters.values, self._adapters.table, *self._memory,
            s.temperature, s.top_k, s.top_p, s.min_p, s.repetition, s.presence, s.frequency, s.random,
            s.seen_start, s.seen_token, s.seen_prompt_or_answer, s.seen_count, s.seen_bias,
            s.mask if s.mask.size else self._no_mask, s.has_mask, s.logprobs, self._saved, *self._results,
        )  # fmt: skip

    def logits(self) -> F32:
        """Return the logits of the last step (r, vocabulary_tokens), before penalties; valid until the next."""
        rows = self._scratch.logits.reshape(self._max_logits_rows, -1)
        return rows[: self._rows, : self.vocabulary_tokens]

    def copy_page(self, source: int, target: int) -> None:
        """Copy one page, all layers: copy-on-write."""
        for array in (self._keys, self._values, self._key_scales, self._value_scales):
            if array.size:
                array[target] = array[source]

    def load_adapter(self, slot: int, deltas: Sequence[LoraDelta]) -> None:
        """Hold a LoRA adapter in a slot. Errors: TooLargeError past the memory allowed; ModelFileError."""
        self._adapters.load(slot, deltas)

    def unload_adapter(self, slot: int) -> None:
        """Empty a slot."""
        self._adapters.unload(slot)

    def close(self) -> None:
        """Free everything; a step after it has no meaning."""
        self._memory = self._model = ()
        self._keys = self._values = self._keys[:0].copy()
        self._key_scales = self._value_scales = np.zeros(0, np.float32)
        self._weights = np.zeros(0, np.uint8)
        self._scratch = Scratch.of(self._shape, 0, 0, 0)


def _no_batch() -> StepBatch:
    """Return a batch of nothing: what types a step's arguments have."""
    none_i, none_f = np.zeros(0, np.int32), np.zeros(0, np.float32)
    sampling = SamplingRows(
        none_f, none_i, none_f, none_f, none_f, none_f, none_f, none_f,
        np.zeros(1, np.int32), none_i, none_i, none_i, none_f, np.zeros((0, 0), np.uint32), none_i, none_i,
    )  # fmt: skip
    return StepBatch(none_i, none_i, np.zeros(1, np.int32), np.zeros((0, 1), np.int32), none_i, none_i, sampling)
