"""Transformers on PyTorch, f32. Arguments: MODEL.gguf CONVERTED THREADS."""

import importlib
import sys
from pathlib import Path

sys.path = [entry for entry in sys.path if not entry.endswith("peers")]
hf, torch = importlib.import_module("transformers"), importlib.import_module("torch")  # not this file
sys.path.insert(0, "")
from benchmarks.llm.peers.lines import Prompts, answer  # noqa: E402  # after the path is right


def main() -> None:
    folder, threads = Path(sys.argv[2]) / "hf", int(sys.argv[3])
    torch.set_num_threads(threads)
    model = hf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def generate(prompts: Prompts, tokens: int) -> Prompts:
        ids = torch.tensor(prompts)
        with torch.no_grad():
            found = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                do_sample=False,
                pad_token_id=0,
            )
        rows: Prompts = found[:, ids.shape[1] :].tolist()
        return rows

    answer(generate)


if __name__ == "__main__":
    main()
