"""LoRA adapters: read as PEFT writes them, several at once, chosen by each request."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from safetensors.numpy import save_file
from tests.llm.tiny_engine import answers, request, tiny_engine
from tests.llm.tiny_models import LLAMA, QWEN2, tiny_weights

from hekla.base.errors import ConflictError, ModelFileError, NotFoundError, TooLargeError, UnsupportedError
from hekla.llm.engine import EngineLimits, LlmEngine
from hekla.llm.lora import read_adapter
from hekla.llm.runner import F32

Arrays = dict[str, F32]
SETTINGS = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none", "target_modules": ["q_proj", "down_proj"]}


def arrays(seed: int = 0) -> Arrays:
    random = np.random.default_rng(seed)
    made = {}
    for layer in range(2):
        for module, outputs, inputs in (("self_attn.q_proj", 32, 24), ("mlp.down_proj", 24, 40)):
            name = f"base_model.model.model.layers.{layer}.{module}.lora_"
            made[f"{name}A.weight"] = random.standard_normal((2, inputs)).astype(np.float32)
            made[f"{name}B.weight"] = random.standard_normal((outputs, 2)).astype(np.float32)
    return made


def written(folder: Path, tensors: Arrays, **settings: Any) -> Path:
    """Write an adapter. Any: JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({**SETTINGS, **settings}))
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def engine_of(limits: EngineLimits | None = None) -> LlmEngine:
    return tiny_engine(QWEN2, read_adapter=lambda path: read_adapter(path, QWEN2), limits=limits)


def test_an_adapter_answers_as_the_merged_model(tmp_path: Path) -> None:
    tensors = arrays()
    merged = tiny_weights(QWEN2)
    for layer in range(2):
        for module, ours in (("self_attn.q_proj", "attn_q"), ("mlp.down_proj", "ffn_down")):
            name = f"base_model.model.model.layers.{layer}.{module}.lora_"
            delta = 2 * tensors[f"{name}B.weight"] @ tensors[f"{name}A.weight"]
            merged[f"blk.{layer}.{ours}.weight"] = merged[f"blk.{layer}.{ours}.weight"] + delta
    engine = engine_of()
    engine.load_adapter("polite", written(tmp_path / "polite", tensors))
    engine.load_adapter("rude", written(tmp_path / "rude", arrays(1)))
    crowd = [
        request(number, max_tokens=12, ignore_end=True, adapter=name)
        for number, name in enumerate(("", "polite", "rude"))
    ]
    found = answers(engine, *crowd)
    assert found.tokens[0] == answers(tiny_engine(QWEN2), crowd[0]).tokens[0]
    assert found.tokens[1] == answers(tiny_engine(QWEN2, weights=merged), replace(crowd[1], adapter="")).tokens[1]
    assert len({tuple(tokens) for tokens in found.tokens.values()}) == 3


def test_prefixes_are_kept_apart_and_forgotten_with_their_adapter(tmp_path: Path) -> None:
    engine = engine_of()
    engine.load_adapter("one", written(tmp_path / "one", arrays()))
    prompt = [94, *range(20)]
    first = answers(engine, request(1, prompt, adapter="one"))
    plain = answers(engine, request(2, prompt))
    again = answers(engine, request(3, prompt, adapter="one"))
    assert [found.events[n][0].cached_tokens for n, found in ((1, first), (2, plain), (3, again))] == [0, 0, 20]
    engine.unload_adapter("one")
    engine.load_adapter("one", written(tmp_path / "other", arrays(5)))
    other = answers(engine, request(4, prompt, adapter="one"))
    assert other.events[4][0].cached_tokens == 0
    assert other.tokens[4] != first.tokens[1]


