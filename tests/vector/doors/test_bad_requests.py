"""What is wrong is refused with its place, and the server goes on."""

import gzip
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models
from tests.running_server import Reply, RunningServer, running_server

POINTS = "/collections/bad/points"
Json = Any  # a value of a JSON document


@pytest.fixture(scope="module", autouse=True)
def _collection(served: QdrantClient) -> None:
    config = {
        "d": models.VectorParams(size=4, distance=models.Distance.COSINE),
        "p": models.VectorParams(size=4, distance=models.Distance.DOT),
    }
    served.create_collection("bad", vectors_config=config, sparse_vectors_config={"s": models.SparseVectorParams()})
    served.upsert("bad", [models.PointStruct(id=i, vector={"d": [1.0, i, 0, 0]}, payload={}) for i in range(10)])


def ask(server: RunningServer, method: str, path: str, document: Json) -> Reply:
    text = document if isinstance(document, str | bytes) else json.dumps(document)
    return server.request(method, path, text, {"content-type": "application/json"})


def deep(levels: int) -> Json:
    filter_: Json = {"must": [{"key": "a", "match": {"value": 1}}]}
    for _ in range(levels):
        filter_ = {"must": [filter_]}
    return filter_


def put(vector: Json, **more: Json) -> Json:
    return {"points": [{"id": 1, "vector": vector, **more}]}


