"""Record what transformers says of a model's weights, dequantised to f32: `tests/llm/vectors/NAME.npz`.

    python -m venv ORACLE
    ORACLE/bin/pip install torch==2.13.0 transformers gguf ml_dtypes
    PYTHONPATH=src ORACLE/bin/python tools/make_llm_vectors.py MODEL.gguf tests/llm/vectors/NAME.npz

Weights come from `hekla.llm.dequantise`; tokenising, the transformer and the choice of tokens are transformers' own.
What is recorded, all of token ids, so that a test needs no tokeniser:

    prompts, prompt_start      20 prompts, one after the other (n,) i32, and where each begins (21,)
    greedy                     (20, 64) i32 the likeliest continuation, past end tokens
    margin                     (20, 64) f32 the logit of the token chosen less the next likeliest's
    logits_at, logits          (64,) i32 ids, and their logits (m, 64) f32 at every position of the first 4 prompts
    text, text_loss            text.txt (t,) i32, and -log p of each of its tokens but the first (t - 1,) f32
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found]  # of the environment this runs in
import transformers  # type: ignore[import-not-found]  # of the environment this runs in

from hekla.llm.dequantise import dequantised
from hekla.llm.model_config import ModelConfig
from hekla.llm.model_file import ModelFile, open_model

PROMPTS = (
    "The capital of France is",
    "Water boils at a temperature of",
    "Once upon a time, in a small village by the sea,",
    "def fibonacci(n):\n    ",
    "The three primary colours are",
    "To bake a loaf of bread, first",
    "In 1969, two astronauts",
    "Q: What is 12 times 12?\nA:",
    "The largest ocean on Earth is the",
    "Dear Sir or Madam,\n\nI am writing to",
    "A triangle has three sides, a square has",
    "import numpy as np\n\nx = np.",
    "Die Hauptstadt von Deutschland ist",
    "Photosynthesis is the process by which plants",
    "SELECT name, age FROM",
    "My favourite book is",
    "The opposite of hot is",
    "List of fruits:\n1. Apple\n2. Banana\n3.",
    "<html>\n<head>\n<title>",
    "Je m'appelle Marie et j'habite à",
)
ANSWER_TOKENS = 64
TEXT = Path(__file__).parents[1] / "tests/llm/vectors/text.txt"


def config_of(config: ModelConfig) -> Any:  # Any: transformers has no types
    """Return transformers' config of the same architecture."""
    shared = {
        "vocab_size": config.vocabulary_tokens,
        "hidden_size": config.width,
        "intermediate_size": config.feed_forward_width,
        "num_hidden_layers": len(config.layers),
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_width,
        "rms_norm_eps": config.norm_epsilon,
        "max_position_embeddings": config.context_tokens,
        "tie_word_embeddings": config.is_head_tied,
        "attn_implementation": "eager",
    }
    if config.family == "llama":
        theta = config.layers[0].rotary.theta
        return transformers.LlamaConfig(**shared, rope_parameters={"rope_type": "default", "rope_theta": theta})
    if config.family != "gemma3":
        raise SystemExit(f"no oracle for {config.family!r} yet: add its config here")
    local = next(layer for layer in config.layers if layer.window_tokens)
    everything = next(layer for layer in config.layers if not layer.window_tokens)
    return transformers.Gemma3TextConfig(
        **shared,
        layer_types=["sliding_attention" if layer.window_tokens else "full_attention" for layer in config.layers],
        sliding_window=local.window_tokens,
        query_pre_attn_scalar=round(config.query_scale**-2),
        rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": everything.rotary.theta},
            "sliding_attention": {"rope_type": "default", "rope_theta": local.rotary.theta},
        },
    )


NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "post_ffw_norm": "post_feedforward_layernorm",
}


