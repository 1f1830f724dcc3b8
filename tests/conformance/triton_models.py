"""The sample models the client programs of the Triton client repository expect, as a Hekla model repository.

| model | answers |
|---|---|
| simple | INT32 [n, 16]: OUTPUT0 = INPUT0 + INPUT1, OUTPUT1 = INPUT0 - INPUT1; up to 8 rows |
| simple_int8 | the same in INT8 |
| simple_string | the same in decimal numbers written as BYTES |
| simple_identity | BYTES [n, m]: OUTPUT0 = INPUT0 |
| simple_sequence | INT32 [n, 1]: INPUT, plus 1 on the first request of a sequence |
| simple_dyna_sequence | the same, and the correlation id added on the last request |
| simple_string_dyna_sequence | INT32 [n, 1]: the running sum, plus the correlation id (a number in text) on the last |

`python tests/conformance/triton_models.py FOLDER` writes the repository.
"""

import sys
from pathlib import Path

from onnx import NodeProto, helper
from tests.model_folders import ONNX_TYPE, tensor_tables, write_onnx_model, write_python_model

_IDENTITY_CODE = '''\
"""OUTPUT0 = INPUT0, for elements that are any bytes at all (ONNX strings must be UTF-8)."""


class Model:
    def load(self, source):
        pass

    def predict(self, inputs):
        return {"OUTPUT0": inputs["INPUT0"]}
'''

SUM_STATE = """
[[sequence.states]]
input = "sum_in"
output = "sum_out"
dtype = "INT32"
shape = [1, 1]
"""


def write_running_sum(repository: Path, name: str = "running_sum", limits: str = "") -> Path:
    """Write a model that answers the sum of its sequence's inputs so far; `limits` goes into [sequence]."""
    return write_onnx_model(
        repository,
        name,
        [
            helper.make_node("Add", ["INPUT", "sum_in"], ["OUTPUT"]),
            helper.make_node("Identity", ["OUTPUT"], ["sum_out"]),
        ],
        [("INPUT", "INT32", ["n", 1]), ("sum_in", "INT32", ["n", 1])],
        [("OUTPUT", "INT32", ["n", 1]), ("sum_out", "INT32", ["n", 1])],
        toml=f"\n[sequence]\n{limits}{SUM_STATE}",
    )


def write_triton_models(repository: Path) -> Path:
    """Write the seven models into the folder and return it."""
    toml = "\n[batching]\nmax_batch = 8\n"
    _write_adder(repository, "simple", "INT32", toml)
    _write_adder(repository, "simple_int8", "INT8", toml)
    _write_adder(repository, "simple_string", "BYTES", toml)
    identity = [("INPUT0", "BYTES", ["n", "m"])], [("OUTPUT0", "BYTES", ["n", "m"])]
    write_python_model(repository, "simple_identity", _IDENTITY_CODE, toml + tensor_tables(*identity))
    _write_sequence(repository)
    _write_dyna_sequence(repository)
    _write_string_dyna_sequence(repository)
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


def _write_sequence(repository: Path) -> None:
    write_onnx_model(
        repository,
        "simple_sequence",
        [helper.make_node("Add", ["INPUT", "START"], ["OUTPUT"])],
        [("INPUT", "INT32", ["n", 1]), ("START", "INT32", ["n", 1])],
        [("OUTPUT", "INT32", ["n", 1])],
        toml=_controls(START="start"),
    )


def _write_dyna_sequence(repository: Path) -> None:
    write_onnx_model(
        repository,
        "simple_dyna_sequence",
        [
            helper.make_node("Add", ["INPUT", "START"], ["started"]),
            helper.make_node("Mul", ["END", "CORRID"], ["farewell"]),
            helper.make_node("Add", ["started", "farewell"], ["OUTPUT"]),
        ],
        [(name, "INT32", ["n", 1]) for name in ("INPUT", "START", "END", "CORRID")],
        [("OUTPUT", "INT32", ["n", 1])],
        toml=_controls(START="start", END="end", CORRID="correlation_id"),
    )


def _write_string_dyna_sequence(repository: Path) -> None:
    write_onnx_model(
        repository,
        "simple_string_dyna_sequence",
        [
            helper.make_node("Cast", ["CORRID"], ["id"], to=ONNX_TYPE["INT32"]),
            helper.make_node("Mul", ["END", "id"], ["farewell"]),
            helper.make_node("Add", ["INPUT", "sum_in"], ["sum_out"]),
            helper.make_node("Add", ["sum_out", "farewell"], ["OUTPUT"]),
        ],
        [
            ("INPUT", "INT32", ["n", 1]),
            ("END", "INT32", ["n", 1]),
            ("CORRID", "BYTES", ["n", 1]),
            ("sum_in", "INT32", ["n", 1]),
        ],
        [("OUTPUT", "INT32", ["n", 1]), ("sum_out", "INT32", ["n", 1])],
        toml=_controls(END="end", CORRID="correlation_id") + SUM_STATE,
    )


def _controls(**kinds: str) -> str:
    return "\n[sequence]\n" + "".join(
        f'[[sequence.controls]]\ninput = "{name}"\nkind = "{kind}"\n' for name, kind in kinds.items()
    )


if __name__ == "__main__":
    write_triton_models(Path(sys.argv[1]))
