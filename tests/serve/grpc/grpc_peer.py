"""A gRPC client in memory that can say what no real one would."""

from dataclasses import dataclass, field
from urllib.parse import unquote

from tests.serve.grpc.add_sub_service import AddSubService
from tests.serve.http2.http2_peer import ManualLoop, Peer

from hekla.serve.grpc.limits import GrpcLimits
from hekla.serve.grpc.server import grpc_protocol_factory
from hekla.serve.http2 import frames
from hekla.serve.http2.connection import Connection
from hekla.serve.oip.shared_memory import SharedMemoryRegions

INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
HEALTH = "/grpc.health.v1.Health/Check"


@dataclass
class Answer:
    """What came back on one stream."""

    fields: dict[str, str] = field(default_factory=dict)
    messages: list[bytes] = field(default_factory=list)
    ended: bool = False
    reset: frames.ErrorCode | None = None

    @property
    def status(self) -> int:
        return int(self.fields["grpc-status"])

    @property
    def words(self) -> str:
        return unquote(self.fields.get("grpc-message", ""))


class GrpcPeer:
    """One connection to a door that runs in this thread."""

    def __init__(self, limits: GrpcLimits | None = None) -> None:
        def connect(loop: ManualLoop) -> Connection:
            self.service = AddSubService(loop)
            self.door = grpc_protocol_factory(self.service, SharedMemoryRegions(), limits, loop)
            return self.door()

        self.peer = Peer(door=lambda loop: lambda: connect(loop))
        self.stream_id = -1

    def begin(
        self, path: str, *fields: tuple[str, str], method: str = "POST", content: str = "application/grpc"
    ) -> int:
        """Send the head of a call; return its stream id."""
        self.stream_id += 2
        head = [(":method", method), (":scheme", "http"), (":path", path), ("te", "trailers")]
        request = self.peer.request(self.stream_id, b"", [*head, ("content-type", content), *fields])
        self.peer.send(request[: -frames.HEADER_SIZE])
        return self.stream_id

    def data(self, stream_id: int, body: bytes, *, ends: bool = True) -> None:
        """Send a DATA frame."""
        self.peer.send(frames.frame(frames.DATA, int(ends), stream_id, body))

    def call(self, path: str, message: bytes, *fields: tuple[str, str], flag: int = 0) -> Answer:
        """Make a whole call."""
        stream_id = self.begin(path, *fields)
        self.data(stream_id, framed(message, flag))
        return self.answer(stream_id)

    def answer(self, stream_id: int) -> Answer:
        """Return what has come on a stream."""
        answer = Answer()
        body = b""
        for frame in self.peer.read():
            if frame.kind == frames.HEADERS:
                for name, value in self.peer.decoder.decode(frame.payload, raw=True):
                    if frame.stream_id == stream_id:
                        answer.fields[bytes(name).decode()] = bytes(value).decode()
            if frame.stream_id != stream_id:
                continue
            if frame.kind == frames.DATA:
                body += frame.payload
            elif frame.kind == frames.RST_STREAM:
                answer.reset = frame.code
            answer.ended |= frame.kind in (frames.DATA, frames.HEADERS) and bool(frame.flags & frames.END_STREAM)
        while body:
            size = int.from_bytes(body[1:5])
            answer.messages.append(body[5 : 5 + size])
            body = body[5 + size :]
        return answer


def framed(message: bytes, flag: int = 0) -> bytes:
    """Return a message with its prefix."""
    return bytes([flag]) + len(message).to_bytes(4) + message