WRONG: dict[str, tuple[str, str, Json, int, str]] = {
    "NaN": ("PUT", POINTS, '{"points": [{"id": 1, "vector": {"d": [NaN, 1, 1, 1]}}]}', 400, "is no JSON"),
    "null": ("PUT", POINTS, put({"d": [None, 1, 1, 1]}), 400, "expected a list of numbers"),
    "infinity": ("PUT", POINTS, '{"points": [{"id": 1, "vector": {"d": [1e999, 1, 1, 1]}}]}', 400, ""),
    "too large for f32": ("PUT", POINTS, put({"d": [1e300, 1, 1, 1]}), 400, "NaN or infinity"),
    "zeros under cosine": ("PUT", POINTS, put({"d": [0, 0, 0, 0]}), 400, "no direction"),
    "dimension": ("PUT", POINTS, put({"d": [1, 2, 3]}), 400, "expected 4 numbers, got 1x3"),
    "unnamed": ("PUT", POINTS, put([1, 2, 3, 4]), 400, "no vector is named ''"),
    "name": ("PUT", POINTS, put({"e": [1, 2, 3, 4]}), 400, "no vector is named 'e'"),
    "text as vector": ("PUT", POINTS, put("abc"), 400, "expected an object"),
    "sparse": ("PUT", POINTS, put({"s": {"indices": [1, 1], "values": [1, 2]}}), 400, "names an index twice"),
    "sparse lengths": ("PUT", POINTS, put({"s": {"indices": [1], "values": [1, 2]}}), 400, "1 indices and 2 values"),
    "sparse index": ("PUT", POINTS, put({"s": {"indices": [-1], "values": [1]}}), 400, "below 2^32"),
    "id": ("PUT", POINTS, {"points": [{"id": -1, "vector": {}}]}, 400, "$.points[0].id"),
    "text id": ("PUT", POINTS, {"points": [{"id": "x", "vector": {}}]}, 400, "or a UUID"),
    "payload": ("PUT", POINTS, put({}, payload=[1]), 400, "$.points[0].payload"),
    "unknown field": ("PUT", POINTS, put({}, paylod={}), 400, "did you mean 'payload'?"),
    "no points": ("PUT", POINTS, {}, 400, "$.points: this field is missing"),
    "batch lengths": ("PUT", POINTS, {"batch": {"ids": [1, 2], "vectors": {"d": [[1, 1, 1, 1]]}}}, 400, "list of 2"),
    "JSON": ("POST", f"{POINTS}/query", "{", 400, "is no JSON"),
    "no object": ("POST", f"{POINTS}/query", "[]", 400, "expected an object"),
    "limit 0": ("POST", f"{POINTS}/query", {"query": 1, "using": "d", "limit": 0}, 400, "$.limit"),
    "limit": ("POST", f"{POINTS}/query", {"query": 1, "using": "d", "limit": 10**9}, 400, "1 to 1000000"),
    "no such point": ("POST", f"{POINTS}/query", {"query": 77, "using": "d"}, 404, "no point 77"),
    "query": ("POST", f"{POINTS}/query", {"query": {"nearby": [1]}}, 400, "did you mean 'nearest'?"),
    "fusion": ("POST", f"{POINTS}/query", {"query": {"fusion": "rrf"}}, 400, "there are none"),
    "feedback": ("POST", f"{POINTS}/query", {"query": {"relevance_feedback": {}}}, 501, "is not supported"),
    "idf": ("POST", f"{POINTS}/query", {"query": 1, "params": {"idf": {}}}, 501, "$.params.idf"),
    "sample": ("POST", f"{POINTS}/search/matrix/pairs", {"sample": 10**6}, 400, "at most 1000"),
    "update filter": ("PUT", POINTS, {"points": [], "update_filter": {}}, 501, "$.update_filter"),
    "strict mode": ("PUT", "/collections/new", {"strict_mode_config": {"enabled": True}}, 501, "strict_mode_config"),
    "prefix": (
        "POST",
        f"{POINTS}/count",
        {"filter": {"must": [{"key": "a", "match": {"prefix": "x"}}]}},
        501,
        "match.prefix",
    ),
    "index in a path": (
        "POST",
        f"{POINTS}/count",
        {"filter": {"must": [{"key": "a[0]", "match": {"value": 1}}]}},
        501,
        "has an index",
    ),
    "deep filter": ("POST", f"{POINTS}/count", {"filter": deep(100)}, 400, "over 64 deep"),
    "very deep": ("POST", f"{POINTS}/count", '{"filter":' + '{"must":' * 5000 + "{}" + "}" * 5001, 400, ""),
    "wide filter": (
        "POST",
        f"{POINTS}/count",
        {"filter": {"must": [{"has_id": [1]}] * 10_001}},
        400,
        "10000 conditions",
    ),
    "condition": ("POST", f"{POINTS}/count", {"filter": {"must": [{"key": "a", "mtach": {}}]}}, 400, "match"),
    "two kinds": (
        "POST",
        f"{POINTS}/count",
        {"filter": {"must": [{"key": "a", "match": {"value": 1}, "range": {"gt": 1}}]}},
        400,
        "expected one of",
    ),
    "ring": (
        "POST",
        f"{POINTS}/count",
        {"filter": {"must": [{"key": "a", "geo_polygon": {"exterior": {"points": []}}}]}},
        400,
        "a ring",
    ),
    "unknown collection": ("POST", "/collections/bda/points/count", {}, 404, "Collection `bda` doesn't exist"),
    "order without index": ("POST", f"{POINTS}/scroll", {"order_by": "n"}, 400, "cannot be ordered by"),
    "facet without index": ("POST", "/collections/bad/facet", {"key": "n"}, 400, "no index"),
    "distance": ("PUT", "/collections/new", {"vectors": {"size": 4, "distance": "Cosin"}}, 400, "did you mean"),
    "size": ("PUT", "/collections/new", {"vectors": {"size": 0, "distance": "Dot"}}, 400, "must be 1 to 65536"),
    "huge size": ("PUT", "/collections/new", {"vectors": {"size": 65537, "distance": "Dot"}}, 400, "65537"),
    "datatype": (
        "PUT",
        "/collections/new",
        {"vectors": {"size": 4, "distance": "Dot", "datatype": "uint8"}},
        501,
        "no datatype",
    ),
    "metadata": ("PUT", "/collections/new", {"metadata": {"a": 1}}, 501, "$.metadata: is not supported"),
    "name with a path": ("PUT", "/collections/..%2Fx", {}, 400, "cannot name a collection"),
    "hidden name": ("PUT", "/collections/.x", {}, 400, "cannot name a collection"),
    "index kind": ("PUT", "/collections/bad/index", {"field_name": "a", "field_schema": "int"}, 400, "unknown kind"),
    "text for none": ("POST", f"{POINTS}/query", {"query": {"text": "hello"}, "using": "d"}, 404, "embed"),
    "image": ("POST", f"{POINTS}/query", {"query": {"image": "x", "model": "m"}}, 400, "unknown query"),
    "delete what": ("POST", f"{POINTS}/delete", {}, 400, "points or filter"),
    "operation": ("POST", f"{POINTS}/batch", {"operations": [{"upsart": {}}]}, 400, "$.operations[0]"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_refused_with_its_place(server: RunningServer, what: str) -> None:
    method, path, document, status, says = WRONG[what]
    reply = ask(server, method, path, document)
    assert reply.status == status, reply.text
    error = reply.json()["status"]["error"]
    assert says in error, error
    assert "Traceback" not in error
    assert ask(server, "POST", f"{POINTS}/count", {}).json()["result"] == {"count": 10}


def test_the_last_of_two_points_with_one_id_stays(server: RunningServer) -> None:
    twice = {"points": [{"id": 1, "vector": {"d": [1, n, 0, 0]}, "payload": {"n": n}} for n in (1, 2)]}
    assert ask(server, "PUT", f"{POINTS}?wait=true", twice).json()["result"]["status"] == "completed"
    assert ask(server, "GET", f"{POINTS}/1", "").json()["result"]["payload"] == {"n": 2}
    assert ask(server, "GET", f"{POINTS}/77", "").status == 404


def test_more_points_than_there_are_is_all_of_them(server: RunningServer) -> None:
    found = ask(server, "POST", f"{POINTS}/query", {"query": [1, 0, 0, 0], "using": "d", "limit": 5000})
    assert len(found.json()["result"]["points"]) == 10


def test_a_payload_of_a_mebibyte_is_kept_and_over_the_limit_is_refused(server: RunningServer) -> None:
    large = "x" * (1 << 20)
    assert ask(server, "PUT", POINTS, put({}, payload={"text": large})).status == 200
    assert ask(server, "GET", f"{POINTS}/1", "").json()["result"]["payload"] == {"text": large}
    refused = ask(server, "PUT", POINTS, put({}, payload={"text": "x" * (17 << 20)}))
    assert (refused.status, "16777216" in refused.text) == (400, True)


@pytest.mark.slow
def test_a_body_over_the_servers_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "server.toml").write_text(f'[apis.vector]\nfolder = "{tmp_path}/vectors"\n')
    args = ("--config", str(tmp_path / "server.toml"), "--max-body-mb", "1")
    with running_server(tmp_path / "models", args=args) as server:
        assert ask(server, "PUT", POINTS, b" " * (2 << 20)).status == 413


def test_bodies_may_come_and_answers_go_compressed(server: RunningServer) -> None:
    ask(server, "PUT", "/collections/zip", {"vectors": {"size": 2, "distance": "Dot"}})
    points = [{"id": i, "vector": [i, 1]} for i in range(50)]
    assert ask(server, "PUT", "/collections/zip/points", {"points": points}).status == 200
    headers = {"content-encoding": "gzip", "accept-encoding": "gzip"}
    body = gzip.compress(json.dumps({"limit": 100, "with_vector": True, "filter": {}}).encode())
    reply = server.request("POST", "/collections/zip/points/scroll", body, headers)
    assert reply.headers.get("content-encoding") == "gzip"
    assert len(json.loads(gzip.decompress(reply.body))["result"]["points"]) == 50


def test_unknown_paths_and_methods_are_told_in_the_same_form(server: RunningServer) -> None:
    assert ask(server, "POST", "/collections/bad/points/serach", {}).json()["status"]["error"]
    wrong = ask(server, "PATCH", POINTS, {})
    assert (wrong.status, wrong.json()["status"]["error"] != "") == (405, True)


def test_a_search_whose_time_is_over_answers_what_it_has_or_says_so(server: RunningServer) -> None:
    reply = ask(server, "POST", f"{POINTS}/query?timeout=0.0000001", {"query": [1, 0, 0, 0], "using": "d"})
    assert reply.status in (200, 504)


@pytest.mark.slow
def test_two_servers_on_one_folder(server: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    config = tmp_path / "server.toml"
    config.write_text(f'[apis.vector]\nfolder = "{tmp_path}/vectors"\n')
    with running_server(tmp_path / "models", args=("--config", str(config))):
        command = [sys.executable, "-m", "hekla", "serve", "-r", str(tmp_path / "models"), "--config", str(config)]
        command += ["--http-port", "0", "--no-grpc"]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode != 0
    assert "has it open for writing" in second.stderr
    assert "Traceback" not in second.stderr


READ_ONLY = """
import os, sys
from pathlib import Path
from hekla.base.errors import ConflictError, UnavailableError
from hekla.protocols.api import Caller
from hekla.vector import CollectionSchema, Point
from hekla.vector.doors.catalogue import Catalogue

if os.geteuid() == 0:  # who writes wherever it likes
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
catalogue = Catalogue(Path(sys.argv[1]))
assert catalogue.is_read_only
collection = catalogue.get("c", Caller())
assert len(collection) == 3
for write, kind in (
    (lambda: collection.upsert([Point(9, {"": [1, 1]})]), ConflictError),
    (lambda: catalogue.create("d", CollectionSchema({}), Caller()), UnavailableError),
    (lambda: catalogue.delete("c", Caller()), UnavailableError),
):
    try:
        write()
    except kind:
        continue
    raise AssertionError("written")
catalogue.close()
"""


@pytest.mark.slow
def test_a_folder_that_is_read_only_is_opened_for_reading(tmp_path: Path) -> None:
    _one_collection(tmp_path)
    with tempfile.TemporaryDirectory() as folder:  # where anybody may look, unlike pytest's
        shutil.copytree(tmp_path / "vectors", Path(folder) / "vectors")
        paths = [Path(folder), *Path(folder).rglob("*")]
        for path in paths:
            path.chmod(0o555 if path.is_dir() else 0o444)
        command = [sys.executable, "-c", READ_ONLY, f"{folder}/vectors"]
        try:
            subprocess.run(command, check=True, timeout=60)
        finally:
            for path in paths:
                path.chmod(0o755)


@pytest.mark.slow
def test_a_broken_or_newer_collection_is_named_and_the_others_are_served(tmp_path: Path) -> None:
    _one_collection(tmp_path)
    newer = b'{"version":99}'
    (tmp_path / "vectors/collections/newer").mkdir()
    (tmp_path / "vectors/collections/newer/manifest.json").write_bytes(newer + b"\n%08x\n" % zlib.crc32(newer))
    (tmp_path / "vectors/collections/broken").mkdir()
    (tmp_path / "vectors/collections/broken/manifest.json").write_text('{"version": 99}')
    (tmp_path / "vectors/collections/empty").mkdir()
    with _serve(tmp_path) as server:
        assert ask(server, "POST", "/collections/c/points/count", {}).json()["result"] == {"count": 3}
        names = [each["name"] for each in server.request("GET", "/collections").json()["result"]["collections"]]
        assert "c" in names
        reply = server.request("GET", "/collections/newer")
        assert (reply.status, "is of version 99, this build reads 1" in reply.text) == (503, True)
        reply = server.request("GET", "/collections/broken")
        assert (reply.status, "collection 'broken' is damaged: " in reply.text) == (503, True)


@pytest.mark.slow
def test_a_full_disk_refuses_writes_keeps_reading_and_goes_on(tmp_path: Path) -> None:
    _one_collection(tmp_path)
    big = {"points": [{"id": 100 + i, "vector": [1, i], "payload": {"t": "x" * 2000}} for i in range(1000)]}
    with _serve(tmp_path) as server:
        before = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1 << 20, before[1]))
        full = ask(server, "PUT", "/collections/c/points", big)
        assert full.status == 503, full.text
        assert ask(server, "POST", "/collections/c/points/count", {}).json()["result"] == {"count": 3}
        assert ask(server, "PUT", "/collections/c/points", put([5, 5])).status == 200
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, before)
        assert ask(server, "PUT", "/collections/c/points", big).status == 200
        assert ask(server, "POST", "/collections/c/points/count", {}).json()["result"] == {"count": 1003}


