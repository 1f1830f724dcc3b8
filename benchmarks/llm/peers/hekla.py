"""Hekla's own engine, by its seam: python -m benchmarks.llm.peers.hekla MODEL.gguf CONVERTED THREADS."""

import sys
import tempfile
from itertools import count
from pathlib import Path

from benchmarks.llm.peers.lines import Prompts, answer
from hekla.llm.loader import load
from hekla.protocols.text_engine import RequestId, Sampling, TextEngineSource, TextRequest


def main() -> None:
    source, threads = Path(sys.argv[1]), int(sys.argv[3])
    folder = Path(tempfile.mkdtemp(prefix="hekla-bench-"))
    (folder / "model.gguf").symlink_to(source)
    engine = load(TextEngineSource(source.stem, 1, folder, {}, threads))
    numbers = count(1)

    def generate(prompts: Prompts, tokens: int) -> Prompts:
        chosen: dict[RequestId, list[int]] = {}
        for prompt in prompts:
            request_id = RequestId(next(numbers))
            chosen[request_id] = []
            greedy = Sampling(temperature=0)
            engine.submit(TextRequest(request_id, tuple(prompt), max_tokens=tokens, sampling=greedy, ignore_end=True))
        while engine.has_work:
            for event in engine.step():
                if event.token is not None:
                    chosen[event.request_id].append(event.token)
        return list(chosen.values())

    answer(generate)


if __name__ == "__main__":
    main()
