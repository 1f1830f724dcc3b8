"""Collections, aliases, indexes and snapshots by the unmodified client."""

import tarfile
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse
from tests.running_server import RunningServer, running_server


def plain(size: int = 4, distance: models.Distance = models.Distance.DOT) -> models.VectorParams:
    return models.VectorParams(size=size, distance=distance)


def fill(client: QdrantClient, name: str, count: int = 10) -> None:
    client.upsert(name, [models.PointStruct(id=i, vector=[float(i), 1, 0, 0], payload={"i": i}) for i in range(count)])


def test_a_collection_lives_from_create_to_delete(served: QdrantClient) -> None:
    assert not served.collection_exists("life")
    hints = models.HnswConfigDiff(m=8, on_disk=True)
    assert served.create_collection(
        "life",
        vectors_config={
            "a": plain(),
            "many": models.VectorParams(
                size=3,
                distance=models.Distance.COSINE,
                multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
            ),
        },
        sparse_vectors_config={"s": models.SparseVectorParams(modifier=models.Modifier.IDF)},
        hnsw_config=hints,
        quantization_config=models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8)
        ),
        on_disk_payload=True,
        shard_number=1,
    )
    assert served.collection_exists("life")
    assert "life" in {each.name for each in served.get_collections().collections}
    info = served.get_collection("life")
    assert isinstance(info.config.params.vectors, dict)
    assert info.config.params.vectors["many"].multivector_config is not None
    assert info.config.params.sparse_vectors == {"s": models.SparseVectorParams(modifier=models.Modifier.IDF)}
    assert served.update_collection("life", optimizers_config=models.OptimizersConfigDiff(indexing_threshold=1))
    with pytest.raises(UnexpectedResponse, match="already exists"):
        served.create_collection("life", vectors_config=plain())
    assert served.delete_collection("life")
    assert not served.delete_collection("life")


def test_max_sim_of_several_vectors_is_that_of_the_local_mode(served: QdrantClient, local: QdrantClient) -> None:
    rng = np.random.default_rng(0)
    config = models.VectorParams(
        size=6,
        distance=models.Distance.COSINE,
        multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
    )
    points = [models.PointStruct(id=i, vector=rng.normal(size=(1 + i % 4, 6)).tolist(), payload={}) for i in range(40)]
    query = rng.normal(size=(3, 6)).tolist()
    found = []
    for client in (served, local):
        client.create_collection("many", vectors_config=config)
        client.upsert("many", points)
        found.append([(p.id, round(p.score, 4)) for p in client.query_points("many", query=query, limit=12).points])
    assert found[0] == found[1]


def test_uploads_of_arrays_and_of_points_in_batches(served: QdrantClient) -> None:
    served.create_collection("upload", vectors_config=plain(8, models.Distance.COSINE))
    vectors = np.random.default_rng(1).normal(size=(150, 8)).astype(np.float32)
    served.upload_collection(
        "upload", vectors=vectors, payload=[{"n": i} for i in range(150)], ids=range(150), wait=True
    )
    more = [models.PointStruct(id=200 + i, vector=vectors[i].tolist()) for i in range(20)]
    served.upload_points("upload", more, batch_size=7, wait=True)
    assert served.count("upload").count == 170
    assert served.query_points("upload", query=vectors[5], limit=1).points[0].id in (5, 205)


def test_aliases_stand_for_collections(served: QdrantClient) -> None:
    for name in ("blue", "green"):
        served.create_collection(name, vectors_config=plain())
        fill(served, name, 3 if name == "blue" else 5)
    create = models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name="blue", alias_name="live"))
    served.update_collection_aliases([create])
    assert served.count("live").count == 3
    assert served.get_collection_aliases("blue").aliases[0].alias_name == "live"
    served.update_collection_aliases(
        [
            models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name="live")),
            models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name="green", alias_name="live")),
            models.RenameAliasOperation(
                rename_alias=models.RenameAlias(old_alias_name="live", new_alias_name="current")
            ),
        ]
    )
    assert [(a.alias_name, a.collection_name) for a in served.get_aliases().aliases] == [("current", "green")]
    assert served.count("current").count == 5
    with pytest.raises(UnexpectedResponse, match="Not found: Collection"):
        served.count("live")


