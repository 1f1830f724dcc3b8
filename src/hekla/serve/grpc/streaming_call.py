"""A call with any number of messages both ways."""

import logging
from collections.abc import Callable, Sequence
from time import monotonic

from hekla.base.errors import HeklaError, OverloadedError
from hekla.serve.grpc.call import send_message
from hekla.serve.grpc.codes import RESPONSE_HEAD, TRAILERS_OK, Code, failure_head, failure_trailers
from hekla.serve.grpc.head import CallHead
from hekla.serve.grpc.limits import GrpcLimits
from hekla.serve.grpc.message_reader import BufferBudget, Message, MessageReader
from hekla.serve.http2.frames import ErrorCode
from hekla.serve.http2.stream import Buffer, Stream
from hekla.serve.http2.timeouts import Expiring, Timeouts
from hekla.serve.status import status_of

_log = logging.getLogger(__name__)


class StreamingCall:
    """One call, as its handler sees it, and the receiver of its stream.

    The handler sets `on_message` and `on_end` before it returns; then it may `send` until it calls `finish`.
    """

    __slots__ = (
        "_has_sent",
        "_is_done",
        "_on_cancel",
        "_reader",
        "_stream",
        "_timer",
        "deadline_s",
        "head",
        "on_end",
        "on_message",
    )

    def __init__(
        self, stream: Stream, head: CallHead, limits: GrpcLimits, budget: BufferBudget, timeouts: Timeouts
    ) -> None:
        self.head = head
        self.on_message: Callable[[Message], None] | None = None
        self.on_end: Callable[[], None] | None = None
        self._stream = stream
        self._reader = MessageReader(limits.max_message_bytes, head.encoding, budget)
        self._on_cancel: Callable[[], None] | None = None
        self._is_done = False
        self._has_sent = False
        self._timer: set[Expiring] | None = None
        self.deadline_s = 0.0  # on time.monotonic(); 0: none
        if head.timeout_s:
            self.deadline_s = monotonic() + head.timeout_s
            self._timer = timeouts.add(self, head.timeout_s)

    # For the handler

    def send(self, message: Buffer | Sequence[Buffer]) -> None:
        """Send one message."""
        if not self._is_done:
            send_message(self._stream, None if self._has_sent else RESPONSE_HEAD, message)
            self._has_sent = True

    @property
    def unsent_bytes(self) -> int:
        """How much of what was sent the peer's windows have not let through yet."""
        return self._stream.pending_bytes

    def finish(self, code: Code = Code.OK, message: str = "", retry_after_s: float = 0.0) -> None:
        """End the call behind everything sent."""
        if self._is_done:
            return
        self._finish()
        if code is not Code.OK:
            failure = failure_trailers if self._has_sent else failure_head
            self._stream.end(failure(code, message, retry_after_s))
            return
        if not self._has_sent:
            self._stream.send_headers(RESPONSE_HEAD)
        self._stream.end(TRAILERS_OK)

    def finish_with(self, error: HeklaError) -> None:
        """End the call with the failure that the table of statuses has for an error."""
        retry_after_s = error.retry_after_s if isinstance(error, OverloadedError) else 0.0
        self.finish(Code(status_of(error).grpc_code), str(error), retry_after_s)

    def on_cancel(self, cancel: Callable[[], None]) -> None:
        """Register what to do when nobody waits for answers any more; called at most once."""
        self._on_cancel = cancel

    # For the stream

    def on_data(self, chunk: bytes, start: int, end: int, ended: bool) -> None:
        """Take a part of the requests."""
        try:
            for message in self._reader.feed(chunk, start, end):
                if self._is_done:
                    return
                if self.on_message is not None:
                    self.on_message(message)
            if ended and not self._is_done:
                self._end_requests()
        except HeklaError as error:
            self.finish_with(error)
            self._cancel()
        except Exception:  # noqa: BLE001  # the boundary of a request: the others go on
            _log.exception("a gRPC handler failed")
            self.finish(Code.INTERNAL, "internal error")
            self._cancel()

    def on_reset(self, code: ErrorCode) -> None:
        """The caller is gone."""
        if not self._is_done:
            self._finish()
            self._cancel()

    def on_timeout(self) -> None:
        """The caller's time is over."""
        if not self._is_done:
            self.finish(Code.DEADLINE_EXCEEDED, f"the time the caller allowed, {self.head.timeout_s:g} s, is over")
            self._cancel()

    def _end_requests(self) -> None:
        if not self._reader.is_between:
            self.finish(Code.INVALID_ARGUMENT, "the request ends in the middle of a message")
            self._cancel()
        elif self.on_end is not None:
            self.on_end()

    def _finish(self) -> None:
        self._is_done = True
        if self._timer is not None:
            self._timer.discard(self)
        self._reader.release()

    def _cancel(self) -> None:
        cancel, self._on_cancel = self._on_cancel, None
        if cancel is not None:
            cancel()
