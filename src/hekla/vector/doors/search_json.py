"""Searches of ours, as `qdrant-client` writes them."""

from collections.abc import Mapping
from typing import Any, cast

from hekla.vector.doors.filter_json import filter_json
from hekla.vector.doors.formula_json import formula_json
from hekla.vector.doors.json_fields import Json
from hekla.vector.doors.point_json import id_json, vectors_json
from hekla.vector.point import PointId
from hekla.vector.queries import (
    Discover,
    Diverse,
    Example,
    Formula,
    Fusion,
    Nearest,
    OrderBy,
    Query,
    Recommend,
    Sample,
    Search,
    Strategy,
    Words,
)

_STRATEGIES: Mapping[Strategy, str] = {
    "average": "average_vector",
    "best_score": "best_score",
    "sum_scores": "sum_scores",
}


def search_json(search: Search) -> dict[str, Json]:
    """Return the request for a search, which `QueryReader.search` reads."""
    body: dict[str, Json] = {"query": _query_json(search.query), "limit": search.limit}
    using = getattr(search.query, "using", "")
    if using:
        body["using"] = using
    if search.offset:
        body["offset"] = search.offset
    if search.filter is not None:
        body["filter"] = filter_json(search.filter)
    if search.prefetch:
        body["prefetch"] = [search_json(each) for each in search.prefetch]
    if search.score_threshold is not None:
        body["score_threshold"] = search.score_threshold
    if search.ef is not None or search.is_exact:
        body["params"] = {"exact": search.is_exact, **({} if search.ef is None else {"hnsw_ef": search.ef})}
    return body


def _query_json(query: Query) -> Json:
    if isinstance(query, Nearest):
        return {"nearest": _example_json(query.vector)}
    if isinstance(query, Diverse):
        mmr: dict[str, Json] = {"diversity": query.diversity}
        if query.candidates is not None:
            mmr["candidates_limit"] = query.candidates
        return {"nearest": _example_json(query.vector), "mmr": mmr}
    if isinstance(query, Formula):
        return formula_json(query)
    if isinstance(query, Words):
        return {"words": query.text, "path": query.path}
    if isinstance(query, Sample):
        return {"sample": "random", "seed": query.seed}
    if isinstance(query, Recommend):
        return {"recommend": _recommend_json(query)}
    if isinstance(query, Discover):
        context = [{"positive": _example_json(p), "negative": _example_json(n)} for p, n in query.context]
        if query.target is None:
            return {"context": context}
        return {"discover": {"target": _example_json(query.target), "context": context}}
    if isinstance(query, OrderBy):
        order: dict[str, Json] = {"key": query.path, "direction": "desc" if query.is_descending else "asc"}
        return {"order_by": order if query.start_from is None else {**order, "start_from": query.start_from}}
    return _fusion_json(query)


def _fusion_json(query: Fusion) -> Json:
    weights: dict[str, Json] = {"weights": list(query.weights)} if query.weights else {}
    if query.kind == "rrf":
        return {"rrf": {"k": query.k, **weights}}
    return {"fusion": "dbsf" if query.kind == "distribution" else "weighted", **weights}


def _recommend_json(query: Recommend) -> dict[str, Json]:
    return {
        "positive": [_example_json(each) for each in query.positive],
        "negative": [_example_json(each) for each in query.negative],
        "strategy": _STRATEGIES[query.strategy],
    }


def _example_json(example: Example) -> Json:
    if isinstance(example, PointId):
        return id_json(example)
    return vectors_json({"": cast(Any, example)})  # Any: a vector, all that is left of the union
