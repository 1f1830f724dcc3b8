"""A peer in a process of its own, pinned to as many processors as it may use."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

PEERS = ("hekla", "llama_cpp", "openvino", "ort_genai", "ctranslate2", "transformers")


def cache() -> Path:
    """Return the folder of environments and converted models."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hekla" / "bench" / "llm"


def interpreter(peer: str) -> Path:
    """Return the Python that has a peer: this one, or that of its environment."""
    if peer == "hekla":
        return Path(sys.executable)
    return cache() / ("convert" if peer == "transformers" else "env") / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a peer said of one request."""

    seconds: float
    chosen: list[list[int]]


class Peer:
    """A peer that has loaded a model. Errors: RuntimeError with the end of what it wrote, if it does not get ready."""

    def __init__(self, name: str, model: Path, threads: int) -> None:
        self.name = name
        converted = cache() / "converted" / model.stem
        command = ["taskset", "-c", ",".join(map(str, range(threads))), str(interpreter(name))]
        command += ["-m", f"benchmarks.llm.peers.{name}", str(model), str(converted), str(threads)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "HEKLA_THREADS": str(threads)}
        started = time.perf_counter()
        self._log = (cache() / f"{name}.log").open("w+")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, env=environment
        )
        self._line()
        self.load_s = time.perf_counter() - started
        self.first_answer_s = self.load_s + self.generate([[11, 12, 13, 14] * 4], 1).seconds

    def generate(self, prompts: list[list[int]], tokens: int) -> Answer:
        """Return the time for n greedy tokens after each prompt, and the tokens."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"prompts": prompts, "tokens": tokens}) + "\n")
        self._process.stdin.flush()
        found = self._line()
        return Answer(found["seconds"], found["chosen"])

    def peak_mib(self) -> float:
        """Return the most memory it held, resident."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    def _line(self) -> dict[str, Any]:  # Any: JSON
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            raise RuntimeError(f"{self.name} ended: {self._log.read()[-800:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def prompts_of(random: np.random.Generator, sequences: int, tokens: int) -> list[list[int]]:
    """Return prompts nobody has seen before, so that no peer answers from what it kept."""
    found: list[list[int]] = random.integers(1000, 40000, (sequences, tokens)).tolist()
    return found
