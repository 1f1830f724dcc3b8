"""One inference request and its answer, as every door hands them to the service."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hekla.base.errors import HeklaError
from hekla.protocols.tensor import Tensors

# What clients may say beside the tensors, as the Open Inference Protocol types it.
Parameters = Mapping[str, bool | int | float | str]


@dataclass(frozen=True, slots=True)
class SequenceStep:
    """Where a request stands in a sequence (the protocol's sequence extension)."""

    id: int | str  # the correlation id
    start: bool = False
    end: bool = False


class Signature:
    """What requests with the same names, dtypes, shapes and requested outputs have in common.

    A door that knows two requests to be alike gives both the same signature, and what was checked and found out
    for the first need not be for the second. Written by those that check: a model that was loaded again is another.
    """

    __slots__ = ("checked_by", "layout", "layout_of")

    def __init__(self) -> None:
        self.checked_by: object = None  # the served model whose inputs and outputs such requests fit
        self.layout_of: object = None  # the batch layout that described them,
        self.layout: tuple[int, object, tuple[int, ...]] = (0, None, ())  # and as what: rows, key, padded lengths


@dataclass(slots=True)
class InferRequest:
    """Tensors for one model. The arrays may be views of the door's buffers until the answer is given."""

    model: str
    inputs: Tensors
    version: str = ""  # "": the newest the policy serves
    id: str = ""
    outputs: tuple[str, ...] = ()  # (): all of them
    priority: int = 0  # 1 first; 0: the model's default
    timeout_us: int = 0  # from `received_s`; 0: the model's default
    sequence: SequenceStep | None = None
    parameters: Parameters = field(default_factory=dict)
    received_s: float = 0.0  # time.monotonic() when the request's last byte came; the service fills 0 in
    copied_bytes: int = 0  # of the tensors' payload, on the way from the door's buffers to the arrays
    signature: Signature | None = None
    request_id: str = ""  # the door's own id for logs (x-request-id), or ""
    trace_parent: str = ""  # W3C traceparent as it came, or ""
    takes_many: bool = False  # the door can pass on several responses


@dataclass(slots=True)
class InferResponse:
    """The tensors a model answered with, and under which name and version."""

    model: str
    version: str
    outputs: Tensors
    id: str = ""
    parameters: Parameters = field(default_factory=dict)
    trace_parent: str = ""  # W3C traceparent of the server's span where tracing is on, or ""
    final: bool = True  # False where more responses to the same request follow (decoupled models)


# How the service answers, on the event loop, never from inside `infer` itself: any number of responses that are not
# final, then exactly one call with a final response or an error.
Done = Callable[[InferResponse | HeklaError], None]
