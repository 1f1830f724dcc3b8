"""One script, run on an embedded collection, on a remote one, and on both through asyncio: the same answers."""

import asyncio
import inspect
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.running_server import RunningServer, running_server

from hekla.base.errors import ConflictError, NotFoundError, UnavailableError
from hekla.vector import (
    ALL,
    Collection,
    CollectionSchema,
    Discover,
    Diverse,
    FieldSchema,
    Filter,
    Formula,
    Fusion,
    GeoBox,
    GeoPolygon,
    GeoRadius,
    HasId,
    HasVector,
    IsEmpty,
    IsNull,
    Match,
    MatchText,
    Nearest,
    Nested,
    OrderBy,
    Point,
    PointError,
    Range,
    Recommend,
    Search,
    SparseSchema,
    SparseVector,
    TextOptions,
    ValuesCount,
    VectorSchema,
    Wanted,
    Words,
)
from hekla.vector.client import AsyncCollection, Database, RemoteCollection
from hekla.vector.expressions import (
    Decay,
    Distance,
    Expression,
    Fold,
    Function,
    Moment,
    MomentAt,
    Number,
    Quotient,
    Score,
    Value,
    When,
)
from hekla.vector.filters import Condition, moment

SCHEMA = CollectionSchema(
    {"d": VectorSchema(6), "m": VectorSchema(3, "l2", is_multi=True)},
    {"s": SparseSchema()},
    {
        "colour": FieldSchema("keyword"),
        "size": FieldSchema("integer"),
        "text": FieldSchema("text", TextOptions("english")),
    },
)
WORDS = ("fishing", "boats", "harbour", "glaciers", "sheep")
FILTERS: tuple[Condition, ...] = (
    Match("colour", ("red", "blue")),
    Match("colour", ("red",), is_except=True),
    MatchText("text", "fish boat", "any"),
    MatchText("text", "fishing"),
    Range("size", gte=3, lt=30),
    Range("at", gt=moment("2024-01-01T00:00:09Z", "$"), is_datetime=True),
    GeoBox("place", 50, -50, -50, 50),
    GeoRadius("place", 0, 0, 3e6),
    GeoPolygon("place", ((-60, -60), (60, 0), (-60, 60), (-60, -60))),
    ValuesCount("tags", gte=1),
    IsEmpty("tags"),
    IsNull("nothing"),
    HasId((1, 2, 3, uuid.UUID(int=5))),
    HasVector("m"),
    Nested("parts", Filter(must=(Match("kind", ("a",)), Range("n", gt=1)))),
    Filter(should=(Match("colour", ("red",)), Range("size", lt=5), IsNull("nothing")), min_should=2),
    Filter(must_not=(Match("colour", ("red",)),)),
)
# Every kind of expression.
FORMULA: Expression = (
    2 * Score()
    - Score(1) / 3
    + When(FILTERS[0]) * 0.5
    + When(Filter(must_not=(FILTERS[1],)))
    + Decay("gauss", Distance("place", 10, 20), scale=1e6)
    + Decay("exponential", Value("size"), target=Number(30), midpoint=0.2)
    + Decay("linear", Moment("2024-01-01") - Moment("2024-01-02T00:00:00Z"), scale=1e6)
    + Quotient(Number(1), Value("size"), by_zero=0.5)
    + Function("ln", (abs_size := Function("abs", Value("size"))) + 1) ** 2
    - Fold("max", (abs_size, Number(5))) / (1 + Fold("min", (Number(7), Function("sqrt", abs_size))))
)
LATER = MomentAt("at") - Moment("2024-01-01T00:00:00Z")


