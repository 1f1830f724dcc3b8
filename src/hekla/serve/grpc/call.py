"""A unary call: one message in, one message or one failure out. No task, no coroutine."""

import logging
import struct
from collections.abc import Callable, Sequence
from time import monotonic

from hekla.base.errors import HeklaError, OverloadedError
from hekla.serve.grpc.codes import RESPONSE_HEAD, TRAILERS_OK, Code, failure_head
from hekla.serve.grpc.head import CallHead
from hekla.serve.grpc.limits import GrpcLimits
from hekla.serve.grpc.message_reader import BufferBudget, Message, MessageReader
from hekla.serve.grpc.method import UnaryHandler
from hekla.serve.http2.frames import ErrorCode
from hekla.serve.http2.stream import Buffer, Stream
from hekla.serve.http2.timeouts import Expiring, Timeouts
from hekla.serve.status import status_of

_log = logging.getLogger(__name__)

_PREFIX = struct.Struct(">BI")
_SMALL_BYTES = 16 << 10  # messages up to here are cheaper copied than kept in pieces


class UnaryCall:
    """One call, as its handler sees it, and the receiver of its stream.

    Exactly one of `respond`, `fail` and `fail_with` has an effect; after the caller gave up none has.
    """

    __slots__ = (
        "_budget",
        "_handler",
        "_is_done",
        "_limit",
        "_message",
        "_on_cancel",
        "_reader",
        "_stream",
        "_timer",
        "deadline_s",
        "head",
    )

    def __init__(
        self,
        stream: Stream,
        head: CallHead,
        handler: UnaryHandler,
        limits: GrpcLimits,
        budget: BufferBudget,
        timeouts: Timeouts,
    ) -> None:
        self.head = head
        self._stream = stream
        self._handler = handler
        self._limit = limits.max_message_bytes
        self._budget = budget
        self._is_done = False
        self._message: Message | None = None  # complete, while the end of the stream is awaited
        self._reader: MessageReader | None = None
        self._on_cancel: Callable[[], None] | None = None
        self._timer: set[Expiring] | None = None
        self.deadline_s = 0.0  # on time.monotonic(); 0: none
        if head.timeout_s:
            self.deadline_s = monotonic() + head.timeout_s
            self._timer = timeouts.add(self, head.timeout_s)

    # For the handler

    def respond(self, message: Buffer | Sequence[Buffer]) -> None:
        """Answer with a message, whole or in pieces that are sent one behind the other without being copied."""
        if self._is_done:
            return
        self._finish()
        if isinstance(message, bytes) and len(message) <= _SMALL_BYTES:
            self._stream.respond(RESPONSE_HEAD, _PREFIX.pack(0, len(message)) + message, TRAILERS_OK)
            return
        send_message(self._stream, RESPONSE_HEAD, message)
        self._stream.end(TRAILERS_OK)

    def fail(self, code: Code, message: str, retry_after_s: float = 0.0) -> None:
        """Answer with a failure."""
        if not self._is_done:
            self._finish()
            self._stream.end(failure_head(code, message, retry_after_s))

    def fail_with(self, error: HeklaError) -> None:
        """Answer with the failure that the table of statuses has for an error."""
        retry_after_s = error.retry_after_s if isinstance(error, OverloadedError) else 0.0
        self.fail(Code(status_of(error).grpc_code), str(error), retry_after_s)

    def on_cancel(self, cancel: Callable[[], None]) -> None:
        """Register what to do when nobody waits for the answer any more; called at most once."""
        self._on_cancel = cancel

    # For the stream

    def on_data(self, chunk: bytes, start: int, end: int, ended: bool) -> None:
        """Take a part of the request; begin when it is whole."""
        # Nearly always the whole message lies in one frame that ends the stream.
        if (
            ended
            and self._reader is None
            and end - start >= 5
            and not chunk[start]
            and int.from_bytes(chunk[start + 1 : start + 5], "big") == end - start - 5
            and end - start <= _SMALL_BYTES
        ):
            self._begin(chunk[start + 5 : end])
            return
        try:
            self._collect(chunk, start, end)
        except HeklaError as error:
            self.fail_with(error)
            return
        if ended:
            self._end_request()

    def on_reset(self, code: ErrorCode) -> None:
        """The caller is gone."""
        if not self._is_done:
            self._finish()
            self._cancel()

    def on_timeout(self) -> None:
        """The caller's time is over."""
        if not self._is_done:
            self.fail(Code.DEADLINE_EXCEEDED, f"the time the caller allowed, {self.head.timeout_s:g} s, is over")
            self._cancel()

    def _collect(self, chunk: bytes, start: int, end: int) -> None:
        reader = self._reader
        if reader is None:
            reader = self._reader = MessageReader(self._limit, self.head.encoding, self._budget)
        for message in reader.feed(chunk, start, end):
            if self._message is not None:
                self.fail(Code.UNIMPLEMENTED, "a unary call takes one message, got more")
                return
            self._message = message

    def _end_request(self) -> None:
        message, reader = self._message, self._reader
        if self._is_done:
            return
        if reader is not None and not reader.is_between:
            self.fail(Code.INVALID_ARGUMENT, "the request ends in the middle of a message")
        elif message is None:
            self.fail(Code.UNIMPLEMENTED, "a unary call takes one message, got none")
        else:
            self._message = None
            self._begin(message)

    def _begin(self, message: Message) -> None:
        try:
            self._handler(self, message)
        except HeklaError as error:
            self.fail_with(error)
        except Exception:  # noqa: BLE001  # the boundary of a request: the others go on
            _log.exception("a gRPC handler failed")
            self.fail(Code.INTERNAL, "internal error")

    def _finish(self) -> None:
        self._is_done = True
        if self._timer is not None:
            self._timer.discard(self)
        if self._reader is not None:
            self._reader.release()
        self._message = None

    def _cancel(self) -> None:
        cancel, self._on_cancel = self._on_cancel, None
        if cancel is not None:
            cancel()


def send_message(stream: Stream, head: bytes | None, message: Buffer | Sequence[Buffer]) -> None:
    """Send a message on a stream that stays open, behind its header block unless that was sent before."""
    pieces = (message,) if isinstance(message, bytes | memoryview) else message
    if head is not None:
        stream.send_headers(head)
    stream.send_data([_PREFIX.pack(0, sum(map(len, pieces))), *pieces])
