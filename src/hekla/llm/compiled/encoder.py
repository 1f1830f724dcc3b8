"""The compiled encoder: sentences to vectors, all layers in one native call."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import InputError, TooLargeError
from hekla.kernels.llm.encode import encode
from hekla.kernels.threads import on_threads
from hekla.llm.compiled.encoder_plan import PAGE, encoder_plan, encoder_shape
from hekla.llm.compiled.scratch import zeros
from hekla.llm.compiled.store import WeightStore, packed_weights
from hekla.llm.families.bert import BertConfig
from hekla.llm.runner import F32, I32
from hekla.llm.tensors import StoredTensor
from hekla.runtime import MappedFile


class CompiledEncoder:
    """Encodes sentences. One thread at a time; a sentence's vector is the same alone and among others, to the bit.

    precision: "quantised" multiplies bytes (f32 and f16 weights become Q8_0), "exact" f32 by the weights as stored.
    files: the model's, whose packed weights are then kept in the store.
    mapped: the same as the tensors see them, whose pages are given back while they are packed.
    threads: that a call is computed with; 0: one for each processor that may be used.
    Errors: ModelFileError, UnsupportedError.
    """

    def __init__(
        self,
        config: BertConfig,
        tensors: Mapping[str, StoredTensor],
        *,
        files: Sequence[Path] = (),
        mapped: Sequence[MappedFile] = (),
        store: WeightStore | None = None,
        precision: Literal["quantised", "exact"] = "quantised",
        max_step_tokens: int = 1024,
        threads: int = 0,
    ) -> None:
        is_exact = precision == "exact"
        plan = encoder_plan(config, tensors, is_exact=is_exact)
        self._config = config
        self._step_tokens = max(max_step_tokens, config.context_tokens)
        self._weights = packed_weights(plan, files, store or WeightStore.standard(), mapped)
        self._shape = encoder_shape(config, plan, is_exact=is_exact)
        shape, rows = self._shape, self._step_tokens
        pages = rows // PAGE + rows  # each sentence begins a page, and has a token at least
        cache = [zeros(pages * shape.heads * PAGE * shape.head_room, np.float32) for _ in range(2)]
        blocks = rows * shape.stride // 32
        self._model = (
            *(self._weights.view(t) for t in (np.uint8, np.float16, ml_dtypes.bfloat16, np.float32)),
            plan.table,
            plan.vector_table,
        )
        self._memory = (
            *cache, np.zeros(0, np.float32), np.zeros(0, np.float32),
            zeros(rows * shape.width, np.float32), zeros(rows * shape.stride, np.float32),
            zeros(rows * shape.stride, np.int8), zeros(blocks, np.float32), zeros(blocks, np.float32),
            zeros(2 * blocks, np.float32), zeros(rows * shape.wide_stride, np.float32),
            zeros(rows * shape.delta_stride, np.float32), zeros(3 * rows, np.int32).reshape(-1, 3),
            zeros(rows, np.int32),
        )  # fmt: skip
        none = np.zeros(0, np.int32)
        given = self._arguments(none, none, np.zeros(1, np.int32), np.zeros((0, 1), np.int32), self._out(0))
        self._entry = on_threads(encode, threads).compiled_for(given, {"shape": shape}).entry

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._config.width

    @property
    def context_tokens(self) -> int:
        """The most tokens of one sentence."""
        return self._config.context_tokens

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights that are mapped or held."""
        return self._weights.nbytes

    def encode(self, sentences: Sequence[I32]) -> F32:
        """Return the vectors (n, dimensions) of sentences of tokens, in order; as many calls as they need.

        Errors: TooLargeError for a sentence over the context; InputError for an empty one, or an unknown token.
        """
        for number, sentence in enumerate(sentences):
            self._check(f"sentences[{number}]", sentence)
        out = self._out(len(sentences))
        first = 0
        while first < len(sentences):
            last, total = first, 0
            while last < len(sentences) and total + len(sentences[last]) <= self._step_tokens:
                total += len(sentences[last])
                last += 1
            self._encode(sentences[first:last], out[first:last])
            first = last
        return out

    def _encode(self, sentences: Sequence[I32], out: F32) -> None:
        lengths = np.array([len(s) for s in sentences])
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        tokens = np.concatenate(sentences).astype(np.int32)
        places = (np.arange(len(tokens)) - np.repeat(starts[:-1], lengths)).astype(np.int32)
        pages = -(-lengths // PAGE)
        table = np.cumsum(pages)[:, None] - pages[:, None] + np.arange(pages.max())
        self._entry(*self._arguments(tokens, places, starts, table.astype(np.int32), out))

    def _arguments(self, tokens: I32, places: I32, starts: I32, table: I32, out: F32) -> tuple[Any, ...]:  # Any: arrays
        return tokens, places, starts, table, *self._model, *self._memory, out

    def _out(self, count: int) -> NDArray[np.float32]:
        return np.zeros((count, self._config.width), np.float32)

    def _check(self, where: str, sentence: I32) -> None:
        if len(sentence) > self._config.context_tokens:
            raise TooLargeError(where, limit=f"{self._config.context_tokens} tokens", got=f"{len(sentence)}")
        if not len(sentence):
            raise InputError("a sentence of no tokens", where=where)
        if sentence.min() < 0 or sentence.max() >= self._config.vocabulary_tokens:
            raise InputError(f"a token is not one of the {self._config.vocabulary_tokens}", where=where)