def points() -> list[Point]:
    rng = np.random.default_rng(0)
    made = []
    for i in range(60):
        vectors: dict[str, Any] = {  # Any: dense, several, sparse
            "d": rng.normal(size=6).astype(np.float32),
            "s": SparseVector(np.array([i % 7, 10 + i % 5], np.uint32), rng.uniform(1, 2, 2).astype(np.float32)),
        }
        if i % 3:
            vectors["m"] = rng.normal(size=(1 + i % 3, 3)).astype(np.float32)
        payload = {
            "colour": ("red", "green", "blue")[i % 3],
            "size": i,
            "text": " ".join(rng.choice(WORDS, 3)),
            "tags": ["x"] * (i % 3),
            "nothing": None if i % 4 == 0 else 1,
            "at": f"2024-01-01T00:00:{i:02}Z",
            "place": {"lat": i - 30.0, "lon": 2.0 * i - 60},
            "parts": [{"kind": "ab"[i % 2], "n": i % 4}, {"kind": "a", "n": 0}],
        }
        made.append(Point(uuid.UUID(int=i) if i % 5 == 0 else i, vectors, payload))
    return made


def script(collection: Collection | RemoteCollection) -> list[Any]:  # Any: what each step returned
    q = np.random.default_rng(1).normal(size=6).astype(np.float32)
    sparse = SparseVector(np.array([1, 11], np.uint32), np.array([1.0, 2.0], np.float32))
    collection.upsert(points())
    ids = np.arange(1000, 1010, dtype=np.uint64)
    collection.upsert_arrays(ids, {"d": np.tile(q, (10, 1))}, [{"size": -int(i)} for i in ids])
    near, words = Search(Nearest(q, "d"), 20), Search(Words("fishing boat", "text"), 20)
    said: list[Any] = [collection.count(Filter(must=(each,))) for each in FILTERS]
    for search in (
        Search(Nearest(q, "d"), 5, 2, Filter(must=(FILTERS[0],))),
        Search(Nearest(sparse, "s"), 5, score_threshold=1.0),
        Search(Nearest(np.ones((2, 3), np.float32), "m"), 5),
        Search(Nearest(1001, "d"), 5, is_exact=True, ef=100),
        words,
        Search(Fusion("rrf", (2.0, 1.0), 10), 10, prefetch=(near, words)),
        Search(Fusion("distribution"), 10, prefetch=(near, words)),
        Search(Fusion("distribution", (0.2, 1.5)), 10, prefetch=(near, words)),
        Search(Fusion("weighted", (0.3, 0.7)), 10, prefetch=(near, words)),
        Search(Nearest(sparse, "s"), 10, prefetch=(near,)),
        Search(Recommend((1, q), (2,), "best_score", "d"), 6),
        Search(Recommend((1, 3), (2,), using="d"), 6),
        Search(Discover(q, ((1, 2),), "d"), 6),
        Search(Discover(None, ((1, 2), (3, 4)), "d"), 3),
        Search(Diverse(q, "d", 0.3, 30), 6),
        Search(Diverse(sparse, "s"), 4, 1),
        Search(Formula(1 - LATER), 5, prefetch=(words,), filter=Filter(must=(FILTERS[0],))),
        Search(
            Formula(FORMULA, {"size": 1, "$score[1]": -1.0, "place": {"lat": 0, "lon": 0}}), 12, prefetch=(near, words)
        ),
    ):
        found = collection.query(search, Wanted(payload=("colour",), vectors=("d",)))
        said.append(
            [
                (p.id, round(p.score, 4), p.payload, np.round(np.asarray((p.vectors or {})["d"]), 4).tolist())
                for p in found.points
            ]
        )
        said.append(found.is_complete)
    for order in (OrderBy("size"), OrderBy("size", True), OrderBy("size", False, 7.0)):
        said.append([(p.id, p.score) for p in collection.query(Search(order, 5)).points])
    said.append([(p.id, p.payload) for p in collection.search(q, 3, using="d")])
    groups = collection.query_groups(near, "colour", groups=2, group_size=2, wanted=Wanted(payload_without=("text",)))
    said.append([(value, [p.id for p in each]) for value, each in groups])
    said.append(collection.facet("colour", filter_=Filter(must=(Range("size", gt=3),))))
    page, following = collection.scroll(limit=7, after=20, wanted=ALL)
    said.append([(r.id, r.payload, sorted(r.vectors or {})) for r in page])
    said.append(following)
    said += [
        collection.set_payload({"new": 1}, [1, 2, 777]),
        collection.overwrite_payload({"size": 5}, [3]),
        collection.delete_payload(["tags"], Filter(must=(Match("colour", ("red",)),))),
        collection.clear_payload([4]),
        collection.update_vectors([Point(1, {"d": q})]),
        collection.delete_vectors(["s"], [1, 2]),
        collection.delete([uuid.UUID(int=5), 6, 777]),
    ]
    collection.create_field("new", FieldSchema("integer"))
    collection.delete_field("size")
    said += [collection.schema, len(collection), [r.payload for r in collection.retrieve([3, 1, 4, 2, 6])]]
    for wrong, kind in (
        (lambda: collection.search([1.0], using="d"), PointError),
        (lambda: collection.upsert([Point(1, {"d": [float("nan")] * 6})]), PointError),
        (lambda: collection.query(Search(Nearest(777, "d"))), NotFoundError),
    ):
        with pytest.raises(kind if isinstance(collection, Collection) else Exception):
            wrong()
    return said


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("client")
    (folder / "models").mkdir()
    (folder / "server.toml").write_text(f'[apis.vector]\nfolder = "{folder}/vectors"\n')
    with running_server(folder / "models", args=("--config", str(folder / "server.toml"))) as running:
        yield running


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    with Collection.create(tmp_path_factory.mktemp("embedded") / "c", SCHEMA) as collection:
        return script(collection)


