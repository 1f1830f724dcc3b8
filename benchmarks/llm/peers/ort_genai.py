"""ONNX Runtime GenAI, int4 with int8 activations. Arguments: MODEL.gguf CONVERTED THREADS."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime_genai as og  # type: ignore[import-not-found]  # of this peer's environment

sys.path.insert(0, "")
from benchmarks.llm.peers.lines import Prompts, answer


def main() -> None:
    folder, threads = Path(sys.argv[2]) / "genai", int(sys.argv[3])
    config = og.Config(str(folder))
    options = {"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}
    config.overlay(json.dumps(options))
    model = og.Model(config)

    def generate(prompts: Prompts, tokens: int) -> Prompts:
        params = og.GeneratorParams(model)
        length = len(prompts[0]) + tokens
        params.set_search_options(
            max_length=length, min_length=length, batch_size=len(prompts), do_sample=False, top_k=1
        )
        generator = og.Generator(model, params)
        generator.append_tokens(np.array(prompts, np.int32))
        for _ in range(tokens):
            generator.generate_next_token()
        return [list(map(int, generator.get_sequence(i)[-tokens:])) for i in range(len(prompts))]

    answer(generate)


if __name__ == "__main__":
    main()
