"""Write small model folders: a `model.toml`, one version, an ONNX graph or a Python class."""

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper

# Opset and IR version old enough for every onnxruntime the project supports.
_OPSET, _IR = 17, 8

ONNX_TYPE = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}

Tensor = tuple[str, str, Sequence[int | str]]  # name, datatype, shape (a str is a free axis)


def write_onnx_model(
    repository: Path,
    name: str,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    *,
    initializers: Sequence[onnx.TensorProto] = (),
    toml: str = "",
    version: int = 1,
) -> Path:
    """Write one ONNX model and return its folder. `toml` follows the [engine] table."""
    folder = repository / name
    (folder / str(version)).mkdir(parents=True)
    (folder / "model.toml").write_text(f'[engine]\nkind = "onnxruntime"\n{toml}')
    graph = helper.make_graph(
        list(nodes),
        name,
        [helper.make_tensor_value_info(tensor, ONNX_TYPE[kind], list(shape)) for tensor, kind, shape in inputs],
        [helper.make_tensor_value_info(tensor, ONNX_TYPE[kind], list(shape)) for tensor, kind, shape in outputs],
        initializer=list(initializers),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    onnx.checker.check_model(model)
    onnx.save(model, str(folder / str(version) / "model.onnx"))
    return folder


def write_identity_model(
    repository: Path,
    name: str,
    kind: str,
    shape: Sequence[int | str] = ("n", "m"),
    toml: str = "",
    input_name: str = "INPUT0",
) -> Path:
    """Write a model that answers OUTPUT0 = its input."""
    return write_onnx_model(
        repository,
        name,
        [helper.make_node("Identity", [input_name], ["OUTPUT0"])],
        [(input_name, kind, shape)],
        [("OUTPUT0", kind, shape)],
        toml=toml,
    )


def write_python_model(repository: Path, name: str, code: str, toml: str, *, head: str = "") -> Path:
    """Write a model whose engine is the class `Model` in `model.py`; `head` precedes [engine], `toml` follows it."""
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    (folder / "model.toml").write_text(f'{head}[engine]\nkind = "python"\nclass = "model.py:Model"\n{toml}')
    (folder / "1" / "model.py").write_text(code)
    return folder


def tensor_tables(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> str:
    """Return the [[inputs]] and [[outputs]] tables of a model.toml; a free first axis named "n" is the batch axis."""
    lines: list[str] = []
    for kind, tensors in (("inputs", inputs), ("outputs", outputs)):
        for name, dtype, shape in tensors:
            extents = [extent if isinstance(extent, int) else -1 for extent in shape]
            lines += [f"[[{kind}]]", f'name = "{name}"', f'dtype = "{dtype}"', f"shape = {extents}"]
            if list(shape[:1]) == ["n"]:
                lines.append("batch_axis = 0")
    return "\n".join(lines) + "\n"
