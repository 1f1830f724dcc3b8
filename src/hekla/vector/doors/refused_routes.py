"""Routes of other servers that this one refuses by name, so that a program learns why: one process, no shards."""

from collections.abc import Callable, Mapping, Sequence

from hekla.base.errors import UnsupportedError
from hekla.protocols.api import ApiRequest, Route
from hekla.vector.doors.envelope import answering
from hekla.vector.doors.json_fields import Json

_ONE = "/collections/{name}"
_SHARD = f"{_ONE}/shards/{{shard}}"
_NO_CLUSTER = ("this is one process, there is no cluster", "leave it out")
_NO_SHARDS = ("collections have no shards", "part points by a payload field: a keyword index, or tenant_field")
_NO_SHARD_SNAPSHOTS = ("collections have no shards", f"use {_ONE}/snapshots")
_NO_FULL = ("there is no snapshot of all collections in one file", f"use {_ONE}/snapshots for each")
_FIXED = ("a collection's vectors are those it was made with", "make a collection and import the points")

_REFUSED: Mapping[tuple[str, str], tuple[str, str]] = {
    ("POST", f"{_ONE}/cluster"): _NO_CLUSTER,
    ("POST", "/cluster/recover"): _NO_CLUSTER,
    ("DELETE", "/cluster/peer/{peer}"): _NO_CLUSTER,
    ("PUT", f"{_ONE}/shards"): _NO_SHARDS,
    ("POST", f"{_ONE}/shards/delete"): _NO_SHARDS,
    ("GET", f"{_SHARD}/snapshot"): _NO_SHARD_SNAPSHOTS,
    ("GET", f"{_SHARD}/snapshots"): _NO_SHARD_SNAPSHOTS,
    ("POST", f"{_SHARD}/snapshots"): _NO_SHARD_SNAPSHOTS,
    ("PUT", f"{_SHARD}/snapshots/recover"): _NO_SHARD_SNAPSHOTS,
    ("POST", f"{_SHARD}/snapshots/upload"): _NO_SHARD_SNAPSHOTS,
    ("GET", f"{_SHARD}/snapshots/{{snapshot}}"): _NO_SHARD_SNAPSHOTS,
    ("DELETE", f"{_SHARD}/snapshots/{{snapshot}}"): _NO_SHARD_SNAPSHOTS,
    ("POST", "/snapshots"): _NO_FULL,
    ("GET", "/snapshots/{snapshot}"): _NO_FULL,
    ("DELETE", "/snapshots/{snapshot}"): _NO_FULL,
    ("PUT", f"{_ONE}/vectors/{{vector}}"): _FIXED,
    ("DELETE", f"{_ONE}/vectors/{{vector}}"): _FIXED,
    ("POST", "/locks"): ("writes are not locked by request", "give out keys with rights = read"),
    ("GET", "/quotas"): ("quotas are the configuration's", "see tenant_points of [apis.vector]"),
    ("PUT", "/quotas"): ("quotas are the configuration's", "set tenant_points of [apis.vector]"),
}


def refused_routes() -> Sequence[Route]:
    """Return a route for each, which is answered 501."""
    return [
        Route(method, pattern, answering(_refusing(*why)), method != "GET")
        for (method, pattern), why in _REFUSED.items()
    ]


def _refusing(problem: str, cure: str) -> Callable[[ApiRequest], Json]:
    def refuse(request: ApiRequest) -> Json:
        raise UnsupportedError(problem, where="request line", cure=cure)

    return refuse
