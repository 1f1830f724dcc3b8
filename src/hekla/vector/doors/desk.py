"""What every route needs: the catalogue, what the server lends, the operator's options."""

import itertools
import time
from dataclasses import dataclass, field
from pathlib import Path

from hekla.base.errors import NotFoundError
from hekla.protocols.api import ApiRequest, Caller
from hekla.vector.doors.catalogue import Catalogue
from hekla.vector.doors.inference import Embed, Inference
from hekla.vector.doors.json_fields import Json
from hekla.vector.doors.scope import Scope
from hekla.vector.point import PointId, Vector
from hekla.vector.records import Wanted


@dataclass(frozen=True, slots=True)
class Options:
    """`[apis.vector]`: the keys that are not the server's own."""

    tenant_field: str = ""  # parts new collections between tenants
    tenant_points: int = 0  # how many points a tenant may have in a collection; 0: any number
    embed_model: str = "embed"  # turns texts into vectors where a request names no model
    recover_from: tuple[Path, ...] = ()  # folders that snapshots are taken from, besides the server's own


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a route finds things."""

    catalogue: Catalogue
    embed: Embed
    options: Options
    operations: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def scope(self, name: str, caller: Caller) -> Scope:
        """Return a collection as a caller sees it. Errors: NotFoundError, DeniedError."""
        real = self.catalogue.real_name(name, caller)
        collection = self.catalogue.get(real, caller)
        return Scope(collection, caller, self.catalogue.writing(real), self.options.tenant_points)

    def inference(self) -> Inference:
        """Return what turns one request's texts into vectors."""
        return Inference(self.embed, self.options.embed_model)

    def vector_of(self, name: str, caller: Caller, id_: PointId, using: str) -> Vector:
        """Return a vector of a point of any collection. Errors: NotFoundError."""
        found = self.scope(name, caller).retrieve([id_], Wanted(vectors=(using,)))
        vector = (found[0].vectors or {}).get(using) if found else None
        if vector is None:
            raise NotFoundError(
                f"no point {id_} with such a vector in collection {name[:100]!r}", where="$.lookup_from"
            )
        return vector

    def done(self, request: ApiRequest) -> Json:
        """Return the result of a write."""
        is_waited_for = request.query.get("wait", "false") == "true"
        status = "completed" if is_waited_for else "acknowledged"
        return {"operation_id": next(self.operations), "status": status}


def seconds_left(request: ApiRequest) -> float | None:
    """Return the time until the request's deadline; None where there is none."""
    return None if request.deadline_s is None else max(0.0, request.deadline_s - time.monotonic())
