"""A tensor that is not what the model takes: the same refusal, in the same words, over REST and gRPC."""

import json
import struct
from dataclasses import dataclass, field

import grpc
import numpy as np
import pytest
from tests.faults import grpc_requests
from tests.running_server import Reply, RunningServer

ROW = np.ones((1, 16), np.int32).tobytes()
Tensor = tuple[str, str, list[int], bytes]

FIRST: Tensor = ("INPUT0", "INT32", [1, 16], ROW)
SECOND: Tensor = ("INPUT1", "INT32", [1, 16], ROW)


@dataclass(frozen=True)
class Fault:
    """One bad request and what it must be told."""

    name: str
    tensors: list[Tensor]
    says: tuple[str, ...]  # words the message must contain
    model: str = "adder"
    version: str = ""
    outputs: list[str] = field(default_factory=list)
    http: int = 400
    grpc: str = "INVALID_ARGUMENT"


def _adder(datatype: str = "INT32", shape: tuple[int, ...] = (1, 16), raw: bytes = ROW) -> list[Tensor]:
    return [("INPUT0", datatype, list(shape), raw), SECOND]


def _only(model: str, datatype: str, shape: list[int], raw: bytes, *says: str, name: str) -> Fault:
    return Fault(name, [("INPUT0", datatype, shape, raw)], says, model=model)


HUGE = 4611686018427387904  # 2**62: four bytes each would wrap a 64-bit count round to zero

FAULTS = [
    Fault("wrong datatype", _adder("FP32"), ("INPUT0", "INT32", "FP32")),
    Fault("unknown datatype", _adder("INT33"), ("INPUT0", "INT33")),
    Fault("big-endian datatype", _adder(">i4"), ("INPUT0", ">i4")),
    Fault("wrong extent", _adder(shape=(1, 15), raw=ROW[4:]), ("INPUT0", "[1, 15]")),
    Fault("wrong rank", _adder(shape=(16,)), ("INPUT0", "[16]")),
    Fault("negative extent", _adder(shape=(-1, 16)), ("INPUT0", "-1")),
    Fault("overflowing extent", _adder(shape=(1, HUGE), raw=b""), ("INPUT0", str(HUGE))),
    Fault("overflowing product", _adder(shape=(1 << 32, 1 << 32), raw=b""), ("INPUT0", str(1 << 32))),
    Fault("overflow hidden by a zero", _adder(shape=(0, HUGE), raw=b""), ("INPUT0", str(HUGE))),
    Fault("too few bytes", _adder(raw=ROW[:-1]), ("INPUT0", "64", "63")),
    Fault("too many bytes", _adder(raw=ROW + b"\0"), ("INPUT0", "64", "65")),
    Fault("no bytes", _adder(raw=b""), ("INPUT0", "64")),
    Fault("missing input", [FIRST], ("INPUT1",)),
    Fault("no inputs", [], ("INPUT0",)),
    Fault("unknown input", [FIRST, SECOND, ("INPUT9", "INT32", [1, 16], ROW)], ("INPUT9",)),
    Fault("misspelled input", [FIRST, ("INPUTl", "INT32", [1, 16], ROW)], ("INPUT1",)),
    Fault("duplicate input", [FIRST, FIRST, SECOND], ("INPUT0",)),
    Fault("unequal batches", [FIRST, ("INPUT1", "INT32", [2, 16], ROW * 2)], ("INPUT",)),
    Fault("unknown output", [FIRST, SECOND], ("OUTPUT9",), outputs=["OUTPUT9"]),
    Fault("unknown model", [FIRST], ("adderr",), model="adderr", http=404, grpc="NOT_FOUND"),
    Fault("unknown version", [FIRST], ("7",), version="7", http=404, grpc="NOT_FOUND"),
    Fault("version that is no number", [FIRST], ("seven",), version="seven", http=404, grpc="NOT_FOUND"),
    Fault("version of 5000 digits", [FIRST], ("version",), version="9" * 5000, http=404, grpc="NOT_FOUND"),
    _only("identity_bool", "BOOL", [1, 3], b"\x00\x01\x02", "INPUT0", "BOOL", name="byte that is no BOOL"),
    _only("identity_bytes", "BYTES", [1, 2], struct.pack("<I", 3) + b"abc", "INPUT0", name="too few BYTES elements"),
    _only("identity_bytes", "BYTES", [1, 1], struct.pack("<I", 9) + b"abc", "INPUT0", name="BYTES past the end"),
    _only("identity_bytes", "BYTES", [1, 1], b"\xff\xff\xff\xff", "INPUT0", name="BYTES of four gigabytes"),
    _only("identity_bytes", "BYTES", [1, 1], b"\x01\x00", "INPUT0", name="BYTES cut in its length"),
]


