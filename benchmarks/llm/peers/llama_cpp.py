"""llama.cpp, by its C interface: a batch a step, kernels of its own choice. Arguments: MODEL.gguf CONVERTED THREADS."""

import ctypes
import sys

import llama_cpp as ll  # type: ignore[import-not-found]  # of this peer's environment
import numpy as np

sys.path.insert(0, "")
from benchmarks.llm.peers.lines import Prompts, answer

BATCH = 512


def main() -> None:
    path, threads = sys.argv[1].encode(), int(sys.argv[3])
    ll.llama_backend_init()
    model = ll.llama_model_load_from_file(path, ll.llama_model_default_params())
    options = ll.llama_context_default_params()
    options.n_ctx, options.n_batch, options.n_ubatch = 16384, BATCH, BATCH
    options.n_threads = options.n_threads_batch = threads
    options.n_seq_max = 16
    options.kv_unified = True
    context = ll.llama_init_from_model(model, options)
    vocabulary = ll.llama_vocab_n_tokens(ll.llama_model_get_vocab(model))
    batch = ll.llama_batch_init(BATCH, 0, 1)

    def run(rows: list[tuple[int, int, int, bool]]) -> None:
        """Decode (token, position, sequence, wants logits) rows."""
        batch.n_tokens = len(rows)
        for i, (token, position, sequence, wants) in enumerate(rows):
            batch.token[i], batch.pos[i] = token, position
            batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = 1, sequence, wants
        assert ll.llama_decode(context, batch) == 0

    def best(row: int) -> int:
        logits = ll.llama_get_logits_ith(context, row)
        return int(np.ctypeslib.as_array(ctypes.cast(logits, ctypes.POINTER(ctypes.c_float)), (vocabulary,)).argmax())

    def generate(prompts: Prompts, tokens: int) -> Prompts:
        ll.llama_memory_clear(ll.llama_get_memory(context), True)
        chosen: Prompts = []
        for sequence, prompt in enumerate(prompts):
            for first in range(0, len(prompt), BATCH):
                part = prompt[first : first + BATCH]
                last = len(prompt) - 1
                run([(t, first + i, sequence, first + i == last) for i, t in enumerate(part)])
            chosen.append([best((len(prompt) - 1) % BATCH)])
        for step in range(tokens - 1):
            rows = [(chosen[s][-1], len(prompt) + step, s, True) for s, prompt in enumerate(prompts)]
            run(rows)
            for s in range(len(prompts)):
                chosen[s].append(best(s))
        return chosen

    answer(generate)


if __name__ == "__main__":
    main()
