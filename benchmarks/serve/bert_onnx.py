"""A BERT sentence encoder's safetensors as an ONNX graph, without torch; the weights stay in the safetensors file.

The graph's initialisers name byte ranges of `model.safetensors` as ONNX external data, which ONNX Runtime maps. A
linear layer is stored (out, in), and Gemm with transB takes it so. Mean pooling over the mask and the division by the
L2 norm are in the graph: ids in, unit vectors out. Other layouts were measured: docs/adr/0007.

Source: Devlin et al., arXiv:1810.04805; layer names as in the published checkpoints; pooling as in Reimers and
Gurevych, arXiv:1908.10084.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.serve.onnx_graph import OPSET, GraphWriter
from benchmarks.serve.safetensors_file import StoredTensor, stored_tensors
from hekla.base.errors import ModelFileError

WEIGHTS, CONFIG, GRAPH = "model.safetensors", "config.json", "model.onnx"
_MASKED = -3.4028234663852886e38  # the least f32: after softmax exactly 0, and a row that is all masked is no NaN


@dataclass(frozen=True, slots=True)
class BertShape:
    """What config.json says about the network, by the names it uses."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int
    layer_norm_eps: float

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_attention_heads


def write_bert(folder: Path) -> tuple[str, ...]:
    """Write model.onnx beside a folder's config.json and model.safetensors; return the names of the files written.

    Graph: input_ids, attention_mask INT64 (batch, seq) -> embedding FP32 (batch, hidden), rows of length 1; a row
    whose mask is all 0 gives zeros. Token types are all 0, as sentence encoders are fed.
    Errors: ModelFileError for a config that is not such a BERT's, and for a tensor that is missing or has another
    shape or dtype than the config asks; UnavailableError without the onnx package.
    """
    shape = read_shape(folder / CONFIG)
    stored = stored_tensors(folder / WEIGHTS)
    check_tensors(shape, stored, str(folder / WEIGHTS))
    (folder / GRAPH).write_bytes(_BertGraph(shape, stored).write())
    return (GRAPH,)