def state_of(file: ModelFile) -> dict[str, Any]:  # Any: torch tensors
    """Return the weights by transformers' names, in its layout."""
    config, state = file.config, {}
    for name, tensor in file.tensors.items():
        values = dequantised(tensor)
        if config.family == "gemma3" and name.endswith("norm.weight"):
            values = values - np.float32(1)  # transformers adds it again
        if config.layers[0].rotary.is_interleaved and name.endswith(("attn_q.weight", "attn_k.weight")):
            heads = values.reshape(-1, config.head_width // 2, 2, config.width)
            values = heads.swapaxes(1, 2).reshape(values.shape)
        if name.startswith("blk."):
            _, number, part, ending = name.split(".")
            if config.family == "llama" and part == "ffn_norm":
                theirs = f"model.layers.{number}.post_attention_layernorm.{ending}"
            else:
                theirs = f"model.layers.{number}.{NAMES[part]}.{ending}"
        else:
            theirs = {
                "token_embd.weight": "model.embed_tokens.weight",
                "output_norm.weight": "model.norm.weight",
                "output.weight": "lm_head.weight",
            }[name]
        state[theirs] = torch.from_numpy(np.ascontiguousarray(values))
    if config.is_head_tied:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    return state


def surprise(model: Any, tokeniser: Any) -> tuple[list[int], Any]:  # Any: transformers and torch have no types
    """Return the text's tokens, and -log p of all but the first."""
    text = tokeniser(TEXT.read_text())["input_ids"]
    natural = torch.log_softmax(model(torch.tensor([text])).logits[0, :-1], dim=-1)
    loss = -natural[torch.arange(len(text) - 1), torch.tensor(text[1:])].numpy()
    print(len(text), "tokens of text, perplexity", float(np.exp(loss.mean())))
    return text, loss


def record(path: Path, target: Path) -> None:
    """Write the vectors of one model."""
    torch.set_num_threads(1)
    file = open_model(path)
    kind = {"llama": transformers.LlamaForCausalLM, "gemma3": transformers.Gemma3ForCausalLM}[file.config.family]
    model = kind(config_of(file.config)).to(torch.float32).eval()
    missing, unknown = model.load_state_dict(state_of(file), strict=False)
    assert not unknown, unknown
    assert not [name for name in missing if "rotary" not in name], missing
    tokeniser = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    prompts = [tokeniser(prompt)["input_ids"] for prompt in PROMPTS]
    random = np.random.default_rng(0)
    logits_at = np.sort(random.choice(file.config.vocabulary_tokens, 64, replace=False)).astype(np.int32)
    greedy, margins, logits = [], [], []
    with torch.no_grad():
        for number, prompt in enumerate(prompts):
            given, cache = prompt, None
            chosen: list[int] = []
            margin: list[float] = []
            for _ in range(ANSWER_TOKENS):
                found = model(torch.tensor([given]), past_key_values=cache, use_cache=True)
                if number < 4 and not chosen:
                    logits.append(found.logits[0][:, torch.from_numpy(logits_at).long()].numpy())
                best = torch.topk(found.logits[0, -1], 2)
                cache, given = found.past_key_values, [int(best.indices[0])]
                chosen.append(given[0])
                margin.append(float(best.values[0] - best.values[1]))
            greedy.append(chosen)
            margins.append(margin)
            print(repr(PROMPTS[number]), "->", repr(tokeniser.decode(chosen)[:80]), flush=True)
        text, loss = surprise(model, tokeniser)
    np.savez_compressed(
        target,
        prompts=np.concatenate([np.array(prompt, np.int32) for prompt in prompts]),
        prompt_start=np.cumsum([0, *map(len, prompts)]).astype(np.int32),
        greedy=np.array(greedy, np.int32),
        margin=np.array(margins, np.float32),
        logits_at=logits_at,
        logits=np.concatenate(logits).astype(np.float32),
        text=np.array(text, np.int32),
        text_loss=loss.astype(np.float32),
    )


if __name__ == "__main__":
    record(Path(sys.argv[1]), Path(sys.argv[2]))
