"""A request whose body is its one tensor and nothing else (Triton's raw binary request).

    Inference-Header-Content-Length: 0
    body: the bytes of the tensor

So `curl --data-binary @photo.jpg` is a whole request. The model says the name, the datatype and the shape: a BYTES
input gets the body as its one element, any other has at most one extent that the body's length decides.
"""

import math

import numpy as np

from hekla.base.dtypes import DType
from hekla.base.errors import InputError
from hekla.protocols.tensor import ANY, Array
from hekla.serve.oip.tensors import CopyCount, decode_raw
from hekla.serve.request import InferRequest
from hekla.serve.service import Service

_WHERE = "header Inference-Header-Content-Length"


def decode_raw_request(service: Service, model: str, version: str, body: memoryview) -> InferRequest:
    """Return the request that a body of raw bytes is.

    Errors: InputError for a model with several inputs or a shape that the bytes cannot decide; NotFoundError.
    """
    inputs = service.model_metadata(model, version)["inputs"]
    if len(inputs) != 1:
        raise InputError(
            f"model {model!r} takes {len(inputs)} inputs, so the body alone does not say which it is",
            where=_WHERE,
            cure="send a JSON header, and its length here",
        )
    (spec,) = inputs
    dtype, extents = DType(spec["datatype"]), list(spec["shape"])
    where = f"input {spec['name']!r}"
    copies = CopyCount()
    if dtype is DType.BYTES:
        element: Array = np.empty(1, np.object_)
        element[0] = bytes(body)
        array = element.reshape([1] * len(extents))
        copies.bytes = len(body)
    else:
        array = decode_raw(where, dtype, _decided(where, extents, len(body), dtype.itemsize), body, copies)
    return InferRequest(model, {spec["name"]: array}, version, copied_bytes=copies.bytes)


def _decided(where: str, extents: list[int], size_bytes: int, itemsize: int) -> list[int]:
    open_axes = [axis for axis, extent in enumerate(extents) if extent == ANY]
    fixed = math.prod(extent for extent in extents if extent != ANY)
    if len(open_axes) > 1:  # the first is the batch: one row
        extents[open_axes.pop(0)] = 1
    if len(open_axes) > 1:
        raise InputError(
            f"has shape {extents}: more extents are open than the number of bytes decides",
            where=where,
            cure="send a JSON header with the shape",
        )
    if open_axes:
        extents[open_axes[0]] = size_bytes // max(fixed * itemsize, 1)
    return extents
