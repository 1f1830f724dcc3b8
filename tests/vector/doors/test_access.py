"""Keys, what they reach, and tenants that never see one another."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse
from tests.running_server import RunningServer, running_server

from hekla.vector.doors import vectors_pb2 as pb

CONFIG = """
[apis.vector]
folder = "{folder}"
tenant_field = "owner"
tenant_points = 5
queue = 8

[[apis.vector.keys]]
key = "admin-key-1"

[[apis.vector.keys]]
key = "reader-key-1"
rights = "read"

[[apis.vector.keys]]
key_env = "BLUE_KEY"
collections = ["blue", "blue-*"]

[[apis.vector.keys]]
key = "acme-key-1"
tenant = "acme"

[[apis.vector.keys]]
key = "rival-key-1"
tenant = "rival"
"""
KEYS = {"admin": "admin-key-1", "reader": "reader-key-1", "blue": "blue-key-1", "acme": "acme-key-1"}
KEYS["rival"] = "rival-key-1"
Clients = dict[str, QdrantClient]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "models").mkdir()
    (folder / "server.toml").write_text(CONFIG.format(folder=folder / "vectors"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BLUE_KEY", KEYS["blue"])
        with running_server(folder / "models", args=("--config", str(folder / "server.toml"))) as server:
            yield server


@pytest.fixture(scope="module")
def clients(guarded: RunningServer) -> Iterator[Clients]:
    with pytest.warns(UserWarning, match="insecure"):  # the client's, of a key without TLS
        made = {
            name: QdrantClient(url=guarded.http_url, api_key=key, check_compatibility=False)
            for name, key in KEYS.items()
        }
    config = models.VectorParams(size=2, distance=models.Distance.DOT)
    for name in ("blue", "red", "blue-2"):
        made["admin"].create_collection(name, vectors_config=config)
    yield made
    for client in made.values():
        client.close()


def point(id_: int, **payload: Any) -> models.PointStruct:  # Any: JSON
    return models.PointStruct(id=id_, vector=[float(id_), 1.0], payload=payload)


def refused(status: int) -> Any:  # Any: pytest's context
    return pytest.raises(UnexpectedResponse, match=f"Unexpected Response: {status}")


def test_without_a_key_only_health_answers(guarded: RunningServer) -> None:
    assert guarded.request("GET", "/healthz").status == 200
    reply = guarded.request("GET", "/collections")
    assert (reply.status, "needs a key" in reply.text) == (401, True)
    for headers in ({"api-key": "admin-key-2"}, {"authorization": "Bearer nobody"}, {"authorization": "Basic abc"}):
        assert guarded.request("GET", "/collections", headers=headers).status == 401
    assert guarded.request("GET", "/collections", headers={"authorization": "Bearer admin-key-1"}).status == 200
    assert guarded.request("GET", "/v2/health/live").status == 200


def test_a_key_for_reading_does_not_write(clients: Clients) -> None:
    clients["admin"].upsert("red", [point(1)])
    assert clients["reader"].count("red").count == 1
    with refused(403):
        clients["reader"].upsert("red", [point(2)])
    with refused(403):
        clients["reader"].delete_collection("red")


def test_snapshots_are_not_for_tenants_nor_uploads_for_readers(clients: Clients, tmp_path: Path) -> None:
    (tmp_path / "x.snapshot").write_bytes(b"")
    for name, status in (("acme", 403), ("reader", 403), ("blue", 404)):
        with (tmp_path / "x.snapshot").open("rb") as file, refused(status):
            clients[name].http.snapshots_api.recover_from_uploaded_snapshot("red", snapshot=file)


def test_a_key_reaches_its_collections_and_sees_no_others(clients: Clients) -> None:
    blue = clients["blue"]
    assert {each.name for each in blue.get_collections().collections} == {"blue", "blue-2"}
    blue.upsert("blue-2", [point(1)])
    with refused(404):
        blue.count("red")
    with refused(404):
        blue.create_collection("red-2", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    clients["admin"].update_collection_aliases(
        [models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name="red", alias_name="blue-door"))]
    )
    with refused(404):
        blue.count("blue-door")
    with refused(404):
        blue.query_points("blue", query=1, lookup_from=models.LookupLocation(collection="red"))


def test_tenants_never_see_one_another(clients: Clients) -> None:
    acme, rival = clients["acme"], clients["rival"]
    acme.upsert("blue", [point(1, a=1), point(2, a=2, owner="rival")])
    rival.upsert("blue", [point(11, a=1), point(12, a=2)])
    assert {p.id for p in acme.scroll("blue")[0]} == {1, 2}
    assert all(p.payload == {**(p.payload or {}), "owner": "acme"} for p in acme.scroll("blue")[0])
    assert {p.id for p in rival.query_points("blue", query=[1.0, 0.0]).points} == {11, 12}
    assert [p.id for p in rival.retrieve("blue", [1, 11])] == [11]
    everyone = models.Filter(should=[models.HasIdCondition(has_id=[1, 2, 11, 12])])
    assert rival.count("blue", count_filter=everyone).count == 2
    assert rival.get_collection("blue").points_count == 2
    with refused(404):
        rival.query_points("blue", query=1)
    with refused(404):
        rival.query_points("blue", query=models.NearestQuery(nearest=1, mmr=models.Mmr()))
    near = models.Prefetch(query=[1.0, 0.0], limit=10)
    formula = models.FormulaQuery(formula=models.SumExpression(sum=["$score", everyone]))
    assert {p.id for p in rival.query_points("blue", prefetch=near, query=formula).points} == {11, 12}
    assert set(rival.search_matrix_offsets("blue", sample=10).ids) == {11, 12}
    assert {p.b for p in rival.search_matrix_pairs("blue", sample=10, query_filter=everyone).pairs} == {11, 12}
    with refused(409):
        rival.upsert("blue", [point(1, stolen=True)])
    rival.delete("blue", [1, 2])
    rival.delete("blue", everyone)
    rival.set_payload("blue", {"owner": "rival"}, points=everyone)
    assert {p.id for p in acme.scroll("blue")[0]} == {1, 2}
    assert acme.scroll("blue")[0][0].payload == {"a": 1, "owner": "acme"}


def test_a_tenant_cannot_leave_its_own_points(clients: Clients) -> None:
    acme = clients["acme"]
    acme.upsert("blue", [point(3, b=1)])
    acme.overwrite_payload("blue", {"owner": "rival"}, points=[3])
    acme.delete_payload("blue", ["owner"], points=[3])
    acme.clear_payload("blue", [3])
    assert [p.payload for p in acme.retrieve("blue", [3])] == [{"owner": "acme"}]
    acme.delete("blue", [3])


def test_a_tenant_has_a_quota(clients: Clients) -> None:
    acme = clients["acme"]
    acme.upsert("red", [point(100 + i) for i in range(5)])
    acme.upsert("red", [point(100, again=True)])
    with refused(413):
        acme.upsert("red", [point(105)])
    assert acme.count("red").count == 5
    acme.delete("red", [100])
    acme.upsert("red", [point(105)])


def test_a_tenant_does_not_touch_collections(clients: Clients) -> None:
    acme = clients["acme"]
    with refused(403):
        acme.delete_collection("red")
    with refused(403):
        acme.create_snapshot("red")
    with refused(403):
        acme.list_snapshots("red")
    with refused(403):
        acme.create_payload_index("red", "x", models.PayloadSchemaType.KEYWORD)


def test_grpc_asks_for_the_same_keys(guarded: RunningServer, clients: Clients) -> None:
    clients["acme"].upsert("blue-2", [point(1000)])
    request = pb.CountRequest(collection="blue-2").SerializeToString()
    upsert = pb.UpsertRequest(collection="blue-2").SerializeToString()
    with grpc.insecure_channel(guarded.grpc_address) as channel:
        count = channel.unary_unary("/hekla.vector.v1.Vectors/Count")
        write = channel.unary_unary("/hekla.vector.v1.Vectors/Upsert")
        with pytest.raises(grpc.RpcError) as told:
            count(request, timeout=20)
        assert told.value.code() is grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(grpc.RpcError) as told:
            write(upsert, timeout=20, metadata=[("api-key", KEYS["reader"])])
        assert told.value.code() is grpc.StatusCode.PERMISSION_DENIED
        answer = count(request, timeout=20, metadata=[("authorization", f"Bearer {KEYS['acme']}")])
        assert pb.CountResponse.FromString(answer).count == 1


def test_keys_that_cannot_work_stop_the_server_from_starting(tmp_path: Path) -> None:
    from hekla.base.errors import ConfigError
    from hekla.serve.apis.keys import Keys
    from hekla.serve.apis.server_toml import read_server_toml

    path = tmp_path / "server.toml"
    for keys, says in (
        ('key = "short"', "no usable key"),
        ('key_env = "NOBODY_SET_THIS"', "no usable key"),
        ('key = "long-enough"\nkey_env = "X"', "no usable key"),
    ):
        path.write_text(f'[apis.vector]\nfolder = "x"\n[[apis.vector.keys]]\n{keys}\n')
        with pytest.raises(ConfigError, match=says):
            Keys(read_server_toml(path).apis["vector"].keys, "[apis.vector]")
    path.write_text('[apis.vector]\nfolder = "x"\n[[apis.vector.keys]]\nkey = "abcdefgh"\nright = "read"\n')
    with pytest.raises(ConfigError, match=r"server.toml:5: .*unknown key; did you mean 'rights'\?"):
        read_server_toml(path)
