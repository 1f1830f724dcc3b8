"""Every public method of `qdrant-client` either works against the server or is refused with the reason."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse
from tests.running_server import RunningServer

Do = Callable[[QdrantClient], object]
NAME = "methods"
TABLE = Path(__file__).parents[3] / "docs" / "conformance.md"
FIRST = models.PointIdsList(points=[1])


def config() -> models.VectorParams:
    return models.VectorParams(size=2, distance=models.Distance.DOT)


def alias(name: str) -> models.CreateAliasOperation:
    return models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=NAME, alias_name=name))


def points(first: int = 0) -> list[models.PointStruct]:
    return [models.PointStruct(id=i, vector=[1.0, i], payload={"n": i}) for i in range(first, first + 5)]


def nothing(do: Callable[..., None], *args: object, **more: object) -> bool:
    do(*args, **more)
    return True


# In an order in which each can be done: a method that takes something away comes after those that need it.
WORKS: dict[str, Do] = {
    "info": lambda c: c.info(),
    "recreate_collection": lambda c: c.delete_collection(NAME) or c.create_collection(NAME, vectors_config=config()),
    "upsert": lambda c: c.upsert(NAME, points()),
    "upload_points": lambda c: c.upload_points(NAME, points(10), wait=True),
    "upload_collection": lambda c: c.upload_collection(NAME, [[1.0, 2.0]] * 3, ids=[20, 21, 22], wait=True),
    "collection_exists": lambda c: c.collection_exists(NAME),
    "get_collection": lambda c: c.get_collection(NAME),
    "get_collections": lambda c: c.get_collections().collections,
    "update_collection": lambda c: c.update_collection(NAME, optimizers_config=models.OptimizersConfigDiff()),
    "create_payload_index": lambda c: c.create_payload_index(NAME, "n", models.PayloadSchemaType.INTEGER),
    "count": lambda c: c.count(NAME).count == 13,
    "retrieve": lambda c: len(c.retrieve(NAME, [1, 2])) == 2,
    "scroll": lambda c: len(c.scroll(NAME, limit=5)[0]) == 5,
    "facet": lambda c: c.facet(NAME, "n").hits,
    "query_points": lambda c: c.query_points(NAME, query=[1.0, 0.0]).points,
    "query_batch_points": lambda c: c.query_batch_points(NAME, [models.QueryRequest(query=[1.0, 0.0])]),
    "query_points_groups": lambda c: c.query_points_groups(NAME, group_by="n", query=[1.0, 0.0]).groups,
    "search_matrix_pairs": lambda c: c.search_matrix_pairs(NAME, sample=5, limit=2).pairs,
    "search_matrix_offsets": lambda c: c.search_matrix_offsets(NAME, sample=5, limit=2).ids,
    "set_payload": lambda c: c.set_payload(NAME, {"a": 1}, points=[1]),
    "overwrite_payload": lambda c: c.overwrite_payload(NAME, {"b": 1, "n": 1}, points=[1]),
    "delete_payload": lambda c: c.delete_payload(NAME, ["b"], points=[1]),
    "clear_payload": lambda c: c.clear_payload(NAME, FIRST),
    "update_vectors": lambda c: c.update_vectors(NAME, [models.PointVectors(id=1, vector=[0.0, 1.0])]),
    "delete_vectors": lambda c: c.delete_vectors(NAME, [""], points=[1]),
    "batch_update_points": lambda c: c.batch_update_points(NAME, [models.DeleteOperation(delete=FIRST)]),
    "delete": lambda c: c.delete(NAME, FIRST),
    "update_collection_aliases": lambda c: c.update_collection_aliases([alias("other")]),
    "get_aliases": lambda c: c.get_aliases().aliases,
    "get_collection_aliases": lambda c: c.get_collection_aliases(NAME).aliases,
    "delete_payload_index": lambda c: c.delete_payload_index(NAME, "n"),
    "create_snapshot": lambda c: c.create_snapshot(NAME),
    "list_snapshots": lambda c: c.list_snapshots(NAME),
    "recover_snapshot": lambda c: c.recover_snapshot(NAME, f"{NAME}/{c.list_snapshots(NAME)[0].name}", wait=True),
    "delete_snapshot": lambda c: c.delete_snapshot(NAME, c.list_snapshots(NAME)[0].name),
    "list_full_snapshots": lambda c: c.list_full_snapshots() == [],
    "cluster_status": lambda c: c.cluster_status(),
    "cluster_telemetry": lambda c: c.cluster_telemetry(),
    "collection_cluster_info": lambda c: c.collection_cluster_info(NAME),
    "get_optimizations": lambda c: c.get_optimizations(NAME).summary,
    "list_shard_keys": lambda c: c.list_shard_keys(NAME),
    "migrate": lambda c: nothing(c.migrate, c, collection_names=[], recreate_on_collision=True),
    "create_collection": lambda c: c.create_collection("methods-too", vectors_config=config()),
    "delete_collection": lambda c: c.delete_collection("methods-too"),
}
DROP = models.DropReplicaOperation(drop_replica=models.Replica(shard_id=0, peer_id=1))
REFUSED: dict[str, tuple[Do, str]] = {
    "cluster_collection_update": (lambda c: c.cluster_collection_update(NAME, DROP), "no cluster"),
    "recover_current_peer": (lambda c: c.recover_current_peer(), "no cluster"),
    "remove_peer": (lambda c: c.remove_peer(1), "no cluster"),
    "create_shard_key": (lambda c: c.create_shard_key(NAME, "a"), "no shards"),
    "delete_shard_key": (lambda c: c.delete_shard_key(NAME, "a"), "no shards"),
    "create_shard_snapshot": (lambda c: c.create_shard_snapshot(NAME, 0), "no shards"),
    "list_shard_snapshots": (lambda c: c.list_shard_snapshots(NAME, 0), "no shards"),
    "delete_shard_snapshot": (lambda c: c.delete_shard_snapshot(NAME, 0, "a"), "no shards"),
    "recover_shard_snapshot": (lambda c: c.recover_shard_snapshot(NAME, 0, "file:///a"), "no shards"),
    "create_full_snapshot": (lambda c: c.create_full_snapshot(), "use /collections/"),
    "delete_full_snapshot": (lambda c: c.delete_full_snapshot("a"), "use /collections/"),
    "create_vector_name": (
        lambda c: c.create_vector_name(
            NAME,
            "more",
            models.DenseVectorNameConfig(dense=models.DenseVectorConfig(size=2, distance=models.Distance.DOT)),
        ),
        "import the points",
    ),
    "delete_vector_name": (lambda c: c.delete_vector_name(NAME, "more"), "import the points"),
}
# Nothing of these reaches a server; `grpc_*` are the stubs of a protocol that is not served.
OF_THE_CLIENT = {
    *("DEFAULT_BATCH_SIZE", "close", "http", "init_options", "grpc_collections", "grpc_points", "get_embedding_size"),
    *("list_image_models", "list_late_interaction_multimodal_models", "list_late_interaction_text_models"),
    *("list_sparse_models", "list_text_models"),
}


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[QdrantClient]:
    found = QdrantClient(url=server.http_url, check_compatibility=False, timeout=30)
    yield found
    found.close()


def test_every_method_that_works_does(client: QdrantClient) -> None:
    for name, do in WORKS.items():
        assert do(client) not in (False, [], {}), name


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why(client: QdrantClient, name: str) -> None:
    do, why = REFUSED[name]
    with pytest.raises(UnexpectedResponse, match=rf"501(.|\n)*{re.escape(why)}"):
        do(client)


def test_no_method_of_the_client_is_forgotten_here_or_in_the_table() -> None:
    public = {name for name in dir(QdrantClient) if not name.startswith("_")}
    assert public == {*WORKS, *REFUSED, *OF_THE_CLIENT}
    text = TABLE.read_text()
    works, refused = (re.search(rf"^\| {word}: .*$", text, re.MULTILINE) for word in ("works", "refused"))
    assert works is not None
    assert refused is not None
    assert set(re.findall(r"`(\w+)`", works[0])) == set(WORKS)
    assert set(re.findall(r"`(\w+)`", refused[0])) == set(REFUSED)


def test_probes_of_older_clients_are_answered(server: RunningServer) -> None:
    for path, answer in (("/locks", {"write": False}), ("/issues", {"issues": []})):
        assert server.request("GET", path).json()["result"] == answer
    assert server.post_json("/locks", {"write": True}).status == 501
    assert server.request("GET", "/telemetry").json()["result"]["app"]["version"].count(".") == 2
