"""The memory ceiling is kept by the process, not only by the sum."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.samples.sample_repository import version_folder

PROGRAM = """
import json, sys
from pathlib import Path
from hekla.llm.loader import load
from hekla.protocols.text_engine import RequestId, Sampling, TextEngineSource, TextRequest

folder, options = Path(sys.argv[1]), json.loads(sys.argv[2])
engine = load(TextEngineSource("m", 1, folder, options))
for number in range(24):  # different prompts: every page is used
    prompt = tuple((number * 31 + place * 7) % 40000 for place in range(500))
    engine.submit(TextRequest(RequestId(number), prompt, 12, Sampling(logprobs=5), ignore_end=True))
while engine.has_work:
    engine.step()
status = engine.status()
status_lines = Path("/proc/self/status").read_text().splitlines()  # not getrusage: that counts who started us, too
peak = next(int(line.split()[1]) * 1024 for line in status_lines if line.startswith("VmHWM"))
print(json.dumps({"peak": peak, "kv": status.kv_bytes, "preemptions": status.preemptions}))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("ceiling", [448 << 20, 640 << 20])
def test_a_process_keeps_under_its_ceiling(tmp_path: Path, ceiling: int) -> None:
    (model,) = version_folder("smollm2").glob("*.gguf")
    (tmp_path / "model.gguf").symlink_to(model)
    options = {"memory_bytes": ceiling, "context_tokens": 1024, "max_step_tokens": 128}
    for _ in range(2):  # the first may pack and compile, which takes more for a moment
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path), json.dumps(options)],
            capture_output=True,
            text=True,
            check=True,
        )
    found = json.loads(run.stdout)
    assert found["kv"] >= 24 << 20
    assert found["peak"] <= ceiling, f"{found['peak'] / 2**20:.0f} MiB, pages {found['kv'] / 2**20:.0f} MiB"
