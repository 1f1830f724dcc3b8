"""ModelInferRequest to InferRequest without copying the tensors: a scan of the top-level fields of the message.

    tag   field
    0x0A  model_name         0x22  parameters     0x3A  raw_input_contents
    0x12  model_version      0x2A  inputs
    0x1A  id                 0x32  outputs

Everything but the id and the raw contents is the request's head. Heads are parsed by protobuf once and remembered by
their bytes; raw contents become views of the message.
"""

from typing import NamedTuple

from google.protobuf.message import DecodeError

from hekla.base.errors import InputError
from hekla.protocols.tensor import Array
from hekla.serve.grpc import open_inference_pb2 as pb
from hekla.serve.grpc.infer_plan import InferPlan, plan_of
from hekla.serve.grpc.message_reader import Message
from hekla.serve.oip.shared_memory import SharedMemoryRegions
from hekla.serve.oip.tensors import CopyCount
from hekla.serve.request import InferRequest

_REMEMBERED = 256
_REMEMBERED_BYTES = 4096  # of a head; beyond this lie typed contents
_ID, _RAW = 0x1A, 0x3A
_MAX_SHIFT = 63
_TAGS = frozenset({0x0A, 0x12, 0x1A, 0x22, 0x2A, 0x32, 0x3A})


class ScannedMessage(NamedTuple):
    """A message, what it says beside its bytes, and where (start, size) its raw contents lie."""

    message: Message
    plan: InferPlan
    request_id: str
    spans: list[tuple[int, int]]


class InferRequestDecoder:
    """Decodes the requests of one server."""

    def __init__(self, regions: SharedMemoryRegions) -> None:
        self._regions = regions
        self._plans: dict[bytes, InferPlan] = {}
        self._copies = CopyCount()

    def scan(self, message: Message) -> ScannedMessage:
        """Return where what lies in a message, and its plan. Errors: InputError, ShapeError, DtypeError."""
        scanned = _scan(message)
        if scanned is None:
            message = _known_fields(message)
            scanned = _scan(message)
            if scanned is None:
                raise InputError("the message is not a ModelInferRequest")
        head, request_id, spans = scanned
        plan = self._plans.get(head)
        if plan is None or len(plan.raws) != len(spans):
            plan = self._plan(head, len(spans))
        return ScannedMessage(message, plan, request_id, spans)

    def decode(self, message: Message) -> tuple[InferRequest, InferPlan]:
        """Return the request in a message and what its answer needs to know. Errors: of `scan` and `read`."""
        scanned = self.scan(message)
        return self.read(scanned), scanned.plan

    def read(self, scanned: ScannedMessage) -> InferRequest:
        """Return the request in a message that was scanned.

        Ownership: the arrays are views of the message where their alignment allows.
        Errors: InputError, ShapeError, NotFoundError (a region) naming the place.
        """
        message, plan, request_id, spans = scanned
        copies = self._copies
        copies.bytes = 0
        inputs: dict[str, Array] = dict(plan.typed) if plan.typed else {}
        for (name, layout), (start, size) in zip(plan.raws, spans, strict=True):
            inputs[name] = layout.decode(message, start, size, copies)
        for name, layout, place in plan.shared:
            view = self._regions.read(place.region, place.offset, place.byte_size)
            copies.bytes += place.byte_size
            inputs[name] = layout.decode(view, 0, place.byte_size, copies)
        return InferRequest(
            plan.model,
            inputs,
            plan.version,
            request_id,
            plan.outputs,
            plan.priority,
            plan.timeout_us,
            plan.sequence,
            plan.parameters,
            copied_bytes=copies.bytes,
            signature=plan.signature,
        )

    def _plan(self, head: bytes, raws: int) -> InferPlan:
        try:
            message = pb.ModelInferRequest.FromString(head)
        except DecodeError:
            raise InputError("the message is not a ModelInferRequest") from None
        plan = plan_of(message, raws > 0)
        if len(plan.raws) != raws:
            raise InputError(
                f"expected {len(plan.raws)} entries, one per input without shared memory, got {raws}",
                where="$.raw_input_contents",
            )
        if len(head) <= _REMEMBERED_BYTES and not plan.typed:
            if len(self._plans) >= _REMEMBERED:
                self._plans.clear()
            self._plans[head] = plan
        return plan


def _scan(message: Message) -> tuple[bytes, str, list[tuple[int, int]]] | None:
    """Return the head, the id and where the raw contents lie; None for a message that is damaged or unusual."""
    spans: list[tuple[int, int]] = []
    request_id = ""
    head = b""
    kept = 0  # the head is `head` and what lies between here and the next field left out
    position, end = 0, len(message)
    try:
        while position < end:
            begin = position
            tag = message[position]
            size = message[position + 1]
            position += 2
            if size >= 0x80:
                size, position = _long_size(message, position - 1)
            start = position
            position += size
            if position > end or tag not in _TAGS:
                return None
            if tag == _RAW:
                spans.append((start, size))
            elif tag == _ID:
                request_id = bytes(message[start:position]).decode()
            else:
                continue
            if begin > kept:
                head += message[kept:begin]
            kept = position
    except (IndexError, UnicodeDecodeError):
        return None
    if end > kept:
        head += message[kept:end]
    return head, request_id, spans


def _long_size(message: Message, position: int) -> tuple[int, int]:
    """Return a varint of more than one byte and the position behind it. Errors: IndexError if it has no end."""
    size = shift = 0
    while True:
        byte = message[position]
        position += 1
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            return size, position
        shift += 7
        if shift > _MAX_SHIFT:
            raise IndexError(position)


def _known_fields(message: Message) -> bytes:
    """Return a message without the fields we do not know, as protobuf reads it. Errors: InputError."""
    try:
        parsed = pb.ModelInferRequest.FromString(bytes(message))
    except DecodeError:
        raise InputError("the message is not a ModelInferRequest") from None
    parsed.DiscardUnknownFields()
    return parsed.SerializeToString()
