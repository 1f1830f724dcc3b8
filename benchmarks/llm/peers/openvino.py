"""OpenVINO GenAI, reading the GGUF file itself. Arguments: MODEL.gguf CONVERTED THREADS."""

import sys

import numpy as np
import openvino as ov  # type: ignore[import-not-found]  # of this peer's environment
import openvino_genai as genai  # type: ignore[import-not-found]  # of this peer's environment

sys.path.insert(0, "")
from benchmarks.llm.peers.lines import Prompts, answer


def main() -> None:
    path, threads = sys.argv[1], int(sys.argv[3])
    scheduler = genai.SchedulerConfig()
    scheduler.cache_size, scheduler.max_num_batched_tokens, scheduler.enable_prefix_caching = 1, 2048, False
    pipeline = genai.LLMPipeline(path, "CPU", scheduler_config=scheduler, INFERENCE_NUM_THREADS=threads)

    def generate(prompts: Prompts, tokens: int) -> Prompts:
        config = genai.GenerationConfig()
        config.max_new_tokens, config.min_new_tokens, config.ignore_eos, config.do_sample = tokens, tokens, True, False
        ids = np.array(prompts, np.int64)
        given = genai.TokenizedInputs(ov.Tensor(ids), ov.Tensor(np.ones_like(ids)))
        return [list(map(int, answer_tokens)) for answer_tokens in pipeline.generate(given, config).tokens]

    answer(generate)


if __name__ == "__main__":
    main()
