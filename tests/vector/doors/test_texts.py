"""Texts in requests become vectors by the server's own model: upserted, searched, and fused with words."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse
from tests.conformance.embedder import DIMENSIONS, write_embedder
from tests.running_server import RunningServer, running_server

LINES = ("aaa bbb", "abc abc", "ggg fff", "the harbour froze", "fishing boats stay in harbours")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder: Path = tmp_path_factory.mktemp("texts")
    write_embedder(folder / "models", "embed")
    write_embedder(folder / "models", "other")
    (folder / "server.toml").write_text(f'[apis.vector]\nfolder = "{folder}/vectors"\n')
    args = ("--config", str(folder / "server.toml"), "--python-models", str(folder / "models"))
    with running_server(folder / "models", args=args) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[QdrantClient]:
    made = QdrantClient(url=server.http_url, check_compatibility=False, cloud_inference=True)
    config = models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE)
    made.create_collection("lines", vectors_config=config)
    words = models.TextIndexParams(
        type=models.TextIndexType.TEXT,
        stemmer=models.SnowballParams(type=models.Snowball.SNOWBALL, language=models.SnowballLanguage.ENGLISH),
    )
    made.create_payload_index("lines", "text", words)
    points = [
        models.PointStruct(id=i, vector=models.Document(text=line, model="embed"), payload={"text": line})
        for i, line in enumerate(LINES)
    ]
    made.upsert("lines", points)
    yield made
    made.close()


def expected(text: str) -> np.ndarray:  # (DIMENSIONS,) f64
    row = np.zeros(DIMENSIONS)
    for byte in text.encode():
        row[byte % DIMENSIONS] += 1
    return row / np.linalg.norm(row)


def test_texts_are_upserted_and_searched_by_their_meaning(client: QdrantClient) -> None:
    found = client.query_points("lines", query=models.Document(text="ggg", model="embed"), limit=1, with_vectors=True)
    assert found.points[0].id == 2
    np.testing.assert_allclose(np.array(found.points[0].vector), expected(LINES[2]), atol=1e-5)


def test_a_text_may_leave_the_model_to_the_server(server: RunningServer, client: QdrantClient) -> None:
    asked = {"query": {"text": "ggg fff"}, "limit": 1}
    assert server.post_json("/collections/lines/points/query", asked).json()["result"]["points"][0]["id"] == 2


def test_words_and_meaning_are_fused(server: RunningServer, client: QdrantClient) -> None:
    asked = {
        "prefetch": [
            {"query": {"text": "fish in a harbour", "model": "other"}, "limit": 5},
            {"query": {"words": "fish in a harbour", "path": "text"}, "limit": 5},
        ],
        "query": {"rrf": {"k": 60}},
        "with_payload": True,
        "limit": 1,
    }
    found = server.post_json("/collections/lines/points/query", asked).json()["result"]["points"]
    assert found[0]["payload"]["text"] == LINES[4]


def test_many_texts_go_to_the_model_in_parts(client: QdrantClient) -> None:
    config = models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE)
    client.create_collection("many", vectors_config=config)
    texts = [f"text {i}" for i in range(150)]
    batch = models.Batch(ids=list(range(150)), vectors=[models.Document(text=t, model="embed") for t in texts])
    client.upsert("many", batch)
    found = client.retrieve("many", [149], with_vectors=True)
    np.testing.assert_allclose(np.array(found[0].vector), expected("text 149"), atol=1e-5)


@pytest.mark.parametrize(
    ("text", "model", "says"), [("", "embed", "a text is empty"), ("a", "nobody", "404"), ("a", "", "")]
)
def test_texts_that_cannot_become_vectors_are_refused(
    server: RunningServer, client: QdrantClient, text: str, model: str, says: str
) -> None:
    if not model:
        wrong = server.post_json("/collections/lines/points/query", {"query": {"text": text, "model": 1}})
        assert (wrong.status, "$.query.model" in wrong.text) == (400, True)
        return
    with pytest.raises(UnexpectedResponse, match=says):
        client.query_points("lines", query=models.Document(text=text, model=model))


def test_the_servers_embeddings_and_the_points_are_the_same(server: RunningServer, client: QdrantClient) -> None:
    body = {"model": "embed", "input": [LINES[0]]}
    vector = server.post_json("/v1/embeddings", body).json()["data"][0]["embedding"]
    assert client.query_points("lines", query=vector, limit=1).points[0].id == 0
