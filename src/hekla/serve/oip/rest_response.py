"""An inference response of the Open Inference Protocol over REST: JSON, with the binary tensor extension."""

from typing import Any

import orjson

from hekla.base.dtypes import DType
from hekla.base.errors import EngineError, HeklaError
from hekla.protocols.tensor import Array
from hekla.serve.http.message import Buffer, Response
from hekla.serve.oip.rest_request import SharedMemoryTarget, Wanted
from hekla.serve.oip.shared_memory import SharedMemoryRegions
from hekla.serve.oip.tensors import element_bytes, encode_raw
from hekla.serve.request import InferResponse
from hekla.serve.status import status_of

_BINARY = b"application/octet-stream"


def encode_infer(answer: InferResponse, wanted: Wanted, regions: SharedMemoryRegions) -> Response:
    """Return the response to a request. Binary outputs are sent from the arrays themselves.

    Errors: EngineError for an output JSON cannot carry; NotFoundError, InputError for shared memory that can't take it.
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
    if not raw:
        return Response(200, (text,))
    length = b"%d" % len(text)
    return Response(200, (text, *raw), _BINARY, ((b"inference-header-content-length", length),))


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


def _write_shared(array: Array, target: SharedMemoryTarget, regions: SharedMemoryRegions) -> dict[str, Any]:
    written = regions.write(target.region, target.offset, target.byte_size, encode_raw(array))
    return {
        "shared_memory_region": target.region,
        "shared_memory_offset": target.offset,
        "shared_memory_byte_size": written,
    }
