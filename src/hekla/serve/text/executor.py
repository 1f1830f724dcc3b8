"""A model that writes text as the Open Inference Protocol sees it: tensors named as in Triton's vLLM backend.

    in   text_input BYTES [1], stream BOOL [1], sampling_parameters BYTES [1] (a JSON object),
         exclude_input_in_output BOOL [1], return_finish_reason, return_num_input_tokens, return_num_output_tokens
    out  text_output BYTES [1], finish_reason BYTES [1], num_input_tokens UINT32 [1], num_output_tokens UINT32 [1]

With `stream` each response has the piece that came, over ModelStreamInfer only. The prompt is text, not a chat.
"""

import asyncio
import functools
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from hekla.base.dtypes import DType
from hekla.base.errors import CancelledError, DeadlineError, EngineError, HeklaError, InputError
from hekla.protocols.stage import Values
from hekla.protocols.tensor import Array, TensorSpec
from hekla.protocols.text_engine import TokenEvent
from hekla.serve.execution.job import Job, OnEnd
from hekla.serve.request import InferResponse
from hekla.serve.text.generation import TextTicket
from hekla.serve.text.model import TextModel
from hekla.serve.text.wish import Begun, TextWish

# Reads `sampling_parameters`, the JSON text of vLLM's SamplingParams.
ReadParameters = Callable[[bytes], TextWish]

_BOOLEANS = (
    *("stream", "exclude_input_in_output", "return_finish_reason", "return_num_input_tokens"),
    "return_num_output_tokens",
)
INPUTS = (
    TensorSpec("text_input", DType.BYTES, (1,)),
    TensorSpec("sampling_parameters", DType.BYTES, (1,), optional=True),
    *(TensorSpec(name, DType.BOOL, (1,), optional=True) for name in _BOOLEANS),
)
OUTPUTS = (
    TensorSpec("text_output", DType.BYTES, (1,)),
    TensorSpec("finish_reason", DType.BYTES, (1,)),
    TensorSpec("num_input_tokens", DType.UINT32, (1,)),
    TensorSpec("num_output_tokens", DType.UINT32, (1,)),
)


class TextExecutor:
    """`Executor` over a text model."""

    inputs = INPUTS
    outputs = OUTPUTS

    def __init__(self, model: TextModel, read_parameters: ReadParameters) -> None:
        self.model = model
        self._read_parameters = read_parameters

    @property
    def is_ready(self) -> bool:
        """True while the engine lives."""
        return self.model.is_ready

    def start(self, values: Values, job: Job, on_end: OnEnd) -> None:
        """Begin to write."""
        try:
            text = _text(values, "text_input")
            flags = {name: bool(values[name][0]) for name in _BOOLEANS if name in values}
            is_stream = flags.get("stream", False)
            if is_stream and not job.request.takes_many:
                raise InputError(
                    "a stream of responses needs ModelStreamInfer", where="input 'stream'", cure="leave it out here"
                )
            if is_stream and not flags.get("exclude_input_in_output", True):
                raise InputError("a stream has no prompt in it", where="input 'exclude_input_in_output'")
            wish = self._wish(values, text, job)
            shown = "" if flags.get("exclude_input_in_output", is_stream) else text
            writing = _Writing(self.model, job, on_end, is_stream, shown)
            writing.ticket = self.model.start(wish, writing)
        except HeklaError as error:
            on_end(error)
            return
        job.stop = functools.partial(_stop, writing)

    async def drain(self) -> None:
        """Wait until every answer is whole."""
        await self.model.drain()

    def close(self) -> None:
        """Free the engine."""
        self.model.close()

    def _wish(self, values: Values, text: str, job: Job) -> TextWish:
        given = values.get("sampling_parameters")
        wish = self._read_parameters(given[0] if given is not None else b"{}")
        deadline_s, received_s = job.deadline_s, job.request.received_s
        return replace(
            wish,
            prompts=(text,),
            where="input 'text_input'",
            priority=job.priority,
            timeout_s=max(deadline_s - received_s, 1e-6) if deadline_s is not None else 0.0,
            received_s=received_s,
            is_counted=False,
        )


class _Writing:
    """The receiver of one request."""

    def __init__(self, model: TextModel, job: Job, on_end: OnEnd, is_stream: bool, shown: str) -> None:
        self._name, self._version = model.name, str(model.version)
        self._job, self._on_end, self._is_stream = job, on_end, is_stream
        self._pieces = [shown] if shown else []
        self._prompt_tokens = self._tokens = 0
        self.ticket: TextTicket | None = None
        self.has_ended = False

    def on_begin(self, begun: Begun) -> None:
        """Note how long the prompt is."""
        (self._prompt_tokens,) = begun.prompt_tokens

    def on_event(self, index: int, event: TokenEvent) -> None:
        """Keep the piece."""
        self._pieces.append(event.text)
        self._tokens += event.token is not None
        if event.finish_reason == "error":
            self._end(event.error or EngineError("the engine could not go on with it"))
        elif event.finish_reason == "deadline" and not self._tokens:
            self._end(DeadlineError("no token within the time allowed", cure="allow more time, or ask again later"))
        elif event.finish_reason is not None:
            self._end(self._outputs(event.finish_reason))

    def on_flush(self) -> None:
        """Send what came, where a stream was asked for."""
        if self._is_stream and not self.has_ended:
            outputs = self._outputs("")
            wanted = self._job.request.outputs
            shown = {name: outputs[name] for name in wanted} if wanted else outputs
            request = self._job.request
            self._job.done(InferResponse(self._name, self._version, shown, request.id, final=False))

    def on_error(self, error: HeklaError) -> None:
        """It failed."""
        self._end(error)

    def _outputs(self, reason: str) -> Mapping[str, Array]:
        text, self._pieces = "".join(self._pieces), []
        return {
            "text_output": _bytes(text),
            "finish_reason": _bytes(reason),
            "num_input_tokens": np.array([self._prompt_tokens], np.uint32),
            "num_output_tokens": np.array([self._tokens], np.uint32),
        }

    def _end(self, result: Values | HeklaError) -> None:
        if not self.has_ended:
            self.has_ended = True
            self._job.stop = None
            self._on_end(result)


def _stop(writing: _Writing) -> None:
    if writing.ticket is not None and not writing.has_ended:
        writing.ticket.cancel()
        # As executors promise: a job that was cancelled ends with this, soon and not from inside.
        asyncio.get_running_loop().call_soon(writing.on_error, CancelledError("the caller went away"))


def _text(values: Values, name: str) -> str:
    content: bytes = values[name][0]
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise InputError("is not UTF-8", where=f"input {name!r}") from None


def _bytes(text: str) -> Array:
    array: Array = np.empty(1, np.object_)
    array[0] = text.encode()
    return array
