"""A model's folder as transformers saves one: a llama of a few thousand random weights that writes bytes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tests.llm.tiny_models import LLAMA, tiny_weights
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from hekla.llm.model_config import ModelConfig
from hekla.llm.tokenise.vocabulary import byte_characters

CONFIG: ModelConfig = replace(LLAMA, vocabulary_tokens=260, context_tokens=512)
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_THEIRS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def write_tiny_folder(folder: Path, seed: int = 0) -> Path:
    """Write config, weights, tokeniser and chat template."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(
        json.dumps(
            {
                "model_type": "llama",
                "architectures": ["LlamaForCausalLM"],
                "hidden_size": CONFIG.width,
                "intermediate_size": CONFIG.feed_forward_width,
                "num_hidden_layers": len(CONFIG.layers),
                "num_attention_heads": CONFIG.heads,
                "num_key_value_heads": CONFIG.kv_heads,
                "head_dim": CONFIG.head_width,
                "vocab_size": CONFIG.vocabulary_tokens,
                "max_position_embeddings": CONFIG.context_tokens,
                "rms_norm_eps": CONFIG.norm_epsilon,
                "rope_theta": 10000.0,
                "hidden_act": "silu",
                "tie_word_embeddings": False,
                "bos_token_id": 256,
                "eos_token_id": 259,
                "torch_dtype": "float32",
            }
        )
    )
    tensors = {}
    for name, values in tiny_weights(CONFIG, seed).items():
        if name.startswith("blk."):
            _, layer, part, ending = name.split(".")
            tensors[f"model.layers.{layer}.{_THEIRS[part]}.{ending}"] = values
        else:
            theirs = {"token_embd.weight": "model.embed_tokens", "output_norm.weight": "model.norm"}
            tensors[f"{theirs.get(name, 'lm_head')}.weight"] = values
    save_file({name: np.ascontiguousarray(values) for name, values in tensors.items()}, folder / "model.safetensors")
    vocabulary = {character: byte for byte, character in byte_characters().items()}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(text, special=True) for text in ("<s>", "<|im_start|>", "<|im_end|>", "</s>")]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {"bos_token": "<s>", "eos_token": "</s>", "chat_template": TEMPLATE, "add_bos_token": True},
        )
    )
    return folder
