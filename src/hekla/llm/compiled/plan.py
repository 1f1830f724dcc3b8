"""Where everything of a model lies in its packed memory, decided before a byte is read.

    part       what
    matrices   panels, in the order a step reads them: layer by layer, then the head (a tied one is the embedding)
    vectors    norms and biases, f32

Two tables lead the kernels through it: `matrices` (`hekla.kernels.llm.matrices.COLUMNS`), and `vectors`, where each
norm begins, counted in floats (`hekla.kernels.llm.row_phases.ROLES`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import ModelFileError
from hekla.kernels.llm.panels import KINDS, LANES, NUMBERS, Kind, aligned, panel_layout
from hekla.kernels.llm.row_phases import ROLES
from hekla.kernels.llm.step import MATRIX_NAMES
from hekla.llm.awq import group_size
from hekla.llm.model_config import ModelConfig
from hekla.llm.tensors import Quantisation, StoredTensor

I64 = NDArray[np.int64]
LAYOUT_VERSION = 2  # of the packed memory: count it up when panels or the order of parts change


@dataclass(frozen=True, slots=True)
class PackedMatrix:
    """One matrix of the plan."""

    tensor: StoredTensor
    kind: Kind
    rows: I64  # which row of the tensor each packed row is; -1: zeros
    columns: I64 | None  # which input each packed input is, -1: zeros; None: as they are
    group: int
    first: int
    panel_bytes: int
    column: int  # of the output

    @property
    def inputs(self) -> int:
        """Inputs as packed."""
        return self.tensor.shape[1] if self.columns is None else len(self.columns)

    @property
    def panels(self) -> int:
        """Panels of 16 outputs."""
        return len(self.rows) // LANES

    @property
    def bytes(self) -> int:
        """Bytes of all panels."""
        return self.panels * self.panel_bytes


@dataclass(frozen=True, slots=True)
class PackedVector:
    """One norm, or a part of the biases of queries, keys and values."""

    tensor: StoredTensor
    order: I64  # as `PackedMatrix.rows`
    first: int  # in floats
    added: float


@dataclass(frozen=True, slots=True)
class PackPlan:
    """The plan. `matrices` are those that have bytes of their own; `table` has a row for each that a step uses."""

    matrices: tuple[PackedMatrix, ...]
    vectors: tuple[PackedVector, ...]
    table: I64
    vector_table: I64
    bytes: int

    @property
    def kinds(self) -> tuple[int, ...]:
        """Kinds of all matrices, in order."""
        return tuple(sorted({NUMBERS[m.kind.name] for m in self.matrices}))


def head_room(config: ModelConfig) -> int:
    """Return the columns a head gets: its width rounded up to whole vectors."""
    return -(-config.head_width // LANES) * LANES


class PlanWriter:
    """Gives tensors their places, one after the other."""

    def __init__(self, tensors: Mapping[str, StoredTensor]) -> None:
        self._tensors = tensors
        self.matrices: list[PackedMatrix] = []
        self.vectors: list[PackedVector] = []
        self.bytes = 0

    def tensor(self, name: str) -> StoredTensor:
        """Return a tensor. Errors: ModelFileError where it is missing."""
        try:
            return self._tensors[name]
        except KeyError:
            raise ModelFileError(f"the tensor {name!r} is missing") from None

    def matrix(
        self, name: str, column: int, rows: I64, columns: I64 | None = None, kind: Kind | None = None
    ) -> PackedMatrix:
        """Place a matrix; kind: what it becomes, where it does not stay as it is stored."""
        tensor = self.tensor(name)
        group = group_size(tensor) if tensor.quantisation is Quantisation.AWQ4 else 32
        if kind is None:
            kind = KINDS[NUMBERS[tensor.quantisation.name]]
        if columns is not None or group % 32 or group & (group - 1):
            kind = KINDS[NUMBERS["F32"]]  # moved inputs cut blocks apart (odd widths of heads do), and so do odd groups
        inputs = tensor.shape[1] if columns is None else len(columns)
        layout = panel_layout(kind, inputs, group)
        made = PackedMatrix(tensor, kind, rows, columns, group, self.bytes, layout.bytes, column)
        self.matrices.append(made)
        self.bytes += aligned(made.bytes)
        return made

    def vector(self, name: str, order: I64, added: float = 0.0) -> int:
        """Place a vector, or a table of floats, and return its first float."""
        return self.side_by_side([(name, order)], added)

    def side_by_side(self, parts: Sequence[tuple[str, I64]], added: float = 0.0) -> int:
        """Place vectors without gaps and return the first's first float."""
        first = at = self.bytes // 4
        for name, order in parts:
            self.vectors.append(PackedVector(self.tensor(name), order, at, added))
            at += len(order)
        self.bytes = aligned(4 * at)
        return first

    def plan(self, rows: Sequence[int], vector_table: I64) -> PackPlan:
        """Return the plan; rows: which of the matrices each row of the table is."""
        table = np.array([_row(m) for m in self.matrices], np.int64)[list(rows)]
        return PackPlan(tuple(self.matrices), tuple(self.vectors), table, vector_table, self.bytes)