def test_a_remote_collection_answers_as_an_embedded_one(server: RunningServer, expected: list[Any]) -> None:
    with Database(server.http_url) as database:
        assert script(database.create("remote", SCHEMA)) == expected
        assert database.names() == ["remote"]
        with pytest.raises(ConflictError, match="already exists"):
            database.create("remote", SCHEMA)
        assert database.open("remote").count() == expected[-2]
        assert (database.delete("remote"), database.delete("remote")) == (True, False)
        with pytest.raises(NotFoundError, match="doesn't exist"):
            database.open("remote")


@pytest.mark.parametrize("is_remote", [False, True])
def test_asyncio_gives_the_same(server: RunningServer, expected: list[Any], tmp_path: Path, is_remote: bool) -> None:
    class Waiting:
        """An AsyncCollection as the script calls it: each method awaited on a loop."""

        def __init__(self, collection: AsyncCollection, inner: Any, loop: asyncio.AbstractEventLoop) -> None:
            self._collection, self._inner, self._loop = collection, inner, loop

        def __getattr__(self, name: str) -> Any:
            if name == "schema":
                return self._inner.schema
            method = getattr(self._collection, name)
            return lambda *args, **more: asyncio.run_coroutine_threadsafe(method(*args, **more), self._loop).result()

        def __len__(self) -> int:
            return len(self._inner)

    async def run(inner: Any) -> list[Any]:
        async with AsyncCollection(inner) as collection:
            waiting: Any = Waiting(collection, inner, asyncio.get_running_loop())
            return await asyncio.to_thread(script, waiting)

    if is_remote:
        with Database(server.http_url) as database:
            assert asyncio.run(run(database.create("asynchronous", SCHEMA))) == expected
    else:
        with Collection.create(tmp_path / "c", SCHEMA) as embedded:
            assert asyncio.run(run(embedded)) == expected


def test_the_methods_are_the_same() -> None:
    def methods(kind: type) -> dict[str, list[str]]:
        found: dict[str, Callable[..., object]] = {
            name: value for name, value in vars(kind).items() if inspect.isfunction(value) and not name.startswith("_")
        }
        return {name: list(inspect.signature(value).parameters) for name, value in found.items()}

    embedded, remote, waiting = methods(Collection), methods(RemoteCollection), methods(AsyncCollection)
    waiting.pop("close")
    assert remote == waiting
    assert remote.items() <= embedded.items()
    # On a server these are the server's business.
    missing = {"status", "optimise", "wait_settled", "flush", "submit", "verify", "snapshot", "close", "edit_payload"}
    assert embedded.keys() - remote.keys() == missing


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with Database("http://127.0.0.1:1") as database, pytest.raises(UnavailableError, match="cannot be asked"):
        database.names()
