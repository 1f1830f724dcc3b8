# mypy: disable-error-code="type-arg, no-untyped-def"
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PointId(_message.Message):
    __slots__ = ("number", "uuid")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    number: int
    uuid: str
    def __init__(self, number: _Optional[int] = ..., uuid: _Optional[str] = ...) -> None: ...

class Vector(_message.Message):
    __slots__ = ("values", "rows", "indices")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    INDICES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    rows: int
    indices: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, values: _Optional[_Iterable[float]] = ..., rows: _Optional[int] = ..., indices: _Optional[_Iterable[int]] = ...) -> None: ...

class Point(_message.Message):
    __slots__ = ("id", "vectors", "payload")
    class VectorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Vector
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Vector, _Mapping]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    id: PointId
    vectors: _containers.MessageMap[str, Vector]
    payload: bytes
    def __init__(self, id: _Optional[_Union[PointId, _Mapping]] = ..., vectors: _Optional[_Mapping[str, Vector]] = ..., payload: _Optional[bytes] = ...) -> None: ...

class UpsertRequest(_message.Message):
    __slots__ = ("collection", "points")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    collection: str
    points: _containers.RepeatedCompositeFieldContainer[Point]
    def __init__(self, collection: _Optional[str] = ..., points: _Optional[_Iterable[_Union[Point, _Mapping]]] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("collection", "ids", "filter")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    collection: str
    ids: _containers.RepeatedCompositeFieldContainer[PointId]
    filter: str
    def __init__(self, collection: _Optional[str] = ..., ids: _Optional[_Iterable[_Union[PointId, _Mapping]]] = ..., filter: _Optional[str] = ...) -> None: ...

class WriteResponse(_message.Message):
    __slots__ = ("points",)
    POINTS_FIELD_NUMBER: _ClassVar[int]
    points: int
    def __init__(self, points: _Optional[int] = ...) -> None: ...

class Words(_message.Message):
    __slots__ = ("text", "path")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    text: str
    path: str
    def __init__(self, text: _Optional[str] = ..., path: _Optional[str] = ...) -> None: ...

class Document(_message.Message):
    __slots__ = ("text", "model")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    text: str
    model: str
    def __init__(self, text: _Optional[str] = ..., model: _Optional[str] = ...) -> None: ...

class Fusion(_message.Message):
    __slots__ = ("kind", "weights", "k")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        RRF: _ClassVar[Fusion.Kind]
        DISTRIBUTION: _ClassVar[Fusion.Kind]
        WEIGHTED: _ClassVar[Fusion.Kind]
    RRF: Fusion.Kind
    DISTRIBUTION: Fusion.Kind
    WEIGHTED: Fusion.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    kind: Fusion.Kind
    weights: _containers.RepeatedScalarFieldContainer[float]
    k: float
    def __init__(self, kind: _Optional[_Union[Fusion.Kind, str]] = ..., weights: _Optional[_Iterable[float]] = ..., k: _Optional[float] = ...) -> None: ...

class Search(_message.Message):
    __slots__ = ("vector", "id", "words", "document", "fusion", "json", "using", "limit", "offset", "filter", "prefetch", "score_threshold", "ef", "exact")
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    FUSION_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    USING_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PREFETCH_FIELD_NUMBER: _ClassVar[int]
    SCORE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    EF_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    vector: Vector
    id: PointId
    words: Words
    document: Document
    fusion: Fusion
    json: str
    using: str
    limit: int
    offset: int
    filter: str
    prefetch: _containers.RepeatedCompositeFieldContainer[Search]
    score_threshold: float
    ef: int
    exact: bool
    def __init__(self, vector: _Optional[_Union[Vector, _Mapping]] = ..., id: _Optional[_Union[PointId, _Mapping]] = ..., words: _Optional[_Union[Words, _Mapping]] = ..., document: _Optional[_Union[Document, _Mapping]] = ..., fusion: _Optional[_Union[Fusion, _Mapping]] = ..., json: _Optional[str] = ..., using: _Optional[str] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ..., filter: _Optional[str] = ..., prefetch: _Optional[_Iterable[_Union[Search, _Mapping]]] = ..., score_threshold: _Optional[float] = ..., ef: _Optional[int] = ..., exact: _Optional[bool] = ...) -> None: ...

class QueryRequest(_message.Message):
    __slots__ = ("collection", "search", "with_payload", "with_vectors", "deadline_s")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    WITH_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    WITH_VECTORS_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_S_FIELD_NUMBER: _ClassVar[int]
    collection: str
    search: Search
    with_payload: bool
    with_vectors: _containers.RepeatedScalarFieldContainer[str]
    deadline_s: float
    def __init__(self, collection: _Optional[str] = ..., search: _Optional[_Union[Search, _Mapping]] = ..., with_payload: _Optional[bool] = ..., with_vectors: _Optional[_Iterable[str]] = ..., deadline_s: _Optional[float] = ...) -> None: ...

class ScoredPoint(_message.Message):
    __slots__ = ("id", "score", "payload", "vectors")
    class VectorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Vector
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Vector, _Mapping]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    id: PointId
    score: float
    payload: bytes
    vectors: _containers.MessageMap[str, Vector]
    def __init__(self, id: _Optional[_Union[PointId, _Mapping]] = ..., score: _Optional[float] = ..., payload: _Optional[bytes] = ..., vectors: _Optional[_Mapping[str, Vector]] = ...) -> None: ...

class QueryResponse(_message.Message):
    __slots__ = ("points", "is_complete")
    POINTS_FIELD_NUMBER: _ClassVar[int]
    IS_COMPLETE_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[ScoredPoint]
    is_complete: bool
    def __init__(self, points: _Optional[_Iterable[_Union[ScoredPoint, _Mapping]]] = ..., is_complete: _Optional[bool] = ...) -> None: ...

class RetrieveRequest(_message.Message):
    __slots__ = ("collection", "ids", "with_payload", "with_vectors")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    WITH_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    WITH_VECTORS_FIELD_NUMBER: _ClassVar[int]
    collection: str
    ids: _containers.RepeatedCompositeFieldContainer[PointId]
    with_payload: bool
    with_vectors: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, collection: _Optional[str] = ..., ids: _Optional[_Iterable[_Union[PointId, _Mapping]]] = ..., with_payload: _Optional[bool] = ..., with_vectors: _Optional[_Iterable[str]] = ...) -> None: ...

class ScrollRequest(_message.Message):
    __slots__ = ("collection", "filter", "after", "limit", "with_payload", "with_vectors")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    WITH_PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    WITH_VECTORS_FIELD_NUMBER: _ClassVar[int]
    collection: str
    filter: str
    after: PointId
    limit: int
    with_payload: bool
    with_vectors: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, collection: _Optional[str] = ..., filter: _Optional[str] = ..., after: _Optional[_Union[PointId, _Mapping]] = ..., limit: _Optional[int] = ..., with_payload: _Optional[bool] = ..., with_vectors: _Optional[_Iterable[str]] = ...) -> None: ...

class RecordsResponse(_message.Message):
    __slots__ = ("points", "next")
    POINTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[Point]
    next: PointId
    def __init__(self, points: _Optional[_Iterable[_Union[Point, _Mapping]]] = ..., next: _Optional[_Union[PointId, _Mapping]] = ...) -> None: ...

class CountRequest(_message.Message):
    __slots__ = ("collection", "filter")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    collection: str
    filter: str
    def __init__(self, collection: _Optional[str] = ..., filter: _Optional[str] = ...) -> None: ...

class CountResponse(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...
