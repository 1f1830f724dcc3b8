"""What a server offers: methods by path."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hekla.serve.grpc.message_reader import Message

if TYPE_CHECKING:
    from hekla.serve.grpc.call import UnaryCall
    from hekla.serve.grpc.streaming_call import StreamingCall

# Handlers are called on the event loop and must not wait. They answer through the call, at once or later; whatever
# HeklaError they raise is the answer.
UnaryHandler = Callable[["UnaryCall", Message], None]
StreamingHandler = Callable[["StreamingCall"], None]


@dataclass(frozen=True, slots=True)
class Method:
    """A method: one message in and one out, or any number both ways."""

    unary: UnaryHandler | None = None
    streaming: StreamingHandler | None = None
