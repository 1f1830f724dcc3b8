"""The vector database: collections on disk, searched in place.

>>> from hekla.vector import Collection, CollectionSchema, Point, VectorSchema
>>> with Collection.create(folder, CollectionSchema({"": VectorSchema(3)})) as points:
...     points.upsert([Point(1, {"": [1, 0, 0]}, {"colour": "red"})])
...     points.search([1, 0, 0])
"""

from hekla.vector.collection import (
    Collection,
    CollectionStatus,
    SearchResult,
    SegmentStatus,
    delete_collection,
)
from hekla.vector.edits import Selection
from hekla.vector.errors import DamagedError, DiskError, LockedError, PointError
from hekla.vector.filters import (
    Filter,
    GeoBox,
    GeoPolygon,
    GeoRadius,
    HasId,
    HasVector,
    IsEmpty,
    IsNull,
    Match,
    MatchText,
    Nested,
    Range,
    ValuesCount,
)
from hekla.vector.point import Point, PointId, Record, ScoredPoint, SparseVector
from hekla.vector.queries import (
    Discover,
    Diverse,
    Formula,
    Fusion,
    Nearest,
    OrderBy,
    Recommend,
    Sample,
    Search,
    Words,
)
from hekla.vector.records import ALL, ID_ONLY, WITH_PAYLOAD, Wanted
from hekla.vector.schema import CollectionSchema, FieldSchema, SparseSchema, TextOptions, VectorSchema

__all__ = [
    "ALL",
    "ID_ONLY",
    "WITH_PAYLOAD",
    "Collection",
    "CollectionSchema",
    "CollectionStatus",
    "DamagedError",
    "Discover",
    "DiskError",
    "Diverse",
    "FieldSchema",
    "Filter",
    "Formula",
    "Fusion",
    "GeoBox",
    "GeoPolygon",
    "GeoRadius",
    "HasId",
    "HasVector",
    "IsEmpty",
    "IsNull",
    "LockedError",
    "Match",
    "MatchText",
    "Nearest",
    "Nested",
    "OrderBy",
    "Point",
    "PointError",
    "PointId",
    "Range",
    "Recommend",
    "Record",
    "Sample",
    "ScoredPoint",
    "Search",
    "SearchResult",
    "SegmentStatus",
    "Selection",
    "SparseSchema",
    "SparseVector",
    "TextOptions",
    "ValuesCount",
    "VectorSchema",
    "Wanted",
    "Words",
    "delete_collection",
]
