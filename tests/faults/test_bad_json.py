"""JSON that is broken, too deep, or says what no tensor can hold."""

import json
from typing import Any

import numpy as np
import pytest
from tests.running_server import RunningServer

_PATH = "/v2/models/identity_fp32/infer"


def _request(**changes: Any) -> dict[str, Any]:  # any JSON a test wants
    tensor = {"name": "INPUT0", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}
    return {"inputs": [{**tensor, **changes}]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"inputs": [',
        b"not json",
        b"[]",
        b"null",
        b"42",
        b'"text"',
        b"{}",
        b'{"inputs": {}}',
        b'{"inputs": null}',
        b'{"inputs": [null]}',
        b'{"inputs": [[]]}',
        b'{"inputs": [{}]}',
        b'{"inputs": []} trailing',
        b"\xff\xfe",
        b'{"id": "\xff", "inputs": []}',
        b'{"id": "\\ud800", "inputs": []}',
    ],
    ids=repr,
)
def test_what_is_no_request_is_refused(server: RunningServer, body: bytes) -> None:
    reply = server.request("POST", _PATH, body)
    assert reply.status == 400, reply
    assert reply.error


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"inputs":['])
@pytest.mark.parametrize("depth", [1_000, 200_000])
def test_a_depth_bomb_is_refused(server: RunningServer, opening: str, depth: int) -> None:
    reply = server.request("POST", _PATH, opening * depth)
    assert reply.status == 400, reply


def test_deeply_nested_data_is_refused(server: RunningServer) -> None:
    nested = "[" * 400 + "1" + "]" * 400
    body = '{"inputs":[{"name":"INPUT0","datatype":"FP32","shape":[1,1],"data":' + nested + "}]}"
    reply = server.request("POST", _PATH, body)
    assert reply.status == 400, reply


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_a_number_that_is_not_finite_is_refused(server: RunningServer, number: str) -> None:
    body = json.dumps(_request()).replace("1.0", number)
    assert number in body
    reply = server.request("POST", _PATH, body)
    assert reply.status == 400, reply


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("FP32", "1"),
        ("FP32", True),
        ("FP32", None),
        ("FP32", {}),
        ("FP32", 1e39),
        ("INT8", 128),
        ("INT8", -129),
        ("INT8", 1.5),
        ("INT8", True),
        ("INT8", "1"),
        ("INT8", 1 << 70),
        ("BOOL", 1),
        ("BOOL", "true"),
        ("BYTES", 1),
        ("BYTES", None),
    ],
)
def test_a_value_its_datatype_cannot_hold_is_refused(server: RunningServer, datatype: str, value: object) -> None:
    document = _request(datatype=datatype, data=[value, value])
    reply = server.post_json(f"/v2/models/identity_{datatype.lower()}/infer", document)
    assert reply.status == 400, reply
    assert "INPUT0" in reply.error or "inputs[0]" in reply.error


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [1, 3]},
        {"shape": "1, 2"},
        {"shape": [1, 2.0]},
        {"shape": [1, "2"]},
        {"shape": [True, 2]},
        {"shape": [1, 1 << 70]},
        {"shape": [-1, 2]},
        {"shape": None},
        {"data": [[1.0], [2.0, 3.0]]},
        {"data": [[1.0, 2.0], [3.0]]},
        {"data": [1.0, [2.0]]},
        {"data": 1.0},
        {"data": {"0": 1.0}},
        {"data": None},
        {"data": []},
        {"datatype": None},
        {"datatype": 7},
        {"name": 7},
        {"name": None},
        {"parameters": []},
        {"parameters": {"binary_data_size": 8}},
    ],
    ids=repr,
)
def test_a_tensor_that_contradicts_itself_is_refused(server: RunningServer, changes: dict[str, object]) -> None:
    reply = server.post_json(_PATH, _request(**changes))
    assert reply.status == 400, reply
    assert "inputs" in reply.error or "INPUT0" in reply.error


@pytest.mark.parametrize(
    ("key", "document"),
    [
        ("inputz", {**_request(), "inputz": []}),
        ("dtype", _request(dtype="FP32")),
        ("nam", {**_request(), "outputs": [{"name": "OUTPUT0", "nam": 1}]}),
    ],
)
def test_an_unknown_key_is_named(server: RunningServer, key: str, document: dict[str, object]) -> None:
    reply = server.post_json(_PATH, document)
    assert reply.status == 400, reply
    assert key in reply.error


@pytest.mark.parametrize(
    "document",
    [
        {**_request(), "id": 7},
        {**_request(), "parameters": []},
        {**_request(), "parameters": {"sequence_id": 1.5}},
        {**_request(), "parameters": {"priority": "high"}},
        {**_request(), "parameters": {"timeout": -5}},
        {**_request(), "parameters": {"timeout": "9" * 5000}},
        {**_request(), "parameters": {"timeout": 1 << 70}},
        {**_request(), "parameters": {"sequence_id": 1 << 70, "sequence_start": True}},
        {**_request(), "parameters": {"sequence_start": "yes", "sequence_id": 1}},
        {**_request(), "outputs": {}},
        {**_request(), "outputs": [{}]},
        {**_request(), "outputs": [{"name": 7}]},
        {**_request(), "outputs": [{"name": "OUTPUT0", "parameters": {"binary_data": "yes"}}]},
        {**_request(), "outputs": [{"name": "OUTPUT0"}, {"name": "OUTPUT0"}]},
    ],
    ids=repr,
)
def test_a_field_of_the_wrong_kind_is_refused(server: RunningServer, document: dict[str, object]) -> None:
    reply = server.post_json(_PATH, document)
    assert reply.status == 400, reply
    assert reply.error


@pytest.mark.parametrize("length", ["-1", "+5", "x", "", "999999", "1e2", "99999999999999999999999"])
def test_a_header_length_that_does_not_fit_the_body_is_refused(server: RunningServer, length: str) -> None:
    reply = server.request("POST", _PATH, json.dumps(_request()), {"Inference-Header-Content-Length": length})
    assert reply.status == 400, reply
    assert reply.error


@pytest.mark.parametrize("size", [-1, 7, 9, 1 << 62, 1 << 70, 8.0, "8", True, None])
def test_a_binary_size_that_does_not_fit_the_body_is_refused(server: RunningServer, size: object) -> None:
    document = _request(parameters={"binary_data_size": size})
    del document["inputs"][0]["data"]
    head = json.dumps(document).encode()
    raw = np.ones(2, np.float32).tobytes()
    reply = server.request("POST", _PATH, head + raw, {"Inference-Header-Content-Length": str(len(head))})
    assert reply.status == 400, reply
    assert reply.error


def test_bytes_left_over_after_the_last_tensor_are_refused(server: RunningServer) -> None:
    document = _request(parameters={"binary_data_size": 8})
    del document["inputs"][0]["data"]
    head = json.dumps(document).encode()
    reply = server.request("POST", _PATH, head + bytes(12), {"Inference-Header-Content-Length": str(len(head))})
    assert reply.status == 400, reply


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "made-up"])
def test_a_body_that_is_not_what_its_encoding_says_is_refused(server: RunningServer, encoding: str) -> None:
    reply = server.request("POST", _PATH, json.dumps(_request()), {"Content-Encoding": encoding})
    assert reply.status in (400, 501), reply
    assert reply.error
