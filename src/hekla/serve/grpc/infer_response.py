"""InferResponse to ModelInferResponse: the head by protobuf, remembered; the tensors' bytes as they lie."""

from collections.abc import Mapping, Sequence

from hekla.base.dtypes import DType
from hekla.base.errors import EngineError
from hekla.protocols.tensor import Array, Tensors
from hekla.serve.grpc import open_inference_pb2 as pb
from hekla.serve.grpc.infer_plan import InferPlan, TensorAnswer
from hekla.serve.http2.stream import Buffer
from hekla.serve.oip.shared_memory import SharedMemoryRegions, SharedRange
from hekla.serve.oip.tensors import encode_raw
from hekla.serve.request import InferResponse

_REMEMBERED = 256
_JOIN_BYTES = 8 << 10
_ID, _RAW, _STREAM_RESPONSE = b"\x1a", b"\x32", b"\x12"  # the tags of ModelInferResponse 3 and 6, of the stream's 2


class InferResponseEncoder:
    """Encodes the responses of one server."""

    def __init__(self, regions: SharedMemoryRegions) -> None:
        self._regions = regions
        self._heads: dict[tuple[object, ...], bytes] = {}

    def encode(self, response: InferResponse, shared: Mapping[str, SharedRange]) -> bytes | list[Buffer]:
        """Return a ModelInferResponse, in pieces where it is long: the pieces are views of the response's arrays.

        Errors: EngineError for an array the protocol cannot carry; what `SharedMemoryRegions.write` raises.
        """
        outputs = response.outputs
        if shared or response.parameters:
            head = self._head(response, self._store(outputs, shared))
        else:
            key = (response.model, response.version, *[(name, a.dtype, a.shape) for name, a in outputs.items()])
            found = self._heads.get(key)
            head = found if found is not None else self._remember(key, response)
        pieces: list[Buffer] = [head]
        size = len(head)
        if response.id:
            encoded_id = response.id.encode()
            pieces += (_ID, varint(len(encoded_id)), encoded_id)
        for name, array in outputs.items():
            raw = b"" if name in shared else encode_raw(array)  # every output has an entry, by its place
            length = len(raw)
            pieces += (_RAW, varint(length), raw)
            size += length
        return b"".join(pieces) if size <= _JOIN_BYTES else _merged(pieces)

    def note(self, response: InferResponse, plan: InferPlan) -> None:
        """Keep with a plan how a request of it was answered, if with one tensor and nothing else."""
        if len(response.outputs) != 1 or response.parameters or plan.shared_outputs:
            return
        ((name, array),) = response.outputs.items()
        last = plan.last_answer
        if array.dtype.hasobject or not array.size or not array.shape:
            plan.last_answer = None
        elif last is None or (last.shape, last.dtype, last.version, last.name) != (
            array.shape,
            array.dtype,
            response.version,
            name,
        ):
            plan.last_answer = TensorAnswer(response.version, name, array.dtype, array.shape, self._head(response, {}))

    def encode_in_stream(self, response: InferResponse, shared: Mapping[str, SharedRange]) -> list[Buffer]:
        """Return a ModelStreamInferResponse. Errors: as of `encode`."""
        message = self.encode(response, shared)
        pieces: list[Buffer] = [message] if isinstance(message, bytes) else message
        return [_STREAM_RESPONSE + varint(sum(map(len, pieces))), *pieces]

    def _remember(self, key: tuple[object, ...], response: InferResponse) -> bytes:
        if len(self._heads) >= _REMEMBERED:
            self._heads.clear()
        head = self._heads[key] = self._head(response, {})
        return head

    def _head(self, response: InferResponse, stored: Mapping[str, SharedRange]) -> bytes:
        message = pb.ModelInferResponse(model_name=response.model, model_version=response.version)
        set_parameters(message.parameters, response.parameters)
        for name, array in response.outputs.items():
            output = message.outputs.add(name=name, datatype=_datatype(name, array), shape=array.shape)
            if name in stored:
                place = stored[name]
                output.parameters["shared_memory_region"].string_param = place.region
                output.parameters["shared_memory_byte_size"].int64_param = place.byte_size
                output.parameters["shared_memory_offset"].int64_param = place.offset
        return message.SerializeToString()

    def _store(self, outputs: Tensors, shared: Mapping[str, SharedRange]) -> dict[str, SharedRange]:
        """Write outputs to shared memory; return where they are, with the sizes they have."""
        stored: dict[str, SharedRange] = {}
        for name, place in shared.items():
            if name in outputs:
                size = self._regions.write(place.region, place.offset, place.byte_size, encode_raw(outputs[name]))
                stored[name] = SharedRange(place.region, place.offset, size)
        return stored


def one_tensor_message(head: bytes, request_id: str, raw: memoryview) -> bytes | list[Buffer]:
    """Return the ModelInferResponse of one tensor behind a head that was noted."""
    pieces: list[Buffer] = [head]
    if request_id:
        encoded_id = request_id.encode()
        pieces += (_ID, varint(len(encoded_id)), encoded_id)
    pieces += (_RAW, varint(len(raw)), raw)
    return b"".join(pieces) if len(raw) <= _JOIN_BYTES else _merged(pieces)


# The parameter maps of the different messages are of one generated kind that has no nameable type.
def set_parameters(
    parameters: "Mapping[str, pb.InferParameter]", values: Mapping[str, bool | int | float | str]
) -> None:
    """Fill a parameter map."""
    for name, value in values.items():
        if isinstance(value, bool):
            parameters[name].bool_param = value
        elif isinstance(value, int):
            if -(1 << 63) <= value < 1 << 63:
                parameters[name].int64_param = value
            else:
                parameters[name].uint64_param = value
        elif isinstance(value, float):
            parameters[name].double_param = value
        else:
            parameters[name].string_param = value


def varint(value: int) -> bytes:
    """Return a number as protobuf writes lengths."""
    if value < 0x80:
        return _SHORT[value]
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_SHORT = [bytes([value]) for value in range(0x80)]


def _datatype(name: str, array: Array) -> str:
    try:
        datatype: str = DType.of(array.dtype).value
    except KeyError:
        raise EngineError(f"the protocol has no name for NumPy's {array.dtype}", where=f"output {name!r}") from None
    return datatype


def _merged(pieces: Sequence[Buffer]) -> list[Buffer]:
    """Join runs of small pieces."""
    merged: list[Buffer] = []
    run: list[Buffer] = []
    for piece in pieces:
        if len(piece) <= _JOIN_BYTES:
            run.append(piece)
            continue
        if run:
            merged.append(b"".join(run))
            run = []
        merged.append(piece)
    if run:
        merged.append(b"".join(run))
    return merged
