"""Softmax, norms and activations beside NumPy and PyTorch, one thread each."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks.lang.limits import Limits
from benchmarks.lang.peers import peer
from benchmarks.lang.table import Row, measure
from benchmarks.lang.timing import Call
from hekla.kernels import activations, norms, softmax

Matrix = np.ndarray[Any, np.dtype[np.float32]]  # Any: of any shape
SHAPES = ((64, 1024), (512, 768), (16, 4096), (4096, 64))
EPSILON = 1e-5


def numpy_softmax(x: Matrix) -> Any:  # Any: f32, which NumPy\'s types lose
    """The usual two lines."""
    e: Matrix = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def numpy_layer_norm(x: Matrix, weight: Matrix, bias: Matrix) -> Any:  # Any: f32, which NumPy\'s types lose
    """The usual two lines."""
    d = x - x.mean(axis=1, keepdims=True)
    return d / np.sqrt((d * d).mean(axis=1, keepdims=True) + np.float32(EPSILON)) * weight + bias


def numpy_rms_norm(x: Matrix, weight: Matrix) -> Any:  # Any: f32, which NumPy\'s types lose
    """The usual line."""
    return x / np.sqrt((x * x).mean(axis=1, keepdims=True) + np.float32(EPSILON)) * weight


def numpy_gelu_tanh(x: Matrix) -> Any:  # Any: f32, which NumPy\'s types lose
    """The usual line; NumPy has no erf, so this is what stands for GELU there."""
    return np.float32(0.5) * x * (1 + np.tanh(np.float32(0.79788456) * (x + np.float32(0.044715) * x * x * x)))


def numpy_silu(x: Matrix) -> Any:  # Any: f32, which NumPy\'s types lose
    """The usual line."""
    return x / (1 + np.exp(-x))


def rows(_limits: Limits, seconds: float) -> Iterator[Row]:
    """Measure each at shapes of transformers, and at many short rows."""
    torch = peer("torch")
    rng = np.random.default_rng(0)
    for height, width in SHAPES:
        x: Matrix = rng.normal(size=(height, width)).astype(np.float32)
        y, weight, bias = np.zeros_like(x), np.ones(width, np.float32), np.zeros(width, np.float32)
        flat, out = x.reshape(-1), y.reshape(-1)
        ours: dict[str, Call] = {
            "softmax": partial(softmax.softmax, x, y),
            "layer_norm": partial(norms.layer_norm, x, weight, bias, EPSILON, y),
            "rms_norm": partial(norms.rms_norm, x, weight, EPSILON, y),
            "gelu": partial(activations.gelu, flat, out),
            "gelu_tanh": partial(activations.gelu_tanh, flat, out),
            "silu": partial(activations.silu, flat, out),
        }
        numpy: dict[str, Call] = {
            "softmax": partial(numpy_softmax, x),
            "layer_norm": partial(numpy_layer_norm, x, weight, bias),
            "rms_norm": partial(numpy_rms_norm, x, weight),
            "gelu": partial(numpy_gelu_tanh, x),
            "gelu_tanh": partial(numpy_gelu_tanh, x),
            "silu": partial(numpy_silu, x),
        }
        others = _torch(torch, x, weight, bias)
        for name, call in ours.items():
            peers = {"NumPy": numpy[name], "PyTorch": others.get(name)}
            yield measure(name, f"{height} x {width}", call, peers, seconds)


def _torch(torch: Any, x: Matrix, weight: Matrix, bias: Matrix) -> dict[str, Call]:  # Any: it has no types here
    if torch is None:
        return {}
    functions, shape = torch.nn.functional, (x.shape[1],)
    t, w, b = (torch.from_numpy(v) for v in (x, weight, bias))
    return {
        "softmax": lambda: torch.softmax(t, 1),
        "layer_norm": lambda: functions.layer_norm(t, shape, w, b, EPSILON),
        "rms_norm": lambda: functions.rms_norm(t, shape, w, EPSILON),
        "gelu": lambda: functions.gelu(t),
        "gelu_tanh": lambda: functions.gelu(t, approximate="tanh"),
        "silu": lambda: functions.silu(t),
    }
