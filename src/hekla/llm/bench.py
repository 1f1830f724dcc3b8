"""How fast a language model is here: prompts read, answers written, alone and in batches, beside what memory gives."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hekla.base.errors import EngineError
from hekla.kernels.memory_read import memory_read
from hekla.llm.model_file import ModelFile
from hekla.protocols.text_engine import RequestId, Sampling, TextEngine, TextRequest

PREFILLS, BATCHES = (128, 512, 1024), (4, 8, 16)
_PROMPT, _DECODED, _BATCH_DECODED = 16, 64, 32
_READ_BYTES, _READ_TURNS = 256 << 20, 5


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: the median of several rounds, and the slowest and fastest of them, in tokens a second."""

    name: str  # "prefill 128", "decode", "batch 4"
    tokens_per_s: float
    slowest: float
    fastest: float
    first_token_s: float  # from the request to its first token; in a batch, to everybody's


@dataclass(frozen=True, slots=True)
class Bench:
    """What was measured of a model on this machine."""

    model: str
    quantisation: str
    threads: int
    figures: tuple[Figure, ...]
    cold_start_s: float  # from the start of a process to its first token, files in the page cache
    peak_bytes: int  # of a process that read 512 tokens and wrote 16, the mapped weights included
    read_bytes_per_s: float  # of memory, all threads
    bytes_per_token: int  # weights that one decoded token reads

    @property
    def bandwidth_share(self) -> float:
        """Of what memory gives, the share at which weights are read while one answer is written."""
        decode = next(figure.tokens_per_s for figure in self.figures if figure.name == "decode")
        return decode * self.bytes_per_token / self.read_bytes_per_s

    def document(self) -> dict[str, Any]:  # Any: JSON
        """Return it for programs."""
        return {**asdict(self), "bandwidth_share": self.bandwidth_share}


def measure_figures(
    engine: TextEngine, *, rounds: int, seed: int = 0, clock: Callable[[], float] = time.perf_counter
) -> tuple[Figure, ...]:
    """Ask an engine that does nothing else; rounds are interleaved, and one before them is not counted.

    Prompts are random tokens, so that none is in the cache. What the context has no room for is left out.
    Errors: the engine's.
    """
    random = np.random.default_rng(seed)
    context = engine.info.context_tokens
    plans = [(f"prefill {n}", 1, n, 0) for n in PREFILLS if n < context]
    plans += [("decode", 1, _PROMPT, min(_DECODED, context - _PROMPT - 1))]
    plans += [(f"batch {n}", n, _PROMPT, min(_BATCH_DECODED, context - _PROMPT - 1)) for n in BATCHES]
    found: dict[str, list[tuple[float, float]]] = {plan[0]: [] for plan in plans}
    for turn in range(rounds + 1):
        for name, answers, prompt, decoded in plans:
            prompts = random.integers(0, engine.info.vocabulary_tokens, (answers, prompt)).tolist()
            first_s, rest_s = _timed(engine, prompts, decoded + 1, clock)
            speed = answers * decoded / rest_s if decoded else prompt / first_s
            if turn:
                found[name].append((speed, first_s))
    return tuple(_figure(name, values) for name, values in found.items())


def _figure(name: str, values: Sequence[tuple[float, float]]) -> Figure:
    speeds = [speed for speed, _ in values]
    first = statistics.median(first_s for _, first_s in values)
    return Figure(name, statistics.median(speeds), min(speeds), max(speeds), first)


def _timed(
    engine: TextEngine, prompts: Sequence[Sequence[int]], tokens: int, clock: Callable[[], float]
) -> tuple[float, float]:
    """Return the seconds until everybody had a token, and from then on."""
    began, first = clock(), None
    for number, prompt in enumerate(prompts):
        request = TextRequest(RequestId(number), tuple(prompt), tokens, Sampling(temperature=0), ignore_end=True)
        engine.submit(request)
    begun: set[RequestId] = set()
    while engine.has_work:
        for event in engine.step():
            if event.finish_reason == "error":
                raise event.error or EngineError("the answer failed", where=engine.info.name)
            begun.add(event.request_id)
        if first is None and len(begun) == len(prompts):
            first = clock()
    assert first is not None, "an engine that went idle without a token for each"
    return first - began, clock() - first


def measure_memory(threads: int) -> float:
    """Return the bytes a second at which memory is read by so many threads: the best of a few turns."""
    far, totals = np.ones(_READ_BYTES // 4, np.float32), np.zeros(threads, np.float32)
    best = float("inf")
    for _ in range(_READ_TURNS):
        began = time.perf_counter()
        memory_read(far, totals)
        best = min(best, time.perf_counter() - began)
    return far.nbytes / best


def measure_cold_start(folder: Path, options: Mapping[str, object]) -> tuple[float, int]:
    """Return seconds from the start of a process to its first token, and the most memory it had.

    Errors: EngineError with the last line the process wrote, where it ended before.
    """
    command = [sys.executable, "-m", "hekla.llm.first_token", str(folder), json.dumps(dict(options))]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        is_there = process.stdout.readline()
        took_s = time.perf_counter() - began
        rest, errors = process.communicate()
    if process.returncode or not is_there:
        raise EngineError((errors.strip().splitlines() or ["it ended"])[-1], where=f"{folder}: cold start")
    return took_s, int(json.loads(rest)["peak_bytes"])


def bytes_per_token(model: ModelFile) -> int:
    """Return the bytes of the weights that a decoded token reads: all but an embedding that is not the head too."""
    tables = () if model.config.is_head_tied else ("token_embd.weight",)
    return model.weight_bytes - sum(model.tensors[name].data.nbytes for name in tables if name in model.tensors)