def read_shape(path: Path) -> BertShape:
    """Return the network's shape. Errors: ModelFileError naming the key."""
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFileError(f"cannot be read ({error})", where=str(path)) from None
    fixed = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
    for key, want in fixed.items():
        if (got := config.get(key, want)) != want:
            raise ModelFileError(f"expected {want!r}, got {got!r}", where=f"{path}: {key}", cure=_ONLY)
    found: dict[str, Any] = {}  # Any: whole numbers and one that is not, checked below
    for field in fields(BertShape):
        value = config.get(field.name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise ModelFileError(f"expected a number above 0, got {value!r}", where=f"{path}: {field.name}")
        if field.type is int and not isinstance(value, int):
            raise ModelFileError(f"expected a whole number, got {value!r}", where=f"{path}: {field.name}")
        found[field.name] = value
    shape = BertShape(**found)
    if shape.hidden_size % shape.num_attention_heads:
        raise ModelFileError(
            f"{shape.hidden_size} does not divide into {shape.num_attention_heads} heads",
            where=f"{path}: hidden_size",
        )
    return shape


_ONLY = "this importer writes BERT encoders with GELU and absolute positions only"


def expected_tensors(shape: BertShape) -> dict[str, tuple[int, ...]]:
    """Return the tensors the graph reads and their shapes."""
    wide, inner = shape.hidden_size, shape.intermediate_size
    found: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (shape.vocab_size, wide),
        "embeddings.position_embeddings.weight": (shape.max_position_embeddings, wide),
        "embeddings.token_type_embeddings.weight": (shape.type_vocab_size, wide),
    }
    linear = {
        "attention.self.query": (wide, wide),
        "attention.self.key": (wide, wide),
        "attention.self.value": (wide, wide),
        "attention.output.dense": (wide, wide),
        "intermediate.dense": (inner, wide),
        "output.dense": (wide, inner),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(shape.num_hidden_layers):
        for name, (out, into) in linear.items():
            found[f"encoder.layer.{layer}.{name}.weight"] = (out, into)
            found[f"encoder.layer.{layer}.{name}.bias"] = (out,)
        norms += [f"encoder.layer.{layer}.{part}.LayerNorm" for part in ("attention.output", "output")]
    return found | {f"{norm}.{part}": (wide,) for norm in norms for part in ("weight", "bias")}


def check_tensors(shape: BertShape, stored: Mapping[str, StoredTensor], where: str) -> None:
    """Refuse weights that are not what the config says. Errors: ModelFileError naming the first such tensor."""
    for name, want in expected_tensors(shape).items():
        got = stored.get(name)
        if got is None:
            raise ModelFileError(f"tensor {name!r} is missing", where=where, cure="is this config.json its own?")
        if got.shape != want:
            raise ModelFileError(
                f"tensor {name!r}: config.json asks for shape {list(want)}, the file has {list(got.shape)}", where=where
            )
        if got.dtype != "F32":
            raise ModelFileError(f"tensor {name!r}: expected F32, got {got.dtype}", where=where)


class _BertGraph:
    """Writes the graph top to bottom. Hidden states are (batch * seq, hidden) f32, so that every linear is one Gemm."""

    def __init__(self, shape: BertShape, stored: Mapping[str, StoredTensor]) -> None:
        self._shape, self._stored = shape, stored
        self._graph = GraphWriter("bert")

    def write(self) -> bytes:
        graph, shape = self._graph, self._shape
        graph.input("input_ids", "INT64", ("batch", "seq"))
        graph.input("attention_mask", "INT64", ("batch", "seq"))
        extent = graph.add("Shape", "input_ids")  # (2,) i64
        self._batch = graph.add("Slice", extent, graph.ints(0), graph.ints(1))
        self._seq = graph.add("Slice", extent, graph.ints(1), graph.ints(2))
        self._heads = graph.add(
            "Concat", self._batch, self._seq, graph.ints(shape.num_attention_heads, shape.head_size), axis=0
        )
        mask = graph.add("Cast", "attention_mask", to="FLOAT")  # (batch, seq) f32
        outside = graph.add("Sub", graph.number(1.0), graph.add("Unsqueeze", mask, graph.ints(1, 2)))
        bias = graph.add("Mul", outside, graph.number(_MASKED))  # (batch, 1, 1, seq) f32
        hidden = self._embeddings()
        for layer in range(shape.num_hidden_layers):
            hidden = self._layer(f"encoder.layer.{layer}", hidden, bias)
        self._pool(hidden, mask)
        graph.output("embedding", "FLOAT", ("batch", shape.hidden_size))
        return graph.serialised(opset=OPSET)

    def _weight(self, name: str, rows: slice | None = None) -> str:
        """Name the bytes of a tensor, or of some of its rows, in the safetensors file."""
        tensor = self._stored[name]
        if rows is None:
            return self._graph.stored(name, WEIGHTS, tensor.shape, tensor.offset, tensor.nbytes)
        row = tensor.nbytes // tensor.shape[0]
        extent = (rows.stop - rows.start, *tensor.shape[1:])
        return self._graph.stored(
            f"{name}[{rows.start}]", WEIGHTS, extent, tensor.offset + rows.start * row, extent[0] * row
        )

    def _normalised(self, name: str, hidden: str) -> str:
        weight, bias = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return self._graph.add("LayerNormalization", hidden, weight, bias, axis=-1, epsilon=self._shape.layer_norm_eps)

    def _linear(self, name: str, hidden: str) -> str:
        return self._graph.add("Gemm", hidden, self._weight(f"{name}.weight"), self._weight(f"{name}.bias"), transB=1)

    def _embeddings(self) -> str:
        graph, zero = self._graph, self._graph.ints(0)
        words = graph.add("Gather", self._weight("embeddings.word_embeddings.weight"), "input_ids")
        positions = graph.add("Slice", self._weight("embeddings.position_embeddings.weight"), zero, self._seq, zero)
        kind = self._weight("embeddings.token_type_embeddings.weight", slice(0, 1))
        total = graph.add("Add", words, graph.add("Add", positions, kind))  # (batch, seq, hidden) f32
        flat = graph.add("Reshape", total, graph.ints(-1, self._shape.hidden_size))
        return self._normalised("embeddings.LayerNorm", flat)

    def _layer(self, name: str, hidden: str, bias: str) -> str:
        graph = self._graph
        mixed = self._linear(f"{name}.attention.output.dense", self._attention(f"{name}.attention.self", hidden, bias))
        hidden = self._normalised(f"{name}.attention.output.LayerNorm", graph.add("Add", mixed, hidden))
        inner = graph.add("Gelu", self._linear(f"{name}.intermediate.dense", hidden))
        outer = self._linear(f"{name}.output.dense", inner)
        return self._normalised(f"{name}.output.LayerNorm", graph.add("Add", outer, hidden))

    def _attention(self, name: str, hidden: str, bias: str) -> str:
        graph = self._graph

        def heads(part: str, perm: list[int]) -> str:
            split = graph.add("Reshape", self._linear(f"{name}.{part}", hidden), self._heads)
            return graph.add("Transpose", split, perm=perm)

        query = heads("query", [0, 2, 1, 3])  # (batch, heads, seq, head) f32
        key = heads("key", [0, 2, 3, 1])  # (batch, heads, head, seq) f32
        value = heads("value", [0, 2, 1, 3])
        scores = graph.add("Div", graph.add("MatMul", query, key), graph.number(self._shape.head_size**0.5))
        weights = graph.add("Softmax", graph.add("Add", scores, bias), axis=-1)
        mixed = graph.add("Transpose", graph.add("MatMul", weights, value), perm=[0, 2, 1, 3])
        return graph.add("Reshape", mixed, graph.ints(-1, self._shape.hidden_size))

    def _pool(self, hidden: str, mask: str) -> None:
        graph, one = self._graph, self._graph.ints(1)
        extent = graph.add("Concat", self._batch, self._seq, graph.ints(self._shape.hidden_size), axis=0)
        states = graph.add("Reshape", hidden, extent)  # (batch, seq, hidden) f32
        total = graph.add("Squeeze", graph.add("MatMul", graph.add("Unsqueeze", mask, one), states), one)
        count = graph.add("Max", graph.add("ReduceSum", mask, one, keepdims=1), graph.number(1e-9))
        mean = graph.add("Div", total, count)
        norm = graph.add("Max", graph.add("ReduceL2", mean, one, keepdims=1), graph.number(1e-12))
        graph.add("Div", mean, norm, to_name="embedding")
