"""What a value of a payload is to each kind of index."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from hekla.vector.errors import PointError
from hekla.vector.filters import moment
from hekla.vector.payload.paths import Json


def as_moment(value: Json) -> int | None:
    """Return a payload's datetime as microseconds since 1970, None for what is none."""
    if not isinstance(value, str):
        return None
    try:
        return moment(value, "")
    except PointError:
        return None


def as_uuid(value: Json) -> str | None:
    """Return a payload's UUID in its one spelling, None for what is none."""
    try:
        return str(uuid.UUID(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def as_place(value: Json) -> tuple[float, float] | None:
    """Return a payload's place as (latitude, longitude) in degrees, None for what is none."""
    if not isinstance(value, dict):
        return None
    lat, lon = value.get("lat"), value.get("lon")
    if not isinstance(lat, int | float) or not isinstance(lon, int | float):
        return None
    return (float(lat), float(lon)) if -90 <= lat <= 90 and -180 <= lon <= 180 else None


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: Json) -> int | None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and -(2**63) <= value < 2**63 else None


def _number(value: Json) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _bool(value: Json) -> int | None:
    return int(value) if isinstance(value, bool) else None


# What a value is to each kind of index, None for a value it cannot hold.
READERS: Mapping[str, Callable[[Json], Any]] = {  # Any: a text, a number, a place
    "keyword": _text,
    "uuid": as_uuid,
    "text": _text,
    "integer": _integer,
    "datetime": as_moment,
    "bool": _bool,
    "float": _number,
    "geo": as_place,
}
