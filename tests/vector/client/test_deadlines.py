"""A search may say how long it takes, over every door; what is found until then is returned and flagged."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from tests.running_server import RunningServer, running_server

from hekla.vector import Collection, CollectionSchema, Diverse, Formula, Nearest, Search, VectorSchema
from hekla.vector.client import AsyncCollection, Database, RemoteCollection
from hekla.vector.doors import vectors_pb2 as pb
from hekla.vector.expressions import Value

N = 2000
VECTORS = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
QUERY = np.ones(4, np.float32)
LATE = Search(Diverse(QUERY, candidates=100), 10, deadline_s=0.0)  # over before it began: the first is all there is
IN_TIME = Search(Diverse(QUERY, candidates=100), 10, deadline_s=1000.0)


def fill(collection: Collection | RemoteCollection) -> None:
    payloads = [{"n": i} for i in range(N)]
    collection.upsert_arrays(np.arange(N, dtype=np.uint64), VECTORS, payloads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("embedded") / "c"
    with Collection.create(path, CollectionSchema({"": VectorSchema(4)}, sync="off")) as collection:
        fill(collection)
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("client")
    (folder / "models").mkdir()
    (folder / "server.toml").write_text(f'[apis.vector]\nfolder = "{folder}/vectors"\n')
    with running_server(folder / "models", args=("--config", str(folder / "server.toml"))) as running:
        with Database(running.http_url) as database:
            fill(database.create("c", CollectionSchema({"": VectorSchema(4)})))
        yield running


def check(collection: Collection | RemoteCollection) -> None:
    late, in_time = collection.query(LATE), collection.query(IN_TIME)
    assert not late.is_complete
    assert late.points
    assert late.points[0].id == in_time.points[0].id
    assert in_time.is_complete
    assert len(in_time.points) == 10

    async def wait() -> bool:
        async with AsyncCollection(collection) as waiting:
            return (await waiting.query(LATE)).is_complete

    assert not asyncio.run(wait())


def test_embedded(folder: Path) -> None:
    with Collection.open(folder, is_read_only=True) as collection:
        check(collection)
        everything = Search(Nearest(QUERY), N, is_exact=True)
        formula = Search(Formula(Value("n")), N, prefetch=(everything,), deadline_s=0.0)
        found = collection.query(formula)
        assert not found.is_complete
        in_time = Search(Formula(Value("n")), N, prefetch=(everything,))
        assert [p.id for p in collection.query(in_time).points] == list(range(N - 1, -1, -1))


def test_a_remote_collection(server: RunningServer) -> None:
    with Database(server.http_url) as database:
        check(database.open("c"))


def test_rest_by_the_header(server: RunningServer) -> None:
    body = {"query": {"nearest": QUERY.tolist(), "mmr": {"candidates_limit": 100}}, "limit": 10}
    for deadline, told in ((0.0, "false"), (1000.0, None)):
        answer = server.post_json("/collections/c/points/query", {**body, "deadline_s": deadline})
        assert answer.headers.get("hekla-complete") == told
        batch = {"searches": [{**body, "deadline_s": deadline}, body]}
        answer = server.post_json("/collections/c/points/query/batch", batch)
        assert answer.headers.get("hekla-complete") == told


def test_grpc(server: RunningServer) -> None:
    search = pb.Search(json='{"nearest": [1, 1, 1, 1], "mmr": {"candidates_limit": 100}}', limit=10)
    with grpc.insecure_channel(server.grpc_address) as channel:
        query = channel.unary_unary(
            "/hekla.vector.v1.Vectors/Query",
            request_serializer=pb.QueryRequest.SerializeToString,
            response_deserializer=pb.QueryResponse.FromString,
        )
        for request, is_complete in (
            (pb.QueryRequest(collection="c", search=search, deadline_s=0.0), False),
            (pb.QueryRequest(collection="c", search=search, deadline_s=1000.0), True),
            (pb.QueryRequest(collection="c", search=search), True),
        ):
            assert query(request, timeout=20).is_complete is is_complete