def _post_binary(server: RunningServer, fault: Fault) -> Reply:
    document = {
        "inputs": [
            {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(raw)}}
            for name, datatype, shape, raw in fault.tensors
        ]
    }
    if fault.outputs:
        document["outputs"] = [{"name": name} for name in fault.outputs]
    head = json.dumps(document).encode()
    version = f"/versions/{fault.version}" if fault.version else ""
    return server.request(
        "POST",
        f"/v2/models/{fault.model}{version}/infer",
        head + b"".join(raw for *_, raw in fault.tensors),
        {"Inference-Header-Content-Length": str(len(head))},
    )


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_rest_and_grpc_refuse_it_in_the_same_words(server: RunningServer, fault: Fault) -> None:
    rest = _post_binary(server, fault)
    assert rest.status == fault.http, rest
    rpc = grpc_requests.infer(
        server, grpc_requests.infer_message(fault.model, fault.tensors, fault.outputs, fault.version)
    )
    assert grpc_requests.code_of(rpc) == fault.grpc, rpc
    for word in fault.says:
        assert _says(rest.error, word)
        assert _says(rpc.details(), word)
    # A gRPC status has to fit a header, so a long message is cut.
    assert _without_place(rest.error)[:500] == _without_place(rpc.details())[:500]


def _says(message: str, word: str) -> bool:
    """True if the message has the word; a place in the request names its input as well."""
    return word in message or (word == "INPUT0" and "inputs[0]" in message)


def _without_place(message: str) -> str:
    """Drop the leading JSON path or field name: each protocol points into its own request."""
    place, separator, rest = message.partition(": ")
    return rest if separator and place.startswith(("$", "inputs[", "input '")) else message


def test_the_comparison_of_messages_can_fail() -> None:
    assert _without_place("$.inputs[0]: expected 64 bytes") != _without_place("inputs[0]: expected 65 bytes")


def test_raw_contents_must_match_the_inputs_in_number(server: RunningServer) -> None:
    message = grpc_requests.infer_message("adder", [FIRST, SECOND])
    message.raw_input_contents.append(ROW)
    rpc = grpc_requests.infer(server, message)
    assert grpc_requests.code_of(rpc) == "INVALID_ARGUMENT"
    assert "raw_input_contents" in rpc.details()


def test_typed_contents_must_have_the_datatypes_own_field(server: RunningServer) -> None:
    message = grpc_requests.infer_message("adder", [FIRST, SECOND])
    del message.raw_input_contents[:]
    message.inputs[0].contents.fp32_contents.extend([1.0] * 16)
    message.inputs[1].contents.int_contents.extend([1] * 16)
    rpc = grpc_requests.infer(server, message)
    assert grpc_requests.code_of(rpc) == "INVALID_ARGUMENT"
    assert _says(rpc.details(), "INPUT0")


def test_a_request_that_is_no_protobuf_is_refused(server: RunningServer) -> None:
    with grpc.insecure_channel(server.grpc_address) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"\xff\xff\xff\xff\xff", timeout=30)
    assert caught.value.code().name in ("INVALID_ARGUMENT", "INTERNAL")


def test_an_unknown_rpc_is_refused(server: RunningServer) -> None:
    with grpc.insecure_channel(server.grpc_address) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/NoSuchMethod")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", timeout=30)
    assert caught.value.code().name == "UNIMPLEMENTED"


def test_a_nan_among_binary_numbers_is_data_not_a_fault(server: RunningServer) -> None:
    raw = np.array([[np.nan, 1.0, -np.inf]], np.float32).tobytes()
    rpc = grpc_requests.infer(server, grpc_requests.infer_message("identity_fp32", [("INPUT0", "FP32", [1, 3], raw)]))
    assert grpc_requests.code_of(rpc) == "OK", rpc
    assert rpc.raw_output_contents[0] == raw
