"""`python -m hekla.llm.first_token`: a process that opens a model, writes one token and says so: a cold start.

Arguments: a model's folder, and `[engine]` options as a JSON object. It writes a line of JSON when the first token is
there, goes on to a prompt of up to 512 tokens and an answer of 16, and writes a second line with the memory it took.
"""

import json
import sys
from pathlib import Path

from hekla.llm.loader import load
from hekla.protocols.text_engine import RequestId, Sampling, TextEngine, TextEngineSource, TextRequest
from hekla.runtime.limits import usable_cpus

PROMPT = "The harbour had been quiet since"


def main(folder: str, options: str) -> None:
    """Write the two lines. Errors: those of the engine."""
    engine = load(TextEngineSource("first-token", 1, Path(folder), json.loads(options), usable_cpus(), "--option"))
    try:
        prompt = engine.encode(PROMPT, is_special=True)
        _answer(engine, 0, prompt, 1)
        _say({"is_there": True})
        long = (prompt * 512)[: min(512, engine.info.context_tokens // 2)]
        _answer(engine, 1, long, 16)
    finally:
        engine.close()
    _say({"peak_bytes": peak_bytes()})


def _say(document: object) -> None:
    sys.stdout.write(f"{json.dumps(document)}\n")
    sys.stdout.flush()


def _answer(engine: TextEngine, number: int, prompt: tuple[int, ...], tokens: int) -> None:
    engine.submit(TextRequest(RequestId(number), prompt, tokens, Sampling(temperature=0), ignore_end=True))
    while engine.has_work:
        engine.step()


def peak_bytes() -> int:
    """Return the most memory this process had, as the kernel counts it (proc(5), VmHWM); pages of files included."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10


if __name__ == "__main__":
    main(*sys.argv[1:])
