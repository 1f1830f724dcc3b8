"""Silero VAD with the sample rate decided: two graphs that ask nothing from ones that ask at every call.

The published graphs are one `If` on their input `sr`, and an input without a batch axis keeps streams from sharing a
batch. Each branch is a whole network, so it is taken out. The package's default file has more such questions inside, on
shapes; its opset-18 file has none and runs a fifth faster, but only its 16 kHz branch computes what the default does.
"""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from hekla.base.errors import ModelFileError, UnavailableError


class _Cut(NamedTuple):
    source: str
    branch: str
    to: str


_CUTS = (
    _Cut("silero_vad_op18_ifless.onnx", "then_branch", "model.onnx"),  # 16 kHz
    _Cut("silero_vad.onnx", "else_branch", "model-8k.onnx"),
)


def write_silero(folder: Path) -> tuple[str, ...]:
    """Write the 16 kHz and the 8 kHz graph beside the published ones; return the names of the files written.

    Graph: input FP32 (batch, context + window), state FP32 (2, batch, 128) -> output FP32 (batch, 1), stateN FP32
    (2, batch, 128); context + window is 64 + 512 at 16 kHz and 32 + 256 at 8 kHz.
    Errors: ModelFileError if a graph is not one `If` on `sr`; UnavailableError without the onnx package.
    """
    for cut in _CUTS:
        (folder / cut.to).write_bytes(_branch(folder / cut.source, cut.branch))
    return tuple(cut.to for cut in _CUTS)


def _branch(path: Path, name: str) -> bytes:
    onnx = _onnx_package()
    model = onnx.load(path)
    choices = [node for node in model.graph.node if node.op_type == "If"]
    inputs = [value for value in model.graph.input if value.name != "sr"]
    if len(choices) != 1 or len(inputs) + 1 != len(model.graph.input):
        raise ModelFileError("expected one If on an input `sr`", where=str(path), cure="pull the model again")
    (branch,) = (attribute.g for attribute in choices[0].attribute if attribute.name == name)
    after = {node.input[0]: node.output[0] for node in model.graph.node if node.op_type == "Identity"}
    ends = [
        onnx.helper.make_node("Identity", [inner.name], [after.get(outer, outer)])
        for inner, outer in zip(branch.output, choices[0].output, strict=True)
    ]
    used = set(_names_read(branch))
    graph = onnx.helper.make_graph(
        [*branch.node, *ends],
        path.stem,
        inputs,
        list(model.graph.output),
        [tensor for tensor in (*branch.initializer, *model.graph.initializer) if tensor.name in used],
    )
    written = onnx.helper.make_model(
        graph, producer_name="hekla", opset_imports=model.opset_import, ir_version=model.ir_version
    )
    # `Any` of the untyped module ends here.
    return bytes(written.SerializeToString(deterministic=True))


def _names_read(graph: Any) -> Iterator[str]:  # Any: a GraphProto of the untyped module
    """Yield every name that a graph's nodes read, those in its sub-graphs too."""
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _names_read(attribute.g)
    yield from (value.name for value in graph.output)


def _onnx_package() -> ModuleType:
    """Return the onnx package. Errors: UnavailableError naming the extra that has it."""
    try:
        return importlib.import_module("onnx")
    except ImportError:
        raise UnavailableError(
            "the onnx package is not installed, and this model's graph is written with it",
            cure="pip install 'hekla[samples]'",
        ) from None
