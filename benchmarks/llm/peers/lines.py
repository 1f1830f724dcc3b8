"""What every peer's program speaks: it says {"ready": true}, then answers each line.

    {"prompts": [[token, ...], ...], "tokens": n}  ->  {"seconds": s, "chosen": [[token, ...], ...]}

n greedy tokens for each prompt, past end tokens; s: wall time from prompts to the last token. This file imports nothing
but the standard library: it runs in every peer's environment.
"""

import json
import sys
import time
from collections.abc import Callable

Prompts = list[list[int]]
Generate = Callable[[Prompts, int], Prompts]


def answer(generate: Generate) -> None:
    """Answer requests from standard input until it ends."""
    out = sys.stdout
    sys.stdout = sys.stderr  # libraries print what they like; the answers go where they are awaited
    print(json.dumps({"ready": True}), file=out, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        started = time.perf_counter()
        chosen = generate(request["prompts"], request["tokens"])
        seconds = time.perf_counter() - started
        print(json.dumps({"seconds": seconds, "chosen": chosen}), file=out, flush=True)
