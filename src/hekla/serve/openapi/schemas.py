"""The JSON documents that go in and out, as JSON Schema. Requests are closed: an unknown key is refused."""

from collections.abc import Mapping
from typing import Any

from hekla.base.dtypes import DType

Json = dict[str, Any]

_STRING: Json = {"type": "string"}
_NAME: Json = {"type": "string", "minLength": 1, "maxLength": 1024}
_BOOLEAN: Json = {"type": "boolean"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_SCALAR: Json = {"type": ["string", "number", "boolean"]}
_EXTENT: Json = {"type": "integer", "minimum": 0}


def ref(name: str) -> Json:
    """Return a reference to one of `SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def listed(item: Json, **more: object) -> Json:
    """Return the schema of a list."""
    return {"type": "array", "items": item, **more}


def document(fields: Mapping[str, Json], *, needs: tuple[str, ...] | None = None, closed: bool = True) -> Json:
    """Return the schema of an object; it needs all of its fields where `needs` is left out."""
    schema: Json = {"type": "object", "properties": dict(fields)}
    required = list(fields) if needs is None else list(needs)
    if required:
        schema["required"] = required
    if closed:
        schema["additionalProperties"] = False
    return schema


def _parameters(**known: Json) -> Json:
    return {"type": "object", "properties": known, "additionalProperties": _SCALAR}


_SHARED_MEMORY: dict[str, Json] = {
    "shared_memory_region": _STRING,
    "shared_memory_offset": _COUNT,
    "shared_memory_byte_size": _COUNT,
}
_DURATION = document({"count": _COUNT, "ns": _COUNT})
_INFERENCE_STATS = (
    *("success", "fail", "queue", "compute_input", "compute_infer", "compute_output"),
    *("cache_hit", "cache_miss"),
)
_DATATYPE: Json = {"type": "string", "enum": [dtype.value for dtype in DType]}
_TENSOR_SPEC = document({"name": _STRING, "datatype": _DATATYPE, "shape": listed({"type": "integer", "minimum": -1})})

_INFER_PARAMETERS = _parameters(
    priority={**_COUNT, "description": "1 comes first; 0 is the model's default"},
    timeout={**_COUNT, "description": "microseconds from when the request came; 0 is the model's default"},
    sequence_id={"type": ["integer", "string"], "maxLength": 1024},
    sequence_start=_BOOLEAN,
    sequence_end=_BOOLEAN,
    binary_data_output={**_BOOLEAN, "description": "all outputs as binary tensors"},
)

SCHEMAS: Mapping[str, Json] = {
    "Error": document({"error": {**_STRING, "description": "where, what was wrong, and the cure"}}),
    "OpenAIError": document(
        {
            "error": document(
                {
                    "message": _STRING,
                    "type": _STRING,
                    "param": {"type": ["string", "null"]},
                    "code": {"type": ["string", "null"]},
                }
            )
        }
    ),
    "Empty": document({}),
    "Live": document({"live": _BOOLEAN}),
    "Ready": document({"ready": _BOOLEAN}),
    "ModelReady": document({"name": _STRING, "ready": _BOOLEAN}),
    "ServerMetadata": document({"name": _STRING, "version": _STRING, "extensions": listed(_STRING)}),
    "TensorSpec": _TENSOR_SPEC,
    "ModelMetadata": document(
        {
            "name": _STRING,
            "versions": listed(_STRING),
            "platform": _STRING,
            "inputs": listed(ref("TensorSpec")),
            "outputs": listed(ref("TensorSpec")),
            "parameters": {"type": "object", "additionalProperties": _SCALAR},
        }
    ),
    "ModelConfig": document(
        {
            "name": _STRING,
            "platform": _STRING,
            "backend": _STRING,
            "max_batch_size": _COUNT,
            "input": listed({"type": "object"}),
            "output": listed({"type": "object"}),
        },
        closed=False,
    ),
    "Duration": _DURATION,
    "ModelStatistics": document(
        {
            "name": _STRING,
            "version": _STRING,
            "last_inference": {**_COUNT, "description": "Unix time in milliseconds; 0: none yet"},
            "inference_count": {**_COUNT, "description": "rows computed"},
            "execution_count": {**_COUNT, "description": "batches computed"},
            "inference_stats": document({name: ref("Duration") for name in _INFERENCE_STATS}),
            "batch_stats": listed(
                document(
                    {
                        "batch_size": _COUNT,
                        "compute_input": ref("Duration"),
                        "compute_infer": ref("Duration"),
                        "compute_output": ref("Duration"),
                    }
                )
            ),
        }
    ),
    "Statistics": document({"model_stats": listed(ref("ModelStatistics"))}),
    "InferInput": document(
        {
            "name": _NAME,
            "datatype": _DATATYPE,
            "shape": listed(_EXTENT, maxItems=64),
            "parameters": _parameters(binary_data_size=_COUNT, **_SHARED_MEMORY),
            "data": {**listed({}), "description": "flat or nested, row-major; left out for binary and shared memory"},
        },
        needs=("name", "datatype", "shape"),
    ),
    "RequestedOutput": document(
        {"name": _NAME, "parameters": _parameters(binary_data=_BOOLEAN, **_SHARED_MEMORY)}, needs=("name",)
    ),
    "InferRequest": document(
        {
            "id": _STRING,
            "parameters": _INFER_PARAMETERS,
            "inputs": listed(ref("InferInput"), maxItems=1024),
            "outputs": listed(ref("RequestedOutput"), maxItems=1024),
        },
        needs=("inputs",),
    ),
    "InferOutput": document(
        {
            "name": _STRING,
            "datatype": _DATATYPE,
            "shape": listed(_EXTENT),
            "parameters": _parameters(binary_data_size=_COUNT, **_SHARED_MEMORY),
            "data": {**listed({"type": ["number", "boolean", "string"]}), "description": "flat, row-major"},
        },
        needs=("name", "datatype", "shape"),
    ),
    "InferResponse": document(
        {
            "model_name": _STRING,
            "model_version": _STRING,
            "id": _STRING,
            "parameters": {"type": "object"},
            "outputs": listed(ref("InferOutput")),
        },
        needs=("model_name", "model_version", "outputs"),
    ),
    "IndexRequest": document({"ready": _BOOLEAN}, needs=(), closed=False),
    "Index": listed(
        document(
            {
                "name": _STRING,
                "version": _STRING,
                "state": {"type": "string", "enum": ["READY", "LOADING", "UNLOADING", "UNAVAILABLE"]},
                "reason": _STRING,
            }
        )
    ),
    "LoadRequest": document(
        {
            "parameters": {
                "type": "object",
                "properties": {"config": {**_STRING, "description": "JSON text of a ModelConfig that overrides"}},
            }
        },
        needs=(),
        closed=False,
    ),
    "UnloadRequest": document(
        {"parameters": {"type": "object", "properties": {"unload_dependents": _BOOLEAN}}}, needs=(), closed=False
    ),
    "RegisterRegion": document(
        {"key": _STRING, "offset": _COUNT, "byte_size": {"type": "integer", "minimum": 1}},
        needs=("key", "byte_size"),
        closed=False,
    ),
    "Region": document({"name": _STRING, "key": _STRING, "offset": _COUNT, "byte_size": _COUNT}),
    "Regions": listed(ref("Region")),
    "Settings": {"type": "object"},
    "OpenAIModel": document(
        {
            "id": _STRING,
            "object": {"const": "model"},
            "created": {**_COUNT, "description": "Unix time in seconds"},
            "owned_by": _STRING,
            "max_model_len": {**_COUNT, "description": "tokens of prompt and answer, of a model that writes text"},
            "root": {**_STRING, "description": "of an adapter: the model it belongs to"},
            "parent": _STRING,
        },
        needs=("id", "object", "created", "owned_by"),
    ),
    "OpenAIModels": document({"object": {"const": "list"}, "data": listed(ref("OpenAIModel"))}),
    "EmbeddingsRequest": document(
        {
            "model": _STRING,
            "input": {"anyOf": [_NAME, listed(_NAME, minItems=1, maxItems=2048)]},
            "encoding_format": {"type": "string", "enum": ["float", "base64"]},
            "dimensions": {"type": "integer", "minimum": 1},
            "user": _STRING,
        },
        needs=("model", "input"),
    ),
    "Embeddings": document(
        {
            "object": {"const": "list"},
            "data": listed(
                document(
                    {
                        "object": {"const": "embedding"},
                        "index": _COUNT,
                        "embedding": {
                            "anyOf": [
                                listed({"type": "number"}),
                                {**_STRING, "contentEncoding": "base64", "description": "FP32, little-endian"},
                            ]
                        },
                    }
                )
            ),
            "model": _STRING,
            "usage": document({"prompt_tokens": _COUNT, "total_tokens": _COUNT}),
        }
    ),
}
