"""The unmodified `qdrant-client` gets from the server what its own local mode answers on the same points."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from tests.vector.doors.worlds import COLOURS, DENSE, NAME, dense, random_filter, sparse

Both = tuple[QdrantClient, QdrantClient]
USINGS = (*DENSE, "s")


def query_vector(rng: np.random.Generator, using: str) -> Any:  # Any: dense or sparse
    return sparse(rng) if using == "s" else dense(rng, using)


def same_points(ours: list[models.ScoredPoint], theirs: list[models.ScoredPoint], what: str) -> None:
    """The same scores in the same order; the same points, but for those of (nearly) equal score."""
    assert len(ours) == len(theirs), what
    scores, expected = [point.score for point in ours], [point.score for point in theirs]
    np.testing.assert_allclose(scores, expected, rtol=2e-4, atol=2e-5, err_msg=what)
    last = expected[-1] if expected else 0.0
    certain = {point.id for point in theirs if abs(point.score - last) > 1e-4 * (1 + abs(last))}
    assert certain <= {point.id for point in ours}, what


def ask(both: Both, what: str, **query: Any) -> None:  # Any: what query_points takes
    ours, theirs = (client.query_points(NAME, **query).points for client in both)
    same_points(ours, theirs, what)


@pytest.mark.parametrize("using", USINGS)
def test_nearest_points_are_the_same_with_and_without_filters(both: Both, using: str) -> None:
    rng = np.random.default_rng(1)
    for i in range(20):
        filter_ = random_filter(rng) if i else None
        ask(both, f"{filter_}", query=query_vector(rng, using), using=using, query_filter=filter_, limit=15)


def test_counts_of_random_filters_are_the_same(both: Both) -> None:
    rng = np.random.default_rng(2)
    for _ in range(60):
        filter_ = random_filter(rng)
        ours, theirs = (client.count(NAME, count_filter=filter_).count for client in both)
        assert ours == theirs, f"{filter_}"


@pytest.mark.parametrize("using", DENSE)
def test_a_score_threshold_an_offset_and_a_point_as_query(both: Both, using: str) -> None:
    rng = np.random.default_rng(3)
    vector = dense(rng, using)
    found = both[1].query_points(NAME, query=vector, using=using, limit=20).points
    between = (found[10].score + found[11].score) / 2
    ask(both, "threshold", query=vector, using=using, limit=50, score_threshold=between)
    ask(both, "offset", query=vector, using=using, limit=10, offset=7)
    ask(both, "by id", query=found[0].id, using=using, limit=10)


@pytest.mark.parametrize("fusion", [models.Fusion.RRF, models.Fusion.DBSF])
def test_fusions_are_the_same(both: Both, fusion: models.Fusion) -> None:
    rng = np.random.default_rng(4)
    for _ in range(10):
        prefetch = [
            models.Prefetch(query=query_vector(rng, using), using=using, limit=20, filter=random_filter(rng, 0))
            for using in ("d", "p", "s")
        ]
        ask(both, str(fusion), prefetch=prefetch, query=models.FusionQuery(fusion=fusion), limit=10)


def test_rrf_with_a_constant_of_its_own(both: Both) -> None:
    rng = np.random.default_rng(5)
    prefetch = [models.Prefetch(query=query_vector(rng, using), using=using, limit=25) for using in ("d", "e", "s")]
    ask(both, "k", prefetch=prefetch, query=models.RrfQuery(rrf=models.Rrf(k=60)), limit=20)
    weighted = models.RrfQuery(rrf=models.Rrf(k=10, weights=[3.0, 1.0, 0.5]))
    ask(both, "weights", prefetch=prefetch, query=weighted, limit=20)


def test_prefetches_that_are_scored_anew(both: Both) -> None:
    rng = np.random.default_rng(6)
    inner = models.Prefetch(query=dense(rng, "d"), using="d", limit=60)
    middle = models.Prefetch(prefetch=[inner], query=sparse(rng), using="s", limit=30)
    ask(both, "nested", prefetch=[middle], query=dense(rng, "p"), using="p", limit=10)


@pytest.mark.parametrize("strategy", list(models.RecommendStrategy))
@pytest.mark.parametrize("using", ["d", "p", "e"])
def test_recommendations_are_the_same(both: Both, using: str, strategy: models.RecommendStrategy) -> None:
    rng = np.random.default_rng(7)
    ids = [record.id for record in both[1].scroll(NAME, scroll_filter=has(using), limit=40)[0]]
    for _ in range(5):
        chosen = [ids[int(i)] for i in rng.choice(len(ids), 4, replace=False)]
        examples: list[Any] = [*chosen[:2], dense(rng, using)]  # Any: ids and vectors
        recommend = models.RecommendInput(positive=examples, negative=[*chosen[2:]])
        recommend.strategy = strategy
        ask(both, f"{strategy}", query=models.RecommendQuery(recommend=recommend), using=using, limit=12)


def has(using: str) -> models.Filter:
    return models.Filter(must=[models.HasVectorCondition(has_vector=using)])


@pytest.mark.parametrize("using", ["d", "p"])
def test_discoveries_and_contexts_are_the_same(both: Both, using: str) -> None:
    rng = np.random.default_rng(8)
    for _ in range(5):
        pairs = [
            models.ContextPair(positive=int(rng.integers(0, 20)), negative=dense(rng, using)),
            models.ContextPair(positive=dense(rng, using), negative=dense(rng, using)),
        ]
        ids = {record.id for record in both[1].retrieve(NAME, list(range(20)))}
        pairs[0].positive = min(ids, key=str) if pairs[0].positive not in ids else pairs[0].positive
        target = dense(rng, using)
        discover = models.DiscoverQuery(discover=models.DiscoverInput(target=target, context=pairs))
        ask(both, "discover", query=discover, using=using, limit=10)
        ask(both, "context", query=models.ContextQuery(context=pairs), using=using, limit=10)


def test_batches_are_the_same(both: Both) -> None:
    rng = np.random.default_rng(9)
    requests = [models.QueryRequest(query=dense(rng, "d"), using="d", limit=n, with_payload=True) for n in (1, 5, 10)]
    ours, theirs = (client.query_batch_points(NAME, requests) for client in both)
    for one, other in zip(ours, theirs, strict=True):
        same_points(one.points, other.points, "batch")
        assert [point.payload for point in one.points] == [point.payload for point in other.points]


def test_groups_are_the_same(both: Both) -> None:
    vector = dense(np.random.default_rng(10), "p")
    ours, theirs = (
        client.query_points_groups(
            NAME, group_by="colour", query=vector, using="p", limit=3, group_size=4, with_payload=["colour"]
        )
        for client in both
    )
    assert [group.id for group in ours.groups] == [group.id for group in theirs.groups]
    for one, other in zip(ours.groups, theirs.groups, strict=True):
        same_points(one.hits, other.hits, f"{one.id}")


def test_scrolling_gives_the_same_pages(both: Both) -> None:
    filter_ = models.Filter(must_not=[models.FieldCondition(key="colour", match=models.MatchValue(value="red"))])
    offsets: list[Any] = [None, None]  # Any: ids of either kind
    for _ in range(20):
        pages = [
            client.scroll(NAME, scroll_filter=filter_, limit=17, offset=offset)
            for client, offset in zip(both, offsets, strict=True)
        ]
        assert [(p.id, p.payload) for p in pages[0][0]] == [(p.id, p.payload) for p in pages[1][0]]
        offsets = [page[1] for page in pages]
        assert str(offsets[0]) == str(offsets[1])
        if offsets[0] is None:
            return
    raise AssertionError("the pages have no end")


def test_points_come_back_whole(both: Both) -> None:
    ids = [record.id for record in both[1].scroll(NAME, limit=30)[0]]
    ours, theirs = (client.retrieve(NAME, ids, with_vectors=True) for client in both)
    for one, other in zip(sorted(ours, key=by_id), sorted(theirs, key=by_id), strict=True):
        assert (one.id, one.payload) == (other.id, other.payload)
        assert isinstance(one.vector, dict)
        assert isinstance(other.vector, dict)
        assert one.vector.keys() == other.vector.keys()
        for name in DENSE:
            if name in one.vector:
                np.testing.assert_allclose(np.array(one.vector[name]), np.array(other.vector[name]), rtol=1e-5)


def by_id(record: models.Record) -> str:
    return str(record.id)


@pytest.mark.parametrize("wish", [True, False, ["colour", "author.name"], "include", "exclude"])
def test_parts_of_payloads_and_vectors(both: Both, wish: Any) -> None:
    if wish == "include":
        wish = models.PayloadSelectorInclude(include=["author"])
    if wish == "exclude":
        wish = models.PayloadSelectorExclude(exclude=["author.age", "tags"])
    ours, theirs = (
        client.scroll(NAME, limit=20, with_payload=wish, with_vectors=["d"], order_by=None)[0] for client in both
    )
    assert [(p.id, p.payload or {}) for p in ours] == [(p.id, p.payload or {}) for p in theirs]
    assert all(isinstance(p.vector, dict) and p.vector.keys() == {"d"} for p in ours)


def test_an_order_by_a_field(both: Both) -> None:
    both[0].create_payload_index(NAME, "order", models.PayloadSchemaType.INTEGER)
    for direction in models.Direction:
        order = models.OrderBy(key="order", direction=direction, start_from=50_000)
        ours, theirs = (client.scroll(NAME, order_by=order, limit=25)[0] for client in both)
        assert [(p.id, p.order_value) for p in ours] == [(p.id, p.order_value) for p in theirs]


def test_facets_are_the_same(both: Both) -> None:
    for key, kind in (("colour", "keyword"), ("tags", "keyword"), ("number", "integer"), ("flag", "bool")):
        both[0].create_payload_index(NAME, key, models.PayloadSchemaType(kind))
        filter_ = models.Filter(must=[models.FieldCondition(key="price", range=models.Range(gt=2.0))])
        ours, theirs = (client.facet(NAME, key, limit=1000, facet_filter=filter_).hits for client in both)
        assert {(hit.value, hit.count) for hit in ours} == {(hit.value, hit.count) for hit in theirs}, key


def test_filters_by_an_index_are_those_without(both: Both) -> None:
    kinds = {"colour": "keyword", "number": "integer", "price": "float", "place": "geo", "at": "datetime"}
    for key, kind in {**kinds, "author.age": "integer"}.items():
        both[0].create_payload_index(NAME, key, models.PayloadSchemaType(kind))
    test_counts_of_random_filters_are_the_same(both)
    assert set(kinds) <= set(both[0].get_collection(NAME).payload_schema)


def test_an_order_of_a_random_sample_is_of_points_that_are_there(both: Both) -> None:
    sample = models.SampleQuery(sample=models.Sample.RANDOM)
    found = both[0].query_points(NAME, query=sample, limit=20).points
    assert len({point.id for point in found}) == 20


WRITES: dict[str, Callable[[QdrantClient], object]] = {
    "set": lambda c: c.set_payload(NAME, {"new": 1, "colour": "pink"}, points=[1, 2, 3]),
    "set at a path": lambda c: c.set_payload(NAME, {"name": "x"}, points=[1, 2], key="author"),
    "set by filter": lambda c: c.set_payload(NAME, {"by": True}, points=by_colour("red")),
    "overwrite": lambda c: c.overwrite_payload(NAME, {"only": [1, 2]}, points=[4, 5]),
    "delete keys": lambda c: c.delete_payload(NAME, ["text", "author.age"], points=[6, 7]),
    "clear": lambda c: c.clear_payload(NAME, models.PointIdsList(points=[8])),
    "vectors": lambda c: c.update_vectors(
        NAME, [models.PointVectors(id=9, vector={"d": [1.0] * 8}), models.PointVectors(id=10, vector={"p": [2.0] * 6})]
    ),
    "delete vectors": lambda c: c.delete_vectors(NAME, ["e"], [11, 12]),
    "delete": lambda c: c.delete(NAME, [13, 14, 99999]),
    "delete by filter": lambda c: c.delete(NAME, by_colour("grey")),
    "upsert again": lambda c: c.upsert(NAME, [models.PointStruct(id=15, vector={"d": [0.5] * 8}, payload={})]),
    "upsert a batch": lambda c: c.upsert(
        NAME,
        models.Batch(ids=[16, 17], vectors={"d": [[1.0] * 8, [-1.0] * 8]}, payloads=[{"b": 1}, {}]),
    ),
    "many at once": lambda c: c.batch_update_points(
        NAME,
        [
            models.UpsertOperation(
                upsert=models.PointsList(points=[models.PointStruct(id=500, vector={"p": [1.0] * 6}, payload={"z": 1})])
            ),
            models.SetPayloadOperation(set_payload=models.SetPayload(payload={"y": 2}, points=[500])),
            models.DeleteVectorsOperation(delete_vectors=models.DeleteVectors(points=[1], vector=["m"])),
            models.DeletePayloadOperation(delete_payload=models.DeletePayload(keys=["z"], points=[500])),
            models.DeleteOperation(delete=models.PointIdsList(points=[2])),
        ],
    ),
}


def by_colour(colour: str) -> models.Filter:
    assert colour in COLOURS
    return models.Filter(must=[models.FieldCondition(key="colour", match=models.MatchValue(value=colour))])


def everything(client: QdrantClient) -> dict[str, tuple[object, object]]:
    records = client.scroll(NAME, limit=10_000, with_vectors=True)[0]
    return {str(r.id): (r.payload or {}, sorted(r.vector) if isinstance(r.vector, dict) else None) for r in records}


def test_writes_of_every_kind_leave_the_same_points(both: Both) -> None:
    ids = {record.id for record in both[1].retrieve(NAME, list(range(20)))}
    for client in both:
        client.upsert(
            NAME,
            [
                models.PointStruct(id=i, vector={"d": [0.1] * 8, "m": [1.0] * 4}, payload={"i": i})
                for i in range(20)
                if i not in ids
            ],
        )
    for name, write in WRITES.items():
        for client in both:
            write(client)
        assert everything(both[0]) == everything(both[1]), name
    assert both[0].count(NAME).count == both[1].count(NAME).count
