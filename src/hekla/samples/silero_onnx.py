"""Silero VAD with the sample rate decided: two graphs without branches from the one that asks at every call.

The published graph is a single `If` on its input `sr`, and an input without a batch axis keeps streams from sharing a
batch. Each branch is a whole network; taken out, it takes (batch, ...) tensors only, and runs a fifth faster.
"""

from pathlib import Path

from hekla.base.errors import ModelFileError
from hekla.samples.onnx_graph import onnx_package

SOURCE = "silero_vad_op18_ifless.onnx"
GRAPHS = {16000: "model.onnx", 8000: "model-8k.onnx"}  # sample rate in Hz -> file


def write_silero(folder: Path) -> tuple[str, ...]:
    """Write the 16 kHz and the 8 kHz graph beside the published one; return the names of the files written.

    Graph: input FP32 (batch, context + window), state FP32 (2, batch, 128) -> output FP32 (batch, 1), stateN FP32
    (2, batch, 128); context + window is 64 + 512 at 16 kHz and 32 + 256 at 8 kHz.
    Errors: ModelFileError if the graph is not one `If` on `sr`; UnavailableError without the onnx package.
    """
    onnx = onnx_package()
    model = onnx.load(folder / SOURCE)
    choices = [node for node in model.graph.node if node.op_type == "If"]
    if len(choices) != 1 or list(choices[0].output) != [value.name for value in model.graph.output]:
        raise ModelFileError("expected one If that gives the graph's outputs", where=str(folder / SOURCE))
    branches = {attribute.name: attribute.g for attribute in choices[0].attribute}
    inputs = [value for value in model.graph.input if value.name != "sr"]
    outer = {value.name: value for value in model.graph.initializer}
    for rate, name in GRAPHS.items():
        branch = branches["then_branch" if rate == 16000 else "else_branch"]
        used = {value for node in branch.node for value in node.input}
        graph = onnx.helper.make_graph(
            [
                *branch.node,
                *(
                    onnx.helper.make_node("Identity", [inner.name], [out.name])
                    for inner, out in zip(branch.output, model.graph.output, strict=True)
                ),
            ],
            f"silero_vad_{rate}",
            inputs,
            list(model.graph.output),
            [*branch.initializer, *(outer[value] for value in sorted(used & outer.keys()))],
        )
        written = onnx.helper.make_model(
            graph, producer_name="hekla", opset_imports=model.opset_import, ir_version=model.ir_version
        )
        (folder / name).write_bytes(written.SerializeToString(deterministic=True))
    return tuple(GRAPHS.values())