def test_interleaved_rotation_wants_the_rows_in_its_order(tmp_path: Path) -> None:
    """GGUF's llama pairs neighbours: an adapter's rows go where the matrix's rows went."""
    tensors = arrays()
    plain = {delta.matrix: delta for delta in read_adapter(written(tmp_path / "a", tensors), QWEN2)}
    turned = {delta.matrix: delta for delta in read_adapter(tmp_path / "a", LLAMA)}
    assert_allclose(turned["blk.0.ffn_down"].b, plain["blk.0.ffn_down"].b)
    before, after = plain["blk.0.attn_q"].b, turned["blk.0.attn_q"].b
    assert_allclose(after[8:16], before[[8, 12, 9, 13, 10, 14, 11, 15]])


def test_scales_follow_alpha_rank_and_patterns(tmp_path: Path) -> None:
    plain = read_adapter(written(tmp_path / "a", arrays()), QWEN2)
    assert {delta.scale for delta in plain} == {2.0}
    stable = read_adapter(written(tmp_path / "b", arrays(), use_rslora=True, lora_alpha=6), QWEN2)
    assert {round(delta.scale, 6) for delta in stable} == {round(6 / 2**0.5, 6)}
    patterns = read_adapter(written(tmp_path / "c", arrays(), alpha_pattern={"layers.1.mlp.down_proj": 10}), QWEN2)
    assert {delta.matrix: delta.scale for delta in patterns}["blk.1.ffn_down"] == 5.0


NAME = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


@pytest.mark.parametrize(
    ("changed", "settings", "error", "words"),
    [
        ({}, {"peft_type": "IA3"}, UnsupportedError, "IA3"),
        ({}, {"use_dora": True}, UnsupportedError, "use_dora"),
        ({}, {"bias": "all"}, UnsupportedError, "biases"),
        ({}, {"lora_alpha": "4"}, ModelFileError, "lora_alpha"),
        ({}, {"alpha_pattern": {".*": 1}}, UnsupportedError, "alpha_pattern"),
        ({NAME: np.zeros((2, 23), np.float32)}, {}, ModelFileError, r"A \(rank, 24\)"),
        ({NAME: np.full((2, 24), np.nan, np.float32)}, {}, ModelFileError, "not finite"),
        ({NAME: np.zeros((2, 24, 1), np.float32)}, {}, ModelFileError, "shape"),
        ({"base_model.model.lm_head.lora_A.weight": np.zeros((2, 24), np.float32)}, {}, UnsupportedError, "lm_head"),
        ({NAME.replace("layers.0", "layers.9"): np.zeros((2, 24), np.float32)}, {}, ModelFileError, "2 layers"),
        ({NAME.replace("q_proj", "k_proj"): np.zeros((2, 24), np.float32)}, {}, ModelFileError, "lora_B is missing"),
    ],
)
def test_what_is_no_plain_adapter_of_this_model_is_refused(
    tmp_path: Path, changed: Arrays, settings: dict[str, Any], error: type[Exception], words: str
) -> None:
    written(tmp_path, {**arrays(), **changed}, **settings)
    with pytest.raises(error, match=words):
        read_adapter(tmp_path, QWEN2)


def test_names_places_and_memory_are_limited(tmp_path: Path) -> None:
    path = written(tmp_path / "a", arrays())
    engine = engine_of(EngineLimits(max_running=2, max_adapters=2, adapter_bytes=5000))
    engine.load_adapter("a", path)
    with pytest.raises(ConflictError):
        engine.load_adapter("a", path)
    engine.load_adapter("b", path)
    with pytest.raises(TooLargeError, match="2 loaded"):
        engine.load_adapter("c", path)
    engine.submit(request(1, adapter="a"))
    with pytest.raises(ConflictError, match="uses"):
        engine.unload_adapter("a")
    engine.unload_adapter("b")
    with pytest.raises(NotFoundError, match="known: a"):
        engine.unload_adapter("b")
    small = engine_of(EngineLimits(max_running=2, adapter_bytes=100))
    with pytest.raises(TooLargeError, match="100 bytes"):
        small.load_adapter("a", path)
    with pytest.raises(NotFoundError):
        engine.load_adapter("d", tmp_path / "nowhere")
