"""The gRPC door, by grpcio."""

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.message import Message
from qdrant_client import QdrantClient, models
from tests.running_server import RunningServer

from hekla.vector.doors import vectors_pb2 as pb

Call = Callable[..., Any]  # Any: the method's own response type
KINDS: dict[str, tuple[type[Message], type[Message]]] = {
    "Upsert": (pb.UpsertRequest, pb.WriteResponse),
    "Delete": (pb.DeleteRequest, pb.WriteResponse),
    "Query": (pb.QueryRequest, pb.QueryResponse),
    "Retrieve": (pb.RetrieveRequest, pb.RecordsResponse),
    "Scroll": (pb.ScrollRequest, pb.RecordsResponse),
    "Count": (pb.CountRequest, pb.CountResponse),
}
RED = json.dumps({"must": [{"key": "colour", "match": {"value": "red"}}]})


@pytest.fixture(scope="module")
def call(server: RunningServer, served: QdrantClient) -> Iterator[Call]:
    """Ask: `call("Count", collection="c")`."""
    served.create_collection(
        "rpc",
        vectors_config={"d": models.VectorParams(size=3, distance=models.Distance.DOT)},
        sparse_vectors_config={"s": models.SparseVectorParams()},
    )
    served.create_payload_index("rpc", "text", models.PayloadSchemaType.TEXT)
    with grpc.insecure_channel(server.grpc_address) as channel:

        def ask(method: str, timeout_s: float = 20, **fields: Any) -> Any:  # Any: as above
            request, response = KINDS[method]
            stub = channel.unary_unary(
                f"/hekla.vector.v1.Vectors/{method}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )
            return stub(request(collection="rpc", **fields), timeout=timeout_s)

        points = [
            pb.Point(
                id=pb.PointId(number=i),
                vectors={
                    "d": pb.Vector(values=[i, 1, 0]),
                    "s": pb.Vector(indices=[i, 100], values=[1.0, 0.5]),
                },
                payload=json.dumps({"colour": "red" if i % 2 else "blue", "text": f"the word{i} fish"}).encode(),
            )
            for i in range(10)
        ]
        points.append(pb.Point(id=pb.PointId(uuid=str(uuid.UUID(int=7))), vectors={"d": pb.Vector(values=[0, 0, 5])}))
        assert ask("Upsert", points=points).points == 11
        yield ask


def numbers(response: Any) -> list[int]:  # Any: messages with points
    return [point.id.number for point in response.points]


def test_counts_with_and_without_a_filter(call: Call) -> None:
    assert (call("Count").count, call("Count", filter=RED).count) == (11, 5)


def test_nearest_points_with_payload_and_vectors(call: Call) -> None:
    search = pb.Search(vector=pb.Vector(values=[1, 0, 0]), using="d", limit=3, filter=RED)
    found = call("Query", search=search, with_payload=True, with_vectors=["d", "s"])
    assert (numbers(found), [point.score for point in found.points]) == ([9, 7, 5], [9, 7, 5])
    assert found.is_complete
    assert json.loads(found.points[0].payload)["colour"] == "red"
    assert list(found.points[0].vectors["d"].values) == [9, 1, 0]
    assert list(found.points[0].vectors["s"].indices) == [9, 100]


def test_sparse_words_ids_and_fusions(call: Call) -> None:
    sparse = pb.Search(vector=pb.Vector(indices=[4], values=[2.0]), using="s", limit=5)
    words = pb.Search(words=pb.Words(text="word6", path="text"), limit=5)
    assert numbers(call("Query", search=sparse)) == [4]
    assert numbers(call("Query", search=words)) == [6]
    like = pb.Search(id=pb.PointId(number=9), using="d", limit=1)
    assert numbers(call("Query", search=like)) == [8]
    fused = pb.Search(fusion=pb.Fusion(k=2), prefetch=[sparse, words, sparse], limit=5)
    found = call("Query", search=fused)
    assert numbers(found) == [4, 6]
    assert np.allclose([point.score for point in found.points], [1.0, 0.5])


def test_any_query_of_the_rest_interface_as_json(call: Call) -> None:
    near = pb.Search(vector=pb.Vector(values=[1, 0, 0]), using="d", limit=4)
    boosted = {"formula": {"sum": ["$score", {"mult": [100, {"key": "colour", "match": {"value": "red"}}]}]}}
    found = call("Query", search=pb.Search(json=json.dumps(boosted), prefetch=[near], limit=3))
    assert (numbers(found), [point.score for point in found.points]) == ([9, 7, 8], [109, 107, 8])
    recommend = json.dumps({"recommend": {"positive": [9], "strategy": "best_score"}})
    assert numbers(call("Query", search=pb.Search(json=recommend, using="d", limit=1))) == [8]
    diverse = json.dumps({"nearest": [1, 0, 0], "mmr": {"diversity": 0.0}})
    assert numbers(call("Query", search=pb.Search(json=diverse, using="d", limit=3))) == [9, 8, 7]
    with pytest.raises(grpc.RpcError, match=r"search\.query\.formula: unknown expression 'smu'"):
        call("Query", search=pb.Search(json='{"formula": {"smu": []}}', prefetch=[near]))


def test_records_by_id_and_page_by_page(call: Call) -> None:
    wanted = [pb.PointId(number=3), pb.PointId(uuid=str(uuid.UUID(int=7))), pb.PointId(number=99)]
    found = call("Retrieve", ids=wanted, with_vectors=["d"])
    assert [point.id for point in found.points] == wanted[:2]
    page = call("Scroll", limit=8)
    assert numbers(page) == list(range(8))
    rest = call("Scroll", limit=8, after=page.next)
    assert (len(rest.points), rest.HasField("next")) == (3, False)


def test_points_are_removed_by_id_and_by_filter(call: Call) -> None:
    extra = [
        pb.Point(id=pb.PointId(number=i), vectors={"d": pb.Vector(values=[0, 0, 0])}, payload=b'{"colour": "lime"}')
        for i in range(50, 55)
    ]
    call("Upsert", points=extra)
    assert call("Delete", ids=[pb.PointId(number=50), pb.PointId(number=999)]).points == 1
    lime = json.dumps({"must": [{"key": "colour", "match": {"value": "lime"}}]})
    assert call("Delete", filter=lime).points == 4
    assert call("Count").count == 11


@pytest.mark.parametrize(
    ("method", "fields", "code", "says"),
    [
        ("Query", {}, grpc.StatusCode.INVALID_ARGUMENT, "expected a query"),
        (
            "Query",
            {"search": pb.Search(vector=pb.Vector(values=[1, 2]), using="d")},
            grpc.StatusCode.INVALID_ARGUMENT,
            "expected 3 numbers",
        ),
        ("Count", {"filter": "{"}, grpc.StatusCode.INVALID_ARGUMENT, "is no JSON"),
        ("Upsert", {"points": [pb.Point()]}, grpc.StatusCode.INVALID_ARGUMENT, r"points\[0\].id"),
        (
            "Upsert",
            {"points": [pb.Point(id=pb.PointId(number=1), payload=b"[]")]},
            grpc.StatusCode.INVALID_ARGUMENT,
            "expected a JSON object",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    call: Call, method: str, fields: dict[str, object], code: grpc.StatusCode, says: str
) -> None:
    with pytest.raises(grpc.RpcError, match=says) as told:
        call(method, **fields)
    assert told.value.code() is code


def test_an_unknown_collection_is_not_found(server: RunningServer) -> None:
    with grpc.insecure_channel(server.grpc_address) as channel:
        count = channel.unary_unary("/hekla.vector.v1.Vectors/Count")
        with pytest.raises(grpc.RpcError) as told:
            count(pb.CountRequest(collection="none").SerializeToString(), timeout=20)
        assert told.value.code() is grpc.StatusCode.NOT_FOUND