def test_payload_indexes_of_every_kind_come_and_go(served: QdrantClient) -> None:
    served.create_collection("indexed", vectors_config=plain())
    fill(served, "indexed")
    for kind in models.PayloadSchemaType:
        served.create_payload_index("indexed", f"of_{kind.value}", kind)
    words = models.TextIndexParams(
        type=models.TextIndexType.TEXT,
        tokenizer=models.TokenizerType.WORD,
        lowercase=True,
        stemmer=models.SnowballParams(type=models.Snowball.SNOWBALL, language=models.SnowballLanguage.ENGLISH),
    )
    served.create_payload_index("indexed", "story", words)
    schema = served.get_collection("indexed").payload_schema
    assert {path: info.data_type.value for path, info in schema.items()} == {
        **{f"of_{kind.value}": kind.value for kind in models.PayloadSchemaType},
        "story": "text",
    }
    served.upsert(
        "indexed", [models.PointStruct(id=1, vector=[1.0, 0, 0, 0], payload={"story": "Fishing in harbours"})]
    )
    condition = models.FieldCondition(key="story", match=models.MatchText(text="fish harbour"))
    assert served.count("indexed", count_filter=models.Filter(must=[condition])).count == 1
    served.delete_payload_index("indexed", "story")
    assert "story" not in served.get_collection("indexed").payload_schema


def test_a_snapshot_is_made_fetched_and_put_back(served: QdrantClient, server: RunningServer, tmp_path: Path) -> None:
    served.create_collection("kept", vectors_config=plain())
    fill(served, "kept")
    made = served.create_snapshot("kept")
    assert made is not None
    assert [each.name for each in served.list_snapshots("kept")] == [made.name]
    with urllib.request.urlopen(f"{server.http_url}/collections/kept/snapshots/{made.name}") as answer:
        fetched = answer.read()
    assert len(fetched) == made.size
    served.delete("kept", list(range(5)))
    assert served.count("kept").count == 5
    assert served.recover_snapshot("kept", f"file:kept/{made.name}", checksum=made.checksum, wait=True)
    assert served.count("kept").count == 10
    assert served.recover_snapshot("kept-twin", f"kept/{made.name}", wait=True)
    assert served.query_points("kept-twin", query=[1.0, 0, 0, 0], limit=1).points[0].id == 9
    for location in ("../../server.toml", "/etc/passwd", "kept/none.snapshot", "http://127.0.0.1:1/x.snapshot"):
        with pytest.raises(UnexpectedResponse, match=r"404|501"):
            served.recover_snapshot("kept", location, wait=True)
    assert served.delete_snapshot("kept", made.name, wait=True)
    assert served.list_snapshots("kept") == []


def upload(client: QdrantClient, name: str, file: Path, checksum: str | None = None) -> object:
    with file.open("rb") as snapshot:
        more: Any = {} if checksum is None else {"checksum": checksum}  # Any: of the client
        api = client.http.snapshots_api
        return api.recover_from_uploaded_snapshot(name, wait=True, snapshot=snapshot, **more).result


def test_a_snapshot_is_uploaded(served: QdrantClient, server: RunningServer, tmp_path: Path) -> None:
    served.create_collection("sent", vectors_config=plain())
    fill(served, "sent")
    made = served.create_snapshot("sent")
    assert made is not None
    file = tmp_path / "x.snapshot"
    with urllib.request.urlopen(f"{server.http_url}/collections/sent/snapshots/{made.name}") as answer:
        file.write_bytes(answer.read())
    served.delete("sent", list(range(10)))
    assert upload(served, "sent", file, made.checksum) is True
    assert upload(served, "sent-twin", file) is True
    assert (served.count("sent").count, served.count("sent-twin").count) == (10, 10)
    with pytest.raises(UnexpectedResponse, match="the checksum is another"):
        upload(served, "sent", file, "0" * 64)
    cut, clipped = tmp_path / "cut.snapshot", tmp_path / "clipped.snapshot"
    with tarfile.open(file) as tar:
        last = tar.getmembers()[-1]
    cut.write_bytes(file.read_bytes()[: last.offset])
    clipped.write_bytes(file.read_bytes()[: last.offset + 700])
    strange = tmp_path / "strange.snapshot"
    with tarfile.open(strange, "w") as tar:
        tar.add(file, "../../evil")
    for wrong, words in ((cut, "is cut off"), (clipped, "is no snapshot"), (strange, "which is no collection")):
        with pytest.raises(UnexpectedResponse, match=words):
            upload(served, "sent", wrong)
    assert served.count("sent").count == 10


