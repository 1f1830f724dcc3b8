"""Places on a sphere."""

import numpy as np
from numpy.typing import NDArray

from hekla.vector.filters import GeoBox, GeoPolygon, GeoRadius

EARTH_RADIUS_M = 6_371_000.0
F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]


def latitudes(condition: GeoBox | GeoRadius | GeoPolygon) -> tuple[float, float]:
    """Return the latitudes that hold every place the condition holds for."""
    if isinstance(condition, GeoBox):
        return condition.bottom, condition.top
    if isinstance(condition, GeoRadius):
        reach = float(np.degrees(condition.radius_m / EARTH_RADIUS_M))
        return condition.lat - reach, condition.lat + reach
    each = [lat for lat, _ in condition.exterior]
    return min(each), max(each)


def is_within(condition: GeoBox | GeoRadius | GeoPolygon, lat: F64, lon: F64) -> Mask:
    """Return for each place (n,) whether the condition holds."""
    if isinstance(condition, GeoBox):
        is_high_enough = (lat >= condition.bottom) & (lat <= condition.top)
        if condition.left <= condition.right:
            return is_high_enough & (lon >= condition.left) & (lon <= condition.right)
        return is_high_enough & ((lon >= condition.left) | (lon <= condition.right))
    if isinstance(condition, GeoRadius):
        return distance_m(condition.lat, condition.lon, lat, lon) <= condition.radius_m
    inside = _is_in_ring(condition.exterior, lat, lon)
    for hole in condition.interiors:
        inside &= ~_is_in_ring(hole, lat, lon)
    return inside


def distance_m(lat: float, lon: float, lats: F64, lons: F64) -> F64:
    """Return the distances in metres along the sphere (haversine)."""
    one, many = np.radians(lat), np.radians(lats)
    half = np.sin((many - one) / 2) ** 2 + np.cos(one) * np.cos(many) * np.sin(np.radians(lons - lon) / 2) ** 2
    distance: F64 = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(half, 1.0)))
    return distance


def _is_in_ring(ring: tuple[tuple[float, float], ...], lat: F64, lon: F64) -> Mask:
    """Return whether a ray to the east crosses the ring an odd number of times."""
    inside = np.zeros(len(lat), np.bool_)
    for (lat1, lon1), (lat2, lon2) in zip(ring, (*ring[1:], ring[0]), strict=True):
        if lat1 == lat2:
            continue
        is_between = (lat1 > lat) != (lat2 > lat)
        inside ^= is_between & (lon < (lon2 - lon1) * (lat - lat1) / (lat2 - lat1) + lon1)
    return inside
