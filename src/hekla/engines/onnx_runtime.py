"""ONNX models on ONNX Runtime's CPU provider.

What a model's file can make this process do is computing and reading inside the version's folder, no more: no custom-op
library is ever registered, external data is checked before ONNX Runtime sees the file, the file's own session settings
are not applied. Importing this module imports ONNX Runtime; the entry point does it when the first such model loads.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from hekla.base.dtypes import DType
from hekla.base.errors import CancelledError, EngineError, HeklaError, InputError, ModelFileError, UnavailableError
from hekla.engines import heap
from hekla.engines.onnx_files import check_files, model_file
from hekla.engines.onnx_messages import load_message, run_message
from hekla.engines.onnx_values import (
    BFLOAT16,
    FROM_ORT,
    bytes_of_text,
    from_ort_value,
    native,
    ort_value,
    text_of_bytes,
)
from hekla.engines.options import config_place, flag_option, option_place, refuse_unknown_options, text_option
from hekla.engines.specs import agreed_specs
from hekla.protocols.engine import Cancellation, EngineSource
from hekla.protocols.tensor import ANY, Array, Tensors, TensorSpec

OPTIONS = ("file", "graph_optimization", "arena", "prepack")

_LEVELS = {
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def load(source: EngineSource) -> "OnnxRuntimeEngine":
    """Return an engine for the version's ONNX file.

    Options: `file` (model.onnx); `graph_optimization` (none, basic, extended, all); `arena` (false): keep the largest
    working memory ever needed, instead of giving it back after each run; `prepack` (true): keep a second form of the
    weights that multiplies faster; without it, weights in external data stay mapped and cost no memory of their own.
    Errors: ConfigError for a wrong option; ModelFileError for a file that is missing, damaged, unsafe, needs what this
    ONNX Runtime lacks, or contradicts the declared inputs and outputs.
    """
    refuse_unknown_options(source, OPTIONS)
    path = model_file(source)
    unranked = check_files(path, source)
    session = _session(source, path)
    inputs, outputs = agreed_specs(
        source,
        tuple(_spec(source, "inputs", node) for node in session.get_inputs()),
        tuple(_spec(source, "outputs", node) for node in session.get_outputs()),
        unranked,
    )
    if any(s.dtype is DType.BYTES for s in inputs) and any(s.dtype is DType.BF16 for s in outputs):
        # The Python interface makes no OrtValue from texts, and answers BF16 in nothing but OrtValues.
        raise ModelFileError(
            "BYTES inputs together with BF16 outputs are not supported",
            where=config_place(source),
            cure="cast the outputs to FP32 inside the model",
        )
    heap.give_back()  # the parsed file and what the optimiser threw away: as much again as the weights
    return OnnxRuntimeEngine(source.model, session, inputs, outputs)


class OnnxRuntimeEngine:
    """An `Engine` on one ONNX Runtime session."""

    def __init__(
        self, model: str, session: ort.InferenceSession, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
    ) -> None:
        self._model, self._inputs, self._outputs = model, inputs, outputs
        self._session: ort.InferenceSession | None = session
        self._dtypes = {spec.name: spec.dtype for spec in inputs}
        # What goes to ONNX Runtime as it comes: arrays with exactly this dtype object.
        self._as_is = {s.name: s.dtype.numpy for s in inputs if s.dtype not in (DType.BF16, DType.BYTES)}
        self._all = [spec.name for spec in outputs]
        self._texts = frozenset(spec.name for spec in outputs if spec.dtype is DType.BYTES)
        self._bfloats = frozenset(spec.name for spec in outputs if spec.dtype is DType.BF16)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._outputs

    @property
    def may_block(self) -> bool:
        return False

    def run(self, inputs: Tensors, outputs: Sequence[str] = (), cancellation: Cancellation | None = None) -> Tensors:
        session = self._session
        if session is None:
            raise UnavailableError(f"the engine of {self._model!r} is closed")
        names = list(outputs) if outputs else self._all
        options = None if cancellation is None else _stoppable(cancellation)
        as_is = self._as_is
        feed = {
            name: array if array.dtype is as_is.get(name) and array.flags.aligned else self._converted(name, array)
            for name, array in inputs.items()
        }
        try:
            if self._bfloats and not self._bfloats.isdisjoint(names):
                return self._run_on_values(session, names, feed, options)
            answers = session.run(names, feed, options)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's errors have no base class of their own
            raise self._failure(error, cancellation) from None
        found = dict(zip(names, answers, strict=True))
        if self._texts:
            for name in self._texts.intersection(names):
                found[name] = bytes_of_text(found[name])
        return found

    def close(self) -> None:
        """Drop the session; a running call keeps it until it ends."""
        if self._session is not None:
            self._session = None
            heap.give_back()

    def _converted(self, name: str, array: Array) -> Any:  # an array or an OrtValue
        dtype = self._dtypes.get(name)
        if dtype is DType.BYTES:
            return text_of_bytes(name, array)
        if dtype is DType.BF16:
            return ort_value(native(array, DType.BF16), BFLOAT16)
        # Another byte order, or an address the processor may refuse: a copy. An unknown name: ONNX Runtime's to refuse.
        return array if dtype is None else native(array, dtype)

    def _run_on_values(
        self, session: ort.InferenceSession, names: list[str], feed: dict[str, Any], options: ort.RunOptions | None
    ) -> Tensors:
        """Run with an OrtValue for each tensor: the only way to BF16, for which NumPy has no own dtype."""
        values = {
            name: value if isinstance(value, ort.OrtValue) else ort_value(native(value, self._dtypes[name]))
            for name, value in feed.items()
        }
        answers = session.run_with_ort_values(names, values, options)
        return {name: from_ort_value(answer) for name, answer in zip(names, answers, strict=True)}

    def _failure(self, error: Exception, cancellation: Cancellation | None) -> HeklaError:
        if cancellation is not None and cancellation.is_set:
            return CancelledError(f"the run of {self._model!r} was stopped")
        if isinstance(error, InvalidArgument):  # a value only the operators can judge: a token id out of range
            return InputError(run_message(error), where=f"inputs of {self._model!r}")
        return EngineError(run_message(error), where=self._model)


def _stoppable(cancellation: Cancellation) -> ort.RunOptions:
    if cancellation.is_set:
        raise CancelledError("the run was stopped before it began")
    options = ort.RunOptions()

    def stop() -> None:
        options.terminate = True  # read by the running call between two nodes, inside loops too

    cancellation.on_set(stop)
    return options


def _session(source: EngineSource, path: Path) -> ort.InferenceSession:
    level = text_option(source, "graph_optimization", "all", _LEVELS)
    ort.set_default_logger_severity(4)  # the process-wide logger, which speaks of absent GPUs
    options = ort.SessionOptions()
    options.graph_optimization_level = _LEVELS[level]
    options.intra_op_num_threads = source.threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = flag_option(source, "arena", default=False)
    options.log_severity_level = 4  # only what ends the process: errors come as exceptions
    for key, value in (
        ("session.intra_op.allow_spinning", "0"),  # idle threads sleep: other engines share the cores
        ("session.inter_op.allow_spinning", "0"),
        ("session.use_device_allocator_for_initializers", "1"),  # weights outside the arena, at their exact size
        ("session.disable_prepacking", "0" if flag_option(source, "prepack", default=True) else "1"),
        ("session.load_model_format", "ONNX"),  # never the .ort format, which the check of files cannot read
    ):
        options.add_session_config_entry(key, value)
    make: Callable[..., ort.InferenceSession] = ort.InferenceSession
    try:
        # No fallback: it prints to stdout. No settings from the model's file: the operator's hold.
        return make(str(path), options, providers=["CPUExecutionProvider"], enable_fallback=0, read_config_from_model=0)
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's errors have no base class of their own
        name = path.relative_to(source.folder)
        message, cure = load_message(error)
        raise ModelFileError(message, where=f"{source.model}/{source.version}/{name}", cure=cure) from None


def _spec(source: EngineSource, table: str, node: ort.NodeArg) -> TensorSpec:
    dtype = FROM_ORT.get(node.type)
    if dtype is None:
        raise ModelFileError(
            f"{table[:-1]} {node.name!r} is a {node.type}, which no protocol carries",
            where=option_place(source, "file"),
            cure="change the model so that it takes and answers plain tensors",
        )
    shape = tuple(extent if isinstance(extent, int) and extent >= 0 else ANY for extent in node.shape)
    return TensorSpec(node.name, dtype, shape)