@pytest.mark.parametrize(
    ("media_type", "body", "status", "says"),
    [
        ("application/json", b"{}", 501, "expected multipart/form-data"),
        ("multipart/form-data", b"{}", 501, "with a boundary"),
        ("multipart/form-data; boundary=x", b"{}", 400, "no part"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Dis", 400, "ends within a part"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="snapshot"\r\n\r\nA\r\n--x--\r\n',
            400,
            "no part named 'snapshot'",
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="snapshot"\r\n\r\nno tar\r\n--x--\r\n',
            400,
            "is no snapshot",
        ),
    ],
)
def test_an_upload_that_is_none_is_refused(
    server: RunningServer, media_type: str, body: bytes, status: int, says: str
) -> None:
    path = "/collections/none/snapshots/upload"
    answer = server.request("POST", path, body, headers={"content-type": media_type})
    assert (answer.status, says in answer.text) == (status, True), answer.text
    assert server.request("GET", "/collections/none/exists").json()["result"] == {"exists": False}


def test_snapshots_are_taken_from_folders_the_operator_allows(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "backups").mkdir()
    (tmp_path / "server.toml").write_text(
        f'[apis.vector]\nfolder = "{tmp_path}/vectors"\nrecover_from = ["{tmp_path}/backups"]\n'
        '[[apis.vector.keys]]\nkey = "admin-key"\n[[apis.vector.keys]]\nkey = "other-key"\ncollections = ["k*"]\n'
    )
    with running_server(tmp_path / "models", args=("--config", str(tmp_path / "server.toml"))) as server:
        with pytest.warns(UserWarning, match="insecure"):
            admin, some = (
                QdrantClient(url=server.http_url, api_key=key, check_compatibility=False)
                for key in ("admin-key", "other-key")
            )
        admin.create_collection("kept", vectors_config=plain())
        fill(admin, "kept")
        made = admin.create_snapshot("kept")
        assert made is not None
        at = tmp_path / "backups" / "monday.snapshot"
        (tmp_path / "vectors" / "snapshots" / "kept" / made.name).rename(at)
        assert admin.recover_snapshot("kept-again", f"file://{at}", checksum=made.checksum)
        assert admin.count("kept-again").count == 10
        (tmp_path / "backups" / "link.snapshot").symlink_to(tmp_path / "server.toml")
        for client, name in ((some, "monday.snapshot"), (admin, "link.snapshot"), (admin, "../server.toml")):
            with pytest.raises(UnexpectedResponse, match="404"):
                client.recover_snapshot("kept-again", f"file://{tmp_path}/backups/{name}")
        for client in (admin, some):
            client.close()


@pytest.mark.slow
def test_what_is_there_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "server.toml").write_text(f'[apis.vector]\nfolder = "{tmp_path}/vectors"\n')
    for is_second in (False, True):
        with running_server(tmp_path / "models", args=("--config", str(tmp_path / "server.toml"))) as server:
            client = QdrantClient(url=server.http_url, check_compatibility=False)
            if not is_second:
                client.create_collection("again", vectors_config=plain())
                fill(client, "again")
                create = models.CreateAlias(collection_name="again", alias_name="same")
                client.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])
            assert client.count("same").count == 10
            client.close()


def test_the_server_says_what_it_is(server: RunningServer) -> None:
    client = QdrantClient(url=server.http_url)  # asks for the version by itself, and would warn
    assert client.info().title.startswith("hekla")
    client.close()
    for path in ("/healthz", "/livez", "/readyz"):
        assert server.request("GET", path).status == 200
    page = server.request("GET", "/", headers={"accept": "text/html,*/*"})
    assert page.headers["content-type"].startswith("text/html")
    assert server.request("GET", "/cluster").json()["result"] == {"status": "disabled"}


def test_metrics_and_the_description_know_the_routes(server: RunningServer, served: QdrantClient) -> None:
    served.create_collection("measured", vectors_config=plain())
    fill(served, "measured")
    assert server.metric("hekla_vector_points", collection="measured") == 10
    assert server.metric("hekla_api_requests_total", collection="measured", status="200") >= 2
    name = "hekla_api_request_duration_seconds_count"
    assert server.metric(name, collection="measured", route="/collections/{name}/points") == 1
    paths = server.request("GET", "/openapi.json").json()["paths"]
    assert paths["/collections/{name}/points/query"]["post"]["tags"] == ["vectors"]
