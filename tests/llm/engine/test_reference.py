"""The NumPy runner: a sequence's bits depend on nothing but the sequence; blocks do what their papers say."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from tests.llm.tiny_models import FAMILIES, GEMMA2, LLAMA, greedy_rows, step_batch, tiny_weights

from hekla.base.errors import EngineError, ModelFileError
from hekla.llm.model_config import LayerConfig, ModelConfig
from hekla.llm.reference import ReferenceRunner, rotated
from hekla.llm.reference_sampling import choose
from hekla.llm.runner import F32, LoraDelta

TOKENS = [7, 3, 88, 3, 41, 19, 2, 60, 11, 11, 5, 90]


def runner(config: ModelConfig = LLAMA, seed: int = 0) -> ReferenceRunner:
    return ReferenceRunner(config, tiny_weights(config, seed), pages=16, page_tokens=4)


def all_logits(config: ModelConfig, tokens: list[int]) -> F32:
    made = runner(config)
    made.step(step_batch([(tokens, 0, [0, 1, 2, 3])]))
    return made.logits()


@pytest.mark.parametrize("config", FAMILIES, ids=lambda config: config.family)
def test_chunks_and_neighbours_change_no_bit(config: ModelConfig) -> None:
    whole = all_logits(config, TOKENS)
    made = runner(config)
    made.step(step_batch([([1, 2, 3], 0, [9]), (TOKENS[:5], 0, [4, 7])]))
    assert_array_equal(made.logits()[3:], whole[:5])
    made.step(step_batch([(TOKENS[5:11], 5, [4, 7, 2]), ([4], 3, [9])]))
    assert_array_equal(made.logits()[:6], whole[5:11])
    made.step(step_batch([([5], 4, [9, 8]), (TOKENS[11:], 11, [4, 7, 2])]))
    assert_array_equal(made.logits()[1:], whole[11:])


@pytest.mark.parametrize("config", FAMILIES, ids=lambda config: config.family)
def test_an_earlier_token_matters_and_a_later_one_does_not(config: ModelConfig) -> None:
    whole = all_logits(config, TOKENS)
    other = all_logits(config, [*TOKENS[:6], 77, *TOKENS[7:]])
    assert_array_equal(whole[:6], other[:6])
    assert (whole[6:] != other[6:]).any(axis=1).all()


def test_a_window_hides_what_is_before_it() -> None:
    config = replace(LLAMA, layers=(LayerConfig(LLAMA.layers[0].rotary, window_tokens=4),))
    whole, other = all_logits(config, TOKENS), all_logits(config, [9, *TOKENS[1:]])
    assert (whole[:4] != other[:4]).any(axis=1).all()
    assert_array_equal(whole[4:], other[4:])


def test_soft_caps_bound_the_logits() -> None:
    assert np.abs(all_logits(GEMMA2, TOKENS)).max() <= 3
    assert np.abs(all_logits(replace(GEMMA2, final_soft_cap=0.0), TOKENS)).max() > 3


def test_a_rotation_keeps_lengths_and_depends_on_the_distance_only() -> None:
    rotary = LLAMA.layers[0].rotary
    for style in (rotary, replace(rotary, is_interleaved=False, factors=(1.0, 2.0, 4.0, 8.0), scale=2.0)):
        query, key = np.random.default_rng(1).standard_normal((2, 1, 8)).astype(np.float32)
        assert_allclose(np.linalg.norm(rotated(query, 9, style)), np.linalg.norm(query), rtol=1e-6)
        near = (rotated(query, 9, style) * rotated(key, 4, style)).sum()
        far = (rotated(query, 109, style) * rotated(key, 104, style)).sum()
        assert_allclose(near, far, rtol=1e-4)


def test_a_copied_page_reads_as_its_source() -> None:
    made = runner()
    made.step(step_batch([(TOKENS[:6], 0, [0, 1])]))
    made.copy_page(1, 5)
    made.step(step_batch([([1], 6, [0, 1])]))  # writes behind what was copied
    made.step(step_batch([(TOKENS[6:8], 6, [0, 5])]))
    assert_array_equal(made.logits(), all_logits(LLAMA, TOKENS)[6:8])


@pytest.mark.parametrize("kv_type", ["f16", "int8"])
def test_narrow_keys_and_values_stay_near(kv_type: str) -> None:
    made = ReferenceRunner(
        LLAMA, tiny_weights(LLAMA), pages=4, page_tokens=4, kv_type="f16" if kv_type == "f16" else "int8"
    )
    made.step(step_batch([(TOKENS, 0, [0, 1, 2])]))
    whole = all_logits(LLAMA, TOKENS)
    error = np.abs(made.logits() - whole).max()
    assert 0 < error < (0.01 if kv_type == "f16" else 0.2)
    assert made.kv_bytes < runner().kv_bytes / 4 / 1.5


def test_an_adapter_is_the_merged_matrix() -> None:
    random = np.random.default_rng(3)
    a, b = random.standard_normal((2, 24)).astype(np.float32), random.standard_normal((32, 2)).astype(np.float32)
    made = runner()
    made.load_adapter(2, [LoraDelta("blk.1.attn_q", a, b, 0.5)])
    batch = replace(step_batch([(TOKENS, 0, [0, 1, 2]), (TOKENS, 0, [3, 4, 5])]), adapter=np.array([2, -1], np.int32))
    made.step(batch)
    merged = tiny_weights(LLAMA)
    merged["blk.1.attn_q.weight"] = merged["blk.1.attn_q.weight"] + np.float32(0.5) * (b @ a)
    other = ReferenceRunner(LLAMA, merged, pages=4, page_tokens=4)
    other.step(step_batch([(TOKENS, 0, [0, 1, 2])]))
    assert_allclose(made.logits()[:12], other.logits(), atol=1e-5)
    assert_array_equal(made.logits()[12:], all_logits(LLAMA, TOKENS))
    made.unload_adapter(2)
    made.step(batch)
    assert_array_equal(made.logits()[:12], made.logits()[12:])


def test_a_missing_tensor_and_broken_logits_are_named() -> None:
    weights = tiny_weights(LLAMA)
    del weights["blk.1.ffn_up.weight"]
    with pytest.raises(ModelFileError, match=r"blk\.1\.ffn_up\.weight"):
        ReferenceRunner(LLAMA, weights, pages=1).step(step_batch([([1], 0, [0])]))
    with pytest.raises(EngineError, match="row 1 "):
        choose(np.array([[0, 1], [np.nan, 0]], np.float32), greedy_rows(2))