def _serve(folder: Path) -> Any:  # Any: a context of a running server
    (folder / "models").mkdir(exist_ok=True)
    (folder / "server.toml").write_text(f'[apis.vector]\nfolder = "{folder}/vectors"\n')
    return running_server(folder / "models", args=("--config", str(folder / "server.toml")))


def _one_collection(folder: Path) -> None:
    with _serve(folder) as server:
        ask(server, "PUT", "/collections/c", {"vectors": {"size": 2, "distance": "Dot"}})
        points = [{"id": i, "vector": [1, i]} for i in range(3)]
        assert ask(server, "PUT", "/collections/c/points", {"points": points}).status == 200


@pytest.mark.slow
def test_many_at_once_are_answered_or_told_to_come_back(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    config = tmp_path / "server.toml"
    config.write_text(f'[apis.vector]\nfolder = "{tmp_path}/vectors"\nthreads = 1\nqueue = 1\n')
    with running_server(tmp_path / "models", args=("--config", str(config))) as server:
        ask(server, "PUT", "/collections/c", {"vectors": {"size": 2, "distance": "Dot"}})
        points = [{"id": i, "vector": [1, i], "payload": {"t": "word " * 40}} for i in range(3000)]
        body = json.dumps({"points": points})
        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda _: ask(server, "PUT", "/collections/c/points", body), range(16)))
        statuses = {reply.status for reply in replies}
        assert statuses == {200, 429}
        assert all(reply.headers.get("retry-after") for reply in replies if reply.status == 429)
