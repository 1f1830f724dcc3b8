"""The sample models the client programs of the Triton client repository expect, as a Hekla model repository.

| model | answers |
|---|---|
| simple | INT32 [n, 16]: OUTPUT0 = INPUT0 + INPUT1, OUTPUT1 = INPUT0 - INPUT1; up to 8 rows |
| simple_int8 | the same in INT8 |
| simple_string | the same in decimal numbers written as BYTES |
| simple_identity | BYTES [n, m]: OUTPUT0 = INPUT0 |
| simple_sequence | INT32 [n, 1]: INPUT, plus 1 on the first request of a sequence |
| simple_dyna_sequence | the same; without Triton's addition of the correlation id on the last request |
| simple_string_dyna_sequence | INT32 [n, 1]: the running sum; without that addition |

The additions are left out because a Hekla model is handed its sequence's state, not the correlation id or end flag.
`python tests/conformance/triton_models.py FOLDER` writes the repository.
"""

import sys
from pathlib import Path

import numpy as np
from onnx import NodeProto, helper, numpy_helper
from tests.model_folders import ONNX_TYPE, tensor_tables, write_onnx_model, write_python_model

_IDENTITY_CODE = '''\
"""OUTPUT0 = INPUT0, for elements that are any bytes at all (ONNX strings must be UTF-8)."""


class Model:
    def load(self, source):
        pass

    def predict(self, inputs):
        return {"OUTPUT0": inputs["INPUT0"]}
'''

_SEQUENCE_TOML = """
[sequence]
idle_timeout_s = 60.0

[[sequence.states]]
input = "state_in"
output = "state_out"
dtype = "INT32"
shape = [1, 1]
"""


def write_triton_models(repository: Path) -> Path:
    """Write the seven models into the folder and return it."""
    toml = "\n[batching]\nmax_batch = 8\n"
    _write_adder(repository, "simple", "INT32", toml)
    _write_adder(repository, "simple_int8", "INT8", toml)
    _write_adder(repository, "simple_string", "BYTES", toml)
    write_python_model(
        repository,
        "simple_identity",
        _IDENTITY_CODE,
        toml
        + tensor_tables([("INPUT0", "BYTES", ["n", "m"])], [("OUTPUT0", "BYTES", ["n", "m"])]).replace(
            "shape", "batch_axis = 0\nshape"
        ),
    )
    _write_sequence(repository, "simple_sequence", is_sum=False)
    _write_sequence(repository, "simple_dyna_sequence", is_sum=False)
    _write_sequence(repository, "simple_string_dyna_sequence", is_sum=True)
    return repository


def _write_adder(repository: Path, name: str, kind: str, toml: str) -> None:
    nodes: list[NodeProto] = []
    for tensor in ("INPUT0", "INPUT1"):
        nodes.append(helper.make_node("Cast", [tensor], [f"{tensor}_number"], to=ONNX_TYPE["INT32"]))
    for operator, tensor in (("Add", "OUTPUT0"), ("Sub", "OUTPUT1")):
        nodes.append(helper.make_node(operator, ["INPUT0_number", "INPUT1_number"], [f"{tensor}_number"]))
        nodes.append(helper.make_node("Cast", [f"{tensor}_number"], [tensor], to=ONNX_TYPE[kind]))
    write_onnx_model(
        repository,
        name,
        nodes,
        [("INPUT0", kind, ["n", 16]), ("INPUT1", kind, ["n", 16])],
        [("OUTPUT0", kind, ["n", 16]), ("OUTPUT1", kind, ["n", 16])],
        toml=toml,
    )


def _write_sequence(repository: Path, name: str, *, is_sum: bool) -> None:
    """State: the sum so far, or 1 once the sequence has begun."""
    one = numpy_helper.from_array(np.ones((1, 1), np.int32), "one")
    if is_sum:
        nodes = [
            helper.make_node("Add", ["INPUT", "state_in"], ["OUTPUT"]),
            helper.make_node("Identity", ["OUTPUT"], ["state_out"]),
        ]
    else:
        nodes = [
            helper.make_node("Sub", ["one", "state_in"], ["is_first"]),
            helper.make_node("Add", ["INPUT", "is_first"], ["OUTPUT"]),
            helper.make_node("Max", ["state_in", "one"], ["state_out"]),
        ]
    write_onnx_model(
        repository,
        name,
        nodes,
        [("INPUT", "INT32", ["n", 1]), ("state_in", "INT32", ["n", 1])],
        [("OUTPUT", "INT32", ["n", 1]), ("state_out", "INT32", ["n", 1])],
        initializers=[] if is_sum else [one],
        toml=_SEQUENCE_TOML,
    )


if __name__ == "__main__":
    write_triton_models(Path(sys.argv[1]))
