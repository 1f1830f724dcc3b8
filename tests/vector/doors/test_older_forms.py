"""The routes of older clients answer what `query` does; asyncio's client is served as the other is."""

import asyncio
from typing import Any

import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient
from tests.running_server import RunningServer
from tests.vector.doors.worlds import NAME, dense

Json = Any  # a value of a JSON document
POINTS = f"/collections/{NAME}/points"
VECTOR = dense(np.random.default_rng(11), "d")
RED = {"must": [{"key": "colour", "match": {"value": "red"}}]}
MORE: Json = {"limit": 7, "offset": 1, "filter": RED, "with_payload": ["colour"], "params": {"exact": True}}
PAIRS = [{"positive": 20, "negative": 21}]
FORMS: dict[str, tuple[Json, Json]] = {  # route: (its request, the same for `query`)
    "search": ({"vector": {"name": "d", "vector": VECTOR}}, {"query": VECTOR, "using": "d"}),
    "recommend": (
        {"positive": [20, VECTOR], "negative": [21], "using": "d"},
        {"query": {"recommend": {"positive": [20, VECTOR], "negative": [21]}}, "using": "d"},
    ),
    "discover": (
        {"target": VECTOR, "context": PAIRS, "using": "d"},
        {"query": {"discover": {"target": VECTOR, "context": PAIRS}}, "using": "d"},
    ),
}


@pytest.mark.parametrize("route", FORMS)
def test_an_older_form_answers_as_query_does(
    server: RunningServer, both: tuple[QdrantClient, QdrantClient], route: str
) -> None:
    points = [{"id": id_, "vector": {"d": dense(np.random.default_rng(id_), "d")}} for id_ in (20, 21)]
    assert server.request("PUT", POINTS, str({"points": points}).replace("'", '"')).status == 200
    older, newer = ({**form, **MORE} for form in FORMS[route])
    expected = server.post_json(f"{POINTS}/query", newer).json()["result"]["points"]
    assert len(expected) == 7
    assert server.post_json(f"{POINTS}/{route}", older).json()["result"] == expected
    batch = server.post_json(f"{POINTS}/{route}/batch", {"searches": [older, older]}).json()["result"]
    assert batch == [expected, expected]


@pytest.mark.parametrize("route", ["search", "recommend"])
def test_older_groups_are_those_of_query(
    server: RunningServer, both: tuple[QdrantClient, QdrantClient], route: str
) -> None:
    by: Json = {"group_by": "colour", "group_size": 2, "limit": 3, "with_payload": True}
    older, newer = ({**form, **by} for form in FORMS[route])
    expected = server.post_json(f"{POINTS}/query/groups", newer).json()["result"]
    assert len(expected["groups"]) == 3
    assert server.post_json(f"{POINTS}/{route}/groups", older).json()["result"] == expected


def test_clients_for_asyncio_are_served_many_at_once(
    server: RunningServer, both: tuple[QdrantClient, QdrantClient]
) -> None:
    async def run() -> list[list[object]]:
        client = AsyncQdrantClient(url=server.http_url, check_compatibility=False)
        answers = await asyncio.gather(*(client.query_points(NAME, query=VECTOR, using="d") for _ in range(20)))
        await client.close()
        return [[point.id for point in answer.points] for answer in answers]

    expected = [point.id for point in both[0].query_points(NAME, query=VECTOR, using="d").points]
    assert asyncio.run(run()) == [expected] * 20
