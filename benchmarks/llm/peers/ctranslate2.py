"""CTranslate2, int8. Arguments: MODEL.gguf CONVERTED THREADS."""

import importlib
import json
import sys
from pathlib import Path

sys.path = [entry for entry in sys.path if not entry.endswith("peers")]
ct2 = importlib.import_module("ctranslate2")  # this file has the name of the module it measures
sys.path.insert(0, "")
from benchmarks.llm.peers.lines import Prompts, answer  # noqa: E402  # after the path is right


def main() -> None:
    folder, threads = Path(sys.argv[2]) / "ct2", int(sys.argv[3])
    generator = ct2.Generator(str(folder), device="cpu", compute_type="int8", intra_threads=threads, inter_threads=1)
    words = json.loads((folder / "vocabulary.json").read_text())

    def generate(prompts: Prompts, tokens: int) -> Prompts:
        given = [[words[token] for token in prompt] for prompt in prompts]
        found = generator.generate_batch(
            given, max_length=tokens, min_length=tokens, sampling_topk=1, include_prompt_in_result=False
        )
        return [list(map(int, result.sequences_ids[0])) for result in found]

    answer(generate)


if __name__ == "__main__":
    main()
