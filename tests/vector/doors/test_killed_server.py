"""A server that is killed with many collections and writers at work starts again with all it acknowledged."""

import json
import threading
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from tests.running_server import RunningServer, running_server

COLLECTIONS = 40
Json = Any  # a value of a JSON document


def ask(server: RunningServer, method: str, path: str, document: Json = None) -> Json:
    body = None if document is None else json.dumps(document)
    reply = server.request(method, path, body, {"content-type": "application/json"})
    assert reply.status == 200, reply.text
    return reply.json()["result"]


def serve(folder: Path) -> Any:  # Any: a context of a running server
    (folder / "models").mkdir(exist_ok=True)
    (folder / "server.toml").write_text(f'[apis.vector]\nfolder = "{folder}/vectors"\n')
    return running_server(folder / "models", args=("--config", str(folder / "server.toml")))


def batch(number: int, stamp: int) -> Json:
    points = [{"id": i, "vector": [stamp, i], "payload": {"stamp": stamp, "of": number}} for i in range(5)]
    return {"points": points}


class Writer:
    """Writes one collection's points again and again, with one stamp a batch, until the server is gone."""

    def __init__(self, server: RunningServer, number: int) -> None:
        self.server, self.number, self.acknowledged, self.tried = server, number, 0, 0

    def run(self) -> None:
        try:
            while True:
                self.tried += 1
                path = f"/collections/c{self.number}/points?wait=true"
                ask(self.server, "PUT", path, batch(self.number, self.tried))
                self.acknowledged = self.tried
        except (OSError, HTTPException):
            return  # killed


@pytest.mark.slow
def test_a_killed_server_comes_back_with_every_collection_and_write(tmp_path: Path) -> None:
    config = {"vectors": {"size": 2, "distance": "Euclid"}}
    with serve(tmp_path) as server:
        for number in range(COLLECTIONS):
            ask(server, "PUT", f"/collections/c{number}", config)
            ask(server, "PUT", f"/collections/c{number}/points?wait=true", batch(number, 0))
        ask(server, "POST", "/collections/aliases", _alias("first", "c0"))
        writers = [Writer(server, number) for number in range(6)]
        threads = [threading.Thread(target=writer.run) for writer in writers]
        for thread in threads:
            thread.start()
        while min(writer.acknowledged for writer in writers) < 20:
            assert any(thread.is_alive() for thread in threads)
        server.process.kill()
        server.process.wait()
        for thread in threads:
            thread.join()
    with serve(tmp_path) as server:
        names = {each["name"] for each in ask(server, "GET", "/collections")["collections"]}
        assert names == {f"c{number}" for number in range(COLLECTIONS)}
        for number in range(COLLECTIONS):
            records = ask(server, "POST", f"/collections/c{number}/points/scroll", {"limit": 100, "with_vector": True})
            stamps = {record["payload"]["stamp"] for record in records["points"]}
            assert len(records["points"]) == 5
            assert len(stamps) == 1, "half a batch"
            assert all(record["vector"] == [record["payload"]["stamp"], record["id"]] for record in records["points"])
            if number < len(writers):
                assert writers[number].acknowledged <= stamps.pop() <= writers[number].tried
        assert ask(server, "POST", "/collections/first/points/count", {}) == {"count": 5}
        for number in range(0, COLLECTIONS, 2):
            ask(server, "DELETE", f"/collections/c{number}")
    with serve(tmp_path) as server:
        names = {each["name"] for each in ask(server, "GET", "/collections")["collections"]}
        assert names == {f"c{number}" for number in range(1, COLLECTIONS, 2)}


def _alias(alias: str, name: str) -> Json:
    return {"actions": [{"create_alias": {"alias_name": alias, "collection_name": name}}]}