class Planner:
    """Makes the plan of a decoder."""

    def __init__(self, config: ModelConfig, tensors: Mapping[str, StoredTensor]) -> None:
        self._config, self._writer = config, PlanWriter(tensors)

    def plan(self) -> PackPlan:
        """Return the plan. Errors: ModelFileError naming a tensor that is missing."""
        config, writer = self._config, self._writer
        for layer in range(len(config.layers)):
            column = 0
            for name in MATRIX_NAMES:
                column = 0 if name in ("attn_q", "attn_output", "ffn_gate", "ffn_down") else column
                rows, columns = self._order(layer, name)
                column += len(writer.matrix(f"blk.{layer}.{name}.weight", column, rows, columns).rows)
        embedding = len(writer.matrices)
        writer.matrix("token_embd.weight", 0, padded(config.vocabulary_tokens))
        numbers = [*range(embedding), embedding, embedding]
        if not config.is_head_tied:
            writer.matrix("output.weight", 0, padded(config.vocabulary_tokens))
            numbers[embedding] += 1
        return writer.plan(numbers, self._vector_table())

    def _order(self, layer: int, name: str) -> tuple[I64, I64 | None]:
        """Return rows and columns of a layer's matrix: heads padded, pairs that turn brought apart."""
        config = self._config
        if name in ("attn_q", "attn_k", "attn_v"):
            heads = config.heads if name == "attn_q" else config.kv_heads
            return head_rows(config, layer, heads, is_turned=name != "attn_v"), None
        if name == "attn_output":
            columns = head_rows(config, layer, config.heads, is_turned=False)
            is_plain = len(columns) == config.heads * config.head_width
            return padded(config.width), None if is_plain else columns
        return padded(config.width if name == "ffn_down" else config.feed_forward_width), None

    def _vector_table(self) -> I64:
        config = self._config
        added = 1.0 if config.is_norm_plus_one else 0.0
        table = np.full((len(config.layers) + 1, len(ROLES)), -1, np.int64)
        for layer in range(len(config.layers)):
            for role, name in enumerate(ROLES):
                if name == "qkv_bias":
                    if config.has_qkv_bias:
                        table[layer, role] = self._biases(layer)
                    continue
                order = np.arange(config.width)
                if name in ("attn_q_norm", "attn_k_norm"):
                    if not config.has_qk_norm:
                        continue
                    order = head_rows(config, layer, 1, is_turned=True)[: config.head_width]
                elif name.startswith("post_") and not config.has_post_norms:
                    continue
                table[layer, role] = self._writer.vector(f"blk.{layer}.{name}.weight", order, added)
        table[-1, 0] = self._writer.vector("output_norm.weight", np.arange(config.width), added)
        return table

    def _biases(self, layer: int) -> int:
        """Place the biases of queries, keys and values as their columns stand."""
        config = self._config
        heads = (("attn_q", config.heads), ("attn_k", config.kv_heads), ("attn_v", config.kv_heads))
        return self._writer.side_by_side(
            [(f"blk.{layer}.{n}.bias", head_rows(config, layer, h, is_turned=n != "attn_v")) for n, h in heads]
        )


def head_rows(config: ModelConfig, layer: int, heads: int, *, is_turned: bool) -> I64:
    """Return which output each row of some heads is, -1 for padding.

    Pairs that lie side by side (GGUF's llama) are brought a half apart, so that one rotation serves all; scores of
    attention do not mind, because queries and keys are moved alike.
    """
    room, rotary = head_room(config), config.layers[layer].rotary
    order = np.full(room, -1, np.int64)
    order[: config.head_width] = np.arange(config.head_width)
    if is_turned and rotary.is_interleaved:
        turning = np.arange(rotary.dimensions)
        order[: rotary.dimensions] = np.concatenate([turning[0::2], turning[1::2]])
    heads_at = np.arange(heads)[:, None] * config.head_width
    return np.where(order < 0, -1, order + heads_at).reshape(-1)


def padded(count: int) -> I64:
    """Return the rows of a matrix of so many, and -1 for what fills the last panel."""
    order = np.full(aligned(count * 4) // 4, -1, np.int64)
    order[:count] = np.arange(count)
    return order


def _row(matrix: PackedMatrix) -> list[int]:
    layout = panel_layout(matrix.kind, matrix.inputs, matrix.group)
    return [
        NUMBERS[matrix.kind.name], matrix.first, matrix.panels, matrix.inputs, matrix.panel_bytes,
        layout.high, layout.scales, (matrix.group // 32).bit_length() - 1, matrix.column,
    ]  # fmt: skip
