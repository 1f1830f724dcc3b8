"""What the server itself costs per token: CPU time of its threads, less what the engine takes by itself."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.running_server import RunningServer, running_server
from tests.serve.text.sse_client import reading, wait_for
from tests.text_models import CORPUS, write_text_model

from hekla.engines.ngram.engine import NgramEngine, NgramOptions
from hekla.protocols.text_engine import RequestId, Sampling, TextRequest

pytestmark = pytest.mark.slow

HI = [{"role": "user", "content": "hi"}]
STREAMS, TOKENS = 8, 800
TARGET_US = 50.0
_BUSY = 2.0  # how much dearer the same instructions are while other processes fill the caches


def engine_us() -> float:
    """Return what the engine takes per token without a server."""
    engine = NgramEngine("words", CORPUS.encode(), NgramOptions())
    prompt = engine.render_chat(HI).tokens
    for number in range(STREAMS):
        sampling = Sampling(temperature=0)
        engine.submit(TextRequest(RequestId(number), prompt, TOKENS, sampling, ignore_end=True))
    started = time.process_time()
    while engine.has_work:
        engine.step()
    return (time.process_time() - started) / (STREAMS * TOKENS) * 1e6


def threads_us(server: RunningServer) -> float:
    """Return the CPU time of all the server's threads so far, to the nanosecond."""
    tasks = Path(f"/proc/{server.process.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e3


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this kernel tells no thread's CPU time")
def test_a_token_costs_the_server_less_than_fifty_microseconds(tmp_path: Path) -> None:
    write_text_model(tmp_path, "words", engine="pace_ms = 1")
    asked: dict[str, Any] = {  # Any: JSON
        "model": "words",
        "messages": HI,
        "temperature": 0,
        "ignore_eos": True,
        "max_tokens": TOKENS,
    }

    def read(server: RunningServer) -> None:
        with reading(server, "/v1/chat/completions", asked) as reader:
            while reader.response.read1(1 << 16):
                pass

    costs = []
    with running_server(tmp_path) as server:
        for _ in range(3):
            readers = [threading.Thread(target=read, args=(server,)) for _ in range(STREAMS)]
            before = threads_us(server)
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join()
            costs.append((threads_us(server) - before) / (STREAMS * TOKENS) - engine_us())
            wait_for(server, "words", running=0, waiting=0)
    assert min(costs) < TARGET_US * _BUSY, f"microseconds of CPU time per token, three times: {costs}"
