"""An inference response of the Open Inference Protocol over REST: JSON, with the binary tensor extension."""

from typing import Any

import numpy as np
import orjson

from hekla.base.dtypes import DType
from hekla.base.errors import EngineError, HeklaError
from hekla.protocols.tensor import Array
from hekla.serve.http.message import Buffer, Response
from hekla.serve.oip.rest_plan import BinaryAnswer, JsonAnswer, Plan
from hekla.serve.oip.rest_request import Wanted
from hekla.serve.oip.shared_memory import SharedMemoryRegions, SharedRange
from hekla.serve.oip.tensors import element_bytes, encode_raw
from hekla.serve.request import InferResponse
from hekla.serve.status import status_of

_BINARY = b"application/octet-stream"


def encode_infer(answer: InferResponse, wanted: Wanted, regions: SharedMemoryRegions) -> Response:
    """Return the response to a request. Binary outputs are sent from the arrays themselves.

    Errors: EngineError for an output JSON cannot carry (NaN, bytes that are no text); NotFoundError, InputError for
    shared memory that can't take it.
    """
    outputs: list[dict[str, Any]] = []
    raw: list[Buffer] = []
    shared = dict(wanted.shared)
    for name, array in answer.outputs.items():
        dtype = _dtype(name, array)
        document: dict[str, Any] = {"name": name, "datatype": dtype.value, "shape": list(array.shape)}
        if name in shared:
            document["parameters"] = _write_shared(array, shared[name], regions)
        elif name in wanted.binary or (wanted.all_binary and name not in wanted.json):
            data = encode_raw(array)
            document["parameters"] = {"binary_data_size": len(data)}
            raw.append(data)
        else:
            document["data"] = _json_data(name, dtype, array)
        outputs.append(document)
    whole: dict[str, Any] = {"model_name": answer.model, "model_version": answer.version}
    if answer.id:
        whole["id"] = answer.id
    if answer.parameters:
        whole["parameters"] = answer.parameters
    whole["outputs"] = outputs
    text = orjson.dumps(whole, option=orjson.OPT_SERIALIZE_NUMPY)
    if b"null" in text:
        for document in outputs:
            _check_finite(document["name"], document.get("data"))
    if not raw:
        return Response(200, (text,))
    length = b"%d" % len(text)
    return Response(200, (text, *raw), _BINARY, ((b"inference-header-content-length", length),))


def encode_like_last(answer: InferResponse, plan: Plan) -> Response | None:
    """Return the response to a request of a plan by what was noted of the last one; None if it is not alike.

    The first answer is noted here and encoded in full by the caller.
    """
    outputs = answer.outputs
    if len(outputs) != 1 or answer.parameters:
        return None
    ((name, array),) = outputs.items()
    last = plan.last_answer
    if last is None:
        plan.last_answer = _note(answer, name, array, plan.wanted)
        return None
    if last.shape != array.shape or last.dtype != array.dtype or last.version != answer.version or last.name != name:
        plan.last_answer = None
        return None
    if isinstance(last, BinaryAnswer):
        data = array if array.flags.c_contiguous else np.ascontiguousarray(array)
        return Response(200, (last.header, data.data.cast("B")), _BINARY, last.http_headers)
    flat = array.reshape(-1)
    numbers = orjson.dumps(flat if flat.flags.c_contiguous else flat.copy(), option=orjson.OPT_SERIALIZE_NUMPY)
    if b"null" in numbers:
        _check_finite(name, array)
    return Response(200, (last.prefix, numbers, b"}]}"))


def _note(answer: InferResponse, name: str, array: Array, wanted: Wanted) -> JsonAnswer | BinaryAnswer | None:
    dtype = _dtype(name, array)
    if dtype in (DType.BYTES, DType.BF16) or not array.size or not array.dtype.isnative:
        return None
    whole: dict[str, Any] = {"model_name": answer.model, "model_version": answer.version}
    if answer.id:
        whole["id"] = answer.id
    document: dict[str, Any] = {"name": name, "datatype": dtype.value, "shape": list(array.shape)}
    whole["outputs"] = [document]
    if name in wanted.binary or (wanted.all_binary and name not in wanted.json):
        document["parameters"] = {"binary_data_size": array.nbytes}
        header = orjson.dumps(whole)
        length = b"%d" % len(header)
        http_headers = ((b"inference-header-content-length", length),)
        return BinaryAnswer(answer.version, name, array.dtype, array.shape, header, http_headers)
    document["data"] = []
    return JsonAnswer(answer.version, name, array.dtype, array.shape, orjson.dumps(whole).removesuffix(b"[]}]}"))


def tell_error(error: HeklaError) -> Response:
    """Return an error in the protocol's form: `{"error": text}`."""
    return Response(status_of(error).http, (orjson.dumps({"error": str(error)}),))


def _dtype(name: str, array: Array) -> DType:
    try:
        return DType.of(array.dtype)
    except KeyError:
        raise EngineError(
            f"has dtype {array.dtype}, which the protocol cannot carry", where=f"output {name!r}"
        ) from None


def _json_data(name: str, dtype: DType, array: Array) -> Any:
    flat = array.reshape(-1)
    if dtype is DType.BYTES:
        try:
            return [element_bytes(element).decode() for element in flat.tolist()]
        except UnicodeDecodeError:
            raise EngineError(
                "holds bytes that are not UTF-8 text, which JSON cannot carry",
                where=f"output {name!r}",
                cure="ask for it as binary_data",
            ) from None
    if dtype is DType.BF16:
        return flat.astype("float32")
    return flat if flat.flags.c_contiguous and flat.dtype.isnative else flat.copy()


def _check_finite(name: str, data: object) -> None:
    """JSON has no NaN and no infinity; orjson writes null for them, which would not be what the model said."""
    if isinstance(data, np.ndarray) and not np.isfinite(data).all():
        raise EngineError(
            "holds NaN or infinity, which JSON cannot carry", where=f"output {name!r}", cure="ask for it as binary_data"
        )


def _write_shared(array: Array, target: SharedRange, regions: SharedMemoryRegions) -> dict[str, Any]:
    written = regions.write(target.region, target.offset, target.byte_size, encode_raw(array))
    return {
        "shared_memory_region": target.region,
        "shared_memory_offset": target.offset,
        "shared_memory_byte_size": written,
    }
