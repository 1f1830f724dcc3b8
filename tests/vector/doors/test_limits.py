"""The same limits through REST and gRPC: depth, vectors that are none, batches too large, bytes that are no message."""

import json
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from tests.running_server import Reply, RunningServer

from hekla.vector.doors import vectors_pb2 as pb

Json = Any  # a value of a JSON document
COUNT = 6


@pytest.fixture(scope="module", autouse=True)
def _collection(server: RunningServer) -> None:
    ask(server, "PUT", "", {"vectors": {"a": {"size": 2, "distance": "Cosine"}}})
    points = [{"id": i, "vector": {"a": [i + 1, 1]}, "payload": {"n": i}} for i in range(COUNT)]
    assert ask(server, "PUT", "/points?wait=true", {"points": points}).status == 200


@pytest.fixture(scope="module")
def channel(server: RunningServer) -> Iterator[grpc.Channel]:
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(server.grpc_address, options=options) as opened:
        yield opened


def ask(server: RunningServer, method: str, path: str, document: Json) -> Reply:
    body = document if isinstance(document, str) else json.dumps(document)
    return server.request(method, f"/collections/limits{path}", body, {"content-type": "application/json"}, 110)


def call(channel: grpc.Channel, method: str, request: bytes) -> grpc.StatusCode | bytes:
    try:
        answer: bytes = channel.unary_unary(f"/hekla.vector.v1.Vectors/{method}")(request, timeout=110)
    except grpc.RpcError as error:
        return error.code()
    return answer


def deep(levels: int) -> str:
    return '{"must":[' * levels + '{"has_id":[1]}' + "]}" * levels


@pytest.mark.parametrize(("levels", "is_taken"), [(60, True), (63, True), (66, False), (1000, False), (10_000, False)])
def test_a_deep_filter_is_answered_at_once_or_refused(
    server: RunningServer, channel: grpc.Channel, levels: int, is_taken: bool
) -> None:
    reply = ask(server, "POST", "/points/count", f'{{"filter":{deep(levels)}}}')
    told = call(channel, "Count", pb.CountRequest(collection="limits", filter=deep(levels)).SerializeToString())
    if is_taken:
        assert reply.json()["result"] == {"count": 1}
        assert isinstance(told, bytes)
        assert pb.CountResponse.FromString(told).count == 1
    else:
        assert reply.status == 400
        assert told is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("levels", [9, 100, 10_000])
def test_deep_prefetches_are_refused(server: RunningServer, channel: grpc.Channel, levels: int) -> None:
    one = '{"query":[1,1],"using":"a","limit":3'
    assert (
        ask(server, "POST", "/points/query", f'{one},"prefetch":[' * levels + one + "}" + "]}" * levels).status == 400
    )
    search = pb.Search(vector=pb.Vector(values=[1, 1]), using="a", limit=2).SerializeToString()
    nested = search
    for _ in range(levels):
        nested = search + field(pb.Search, "prefetch", nested)
    request = pb.QueryRequest(collection="limits").SerializeToString() + field(pb.QueryRequest, "search", nested)
    assert call(channel, "Query", request) is grpc.StatusCode.INVALID_ARGUMENT


def field(message: Any, name: str, value: bytes) -> bytes:
    """A field on the wire, deeper than the library would write it."""
    return varint(message.DESCRIPTOR.fields_by_name[name].number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    written = b""
    while value > 127:
        written += bytes([value & 127 | 128])
        value >>= 7
    return written + bytes([value])


@pytest.mark.parametrize("values", [[np.nan, 1], [np.inf, 1], [-np.inf, 1], [0, 0], [1], [], [1, 2, 3]])
def test_vectors_that_are_none_are_refused_over_grpc(channel: grpc.Channel, values: list[float]) -> None:
    vector = pb.Vector(values=values)
    point = pb.Point(id=pb.PointId(number=1), vectors={"a": vector})
    upsert = pb.UpsertRequest(collection="limits", points=[point]).SerializeToString()
    query = pb.QueryRequest(collection="limits", search=pb.Search(vector=vector, using="a")).SerializeToString()
    assert call(channel, "Upsert", upsert) is grpc.StatusCode.INVALID_ARGUMENT
    assert call(channel, "Query", query) is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("method", ["Upsert", "Delete", "Query", "Retrieve", "Scroll", "Count"])
def test_bytes_that_are_no_message_are_refused_over_grpc(channel: grpc.Channel, method: str) -> None:
    rng = np.random.default_rng(1)
    for garbage in (b"\xff" * 20, b"\x0a\xff\xff\xff\x7f", *(rng.bytes(int(rng.integers(1, 60))) for _ in range(40))):
        told = call(channel, method, garbage)
        assert told in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND), garbage


@pytest.mark.slow
def test_a_million_points_and_one_are_refused_and_nothing_kept(server: RunningServer, channel: grpc.Channel) -> None:
    count = 1_000_001
    body = {"batch": {"ids": list(range(count)), "vectors": {"a": [[1, 1]] * count}}}
    reply = ask(server, "PUT", "/points", body)
    assert (reply.status, "holds 1000001 points, the limit is 1000000" in reply.text) == (400, True)
    points = [pb.Point(id=pb.PointId(number=i), vectors={"a": pb.Vector(values=[1, 1])}) for i in range(count)]
    request = pb.UpsertRequest(collection="limits", points=points).SerializeToString()
    assert call(channel, "Upsert", request) is grpc.StatusCode.INVALID_ARGUMENT
    assert ask(server, "POST", "/points/count", {}).json()["result"] == {"count": COUNT}
