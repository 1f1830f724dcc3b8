"""The compiled runner computes what the NumPy runner defines, and a sequence's bits depend on nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from tests.llm.compiled.stored import stored, with_kinds
from tests.llm.tiny_models import FAMILIES, GEMMA2, LLAMA, step_batch, tiny_weights

from hekla.base.errors import ConfigError, EngineError, ModelFileError, TooLargeError
from hekla.llm.compiled.runner import CompiledRunner
from hekla.llm.dequantise import dequantised
from hekla.llm.model_config import LayerConfig, ModelConfig, RotaryConfig
from hekla.llm.reference import ReferenceRunner
from hekla.llm.reference_sampling import choose
from hekla.llm.runner import F32, LoraDelta
from hekla.llm.tensors import Quantisation as Q
from hekla.llm.tensors import StoredTensor

KV_BYTES = 1 << 20
TOKENS = [int(t) for t in np.random.default_rng(3).integers(0, 96, 40)]
ROOMY = replace(  # wide enough for blocks of 256
    LLAMA,
    layers=(LayerConfig(RotaryConfig(theta=10000.0, dimensions=64, is_interleaved=True)),) * 2,
    width=256,
    head_width=64,
    feed_forward_width=256,
    query_scale=64**-0.5,
)
MIXES = {
    "Q4_0 Q4_1 Q8_0": (Q.Q4_0, Q.Q4_1, Q.Q8_0),
    "Q5_0 Q5_1 F16 BF16": (Q.Q5_0, Q.Q5_1, Q.F16, Q.BF16),
    "Q4_K Q5_K Q6_K": (Q.Q4_K, Q.Q5_K, Q.Q6_K),
    "AWQ4 F32": (Q.AWQ4, Q.AWQ4, Q.F32),
}


def tensors_of(weights: dict[str, F32]) -> dict[str, StoredTensor]:
    return {name: stored(name, values) for name, values in weights.items()}


def compiled(config: ModelConfig, weights: dict[str, F32], **options: object) -> CompiledRunner:
    settings = {"kv_bytes": KV_BYTES, "kv_type": "f32", "page_tokens": 16, "max_step_tokens": 64} | options
    return CompiledRunner(config, tensors_of(weights), **settings)  # type: ignore[arg-type]  # as the test gives them


def reference(config: ModelConfig, weights: dict[str, F32], kv_type: str = "f32") -> ReferenceRunner:
    return ReferenceRunner(config, weights, pages=8, page_tokens=16, kv_type=kv_type)  # type: ignore[arg-type]  # see above


@pytest.mark.parametrize("config", FAMILIES, ids=lambda config: config.family)
def test_every_family_gives_the_reference_s_logits(config: ModelConfig) -> None:
    weights = tiny_weights(config)
    wanted, made = reference(config, weights), compiled(config, weights)
    for first, tokens in ((0, TOKENS[:33]), (33, TOKENS[33:])):
        batch = step_batch([(tokens, first, [3, 1, 4])])
        expected, found = wanted.step(batch), made.step(batch)
        assert_allclose(made.logits(), wanted.logits(), rtol=2e-4, atol=2e-4)
        assert_array_equal(found.tokens, expected.tokens)


@pytest.mark.parametrize("config", [LLAMA, GEMMA2], ids=lambda config: config.family)
def test_chunks_and_neighbours_change_no_bit(config: ModelConfig) -> None:
    weights = tiny_weights(config)
    made = compiled(config, weights)
    made.step(step_batch([(TOKENS, 0, [0, 1, 2])]))
    whole = made.logits().copy()
    made.step(step_batch([([1, 2, 3], 0, [9]), (TOKENS[:5], 0, [4, 7])]))
    assert_array_equal(made.logits()[3:], whole[:5])
    made.step(step_batch([(TOKENS[5:31], 5, [4, 7]), ([4], 3, [9])]))
    assert_array_equal(made.logits()[:26], whole[5:31])
    for at in range(31, 40):
        made.step(step_batch([([5, 6], 4 + 2 * (at - 31), [9, 8, 6]), (TOKENS[at : at + 1], at, [4, 7, 2])]))
        assert_array_equal(made.logits()[2:], whole[at : at + 1])


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["exact", "quantised"])
@pytest.mark.parametrize("kinds", MIXES.values(), ids=MIXES)
def test_every_kind_of_weights_is_read_as_the_reference_reads_it(kinds: tuple[Q, ...], precision: str) -> None:
    rng = np.random.default_rng(1)
    tensors = with_kinds(ROOMY, tiny_weights(ROOMY), kinds, rng)
    weights = {name: dequantised(tensor) for name, tensor in tensors.items()}
    made = CompiledRunner(
        ROOMY, tensors, kv_bytes=KV_BYTES, kv_type="f32", page_tokens=16, precision=precision  # type: ignore[arg-type]
    )  # fmt: skip
    wanted = reference(ROOMY, weights)
    batch = step_batch([(TOKENS, 0, [0, 1, 2])])
    wanted.step(batch)
    made.step(batch)
    spread = wanted.logits().std()
    assert_allclose(made.logits(), wanted.logits(), atol=spread * (1e-4 if precision == "exact" else 0.1))
    if precision == "quantised":  # tokens alone give the same bits as all together
        whole = made.logits().copy()
        for at, token in enumerate(TOKENS[:20]):
            made.step(step_batch([([token], at, [5, 6])]))
            assert_array_equal(made.logits(), whole[at : at + 1])


@pytest.mark.slow
@pytest.mark.parametrize("kv_type", ["f16", "int8"])
def test_a_cache_of_fewer_bits_rounds_as_the_reference_does(kv_type: str) -> None:
    weights = tiny_weights(GEMMA2)
    wanted, made = reference(GEMMA2, weights, kv_type), compiled(GEMMA2, weights, kv_type=kv_type)
    batch = step_batch([(TOKENS, 0, [0, 1, 2])])
    wanted.step(batch)
    made.step(batch)
    assert_allclose(made.logits(), wanted.logits(), atol=2e-2)
    assert made.kv_bytes <= KV_BYTES


def test_a_step_chooses_as_the_reference_chooses_from_its_logits() -> None:
    made = compiled(LLAMA, tiny_weights(LLAMA))
    batch = step_batch([(TOKENS[:16], 0, [0])])
    rng = np.random.default_rng(0)
    rows = len(batch.logits_rows)
    counts = rng.integers(0, 6, rows)
    sampling = replace(
        batch.sampling,
        temperature=rng.choice([0, 0.7, 1.5], rows).astype(np.float32),
        top_k=rng.choice([0, 5, 40], rows).astype(np.int32),
        top_p=rng.choice([1, 0.9, 0.4], rows).astype(np.float32),
        min_p=rng.choice([0, 0.1], rows).astype(np.float32),
        repetition=rng.choice([1, 1.3], rows).astype(np.float32),
        random=rng.random(rows, np.float32),
        seen_start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        seen_token=np.concatenate([rng.choice(96, n, replace=False) for n in counts]).astype(np.int32),
        seen_prompt_or_answer=np.ones(counts.sum(), np.int32),
        seen_count=rng.integers(0, 2, counts.sum()).astype(np.int32),
        seen_bias=rng.normal(size=counts.sum()).astype(np.float32),
        mask=rng.integers(0, 1 << 32, (rows, 3), np.uint32),
        has_mask=rng.integers(0, 2, rows).astype(np.int32),
        logprobs=rng.choice([-1, 0, 3, 20], rows).astype(np.int32),
    )
    found = made.step(replace(batch, sampling=sampling))
    wanted = choose(made.logits(), sampling)
    assert_array_equal(found.tokens, wanted.tokens)
    assert_array_equal(found.top_tokens, wanted.top_tokens)
    assert_allclose(found.logprobs, wanted.logprobs, atol=1e-4)
    assert_allclose(found.top_logprobs, wanted.top_logprobs, atol=1e-4)
    assert found.forward_s > 0
    assert found.sample_s > 0


def test_adapters_add_what_the_reference_adds_and_only_to_their_sequences() -> None:
    weights = tiny_weights(LLAMA)
    wanted, made = reference(LLAMA, weights), compiled(LLAMA, weights)
    rng = np.random.default_rng(5)

    def delta(matrix: str, outputs: int, inputs: int, rank: int) -> LoraDelta:
        a, b = (rng.normal(size=s).astype(np.float32) for s in ((rank, inputs), (outputs, rank)))
        return LoraDelta(matrix, a, b * np.float32(0.3), 0.5)

    deltas = [
        delta("blk.0.attn_q", 32, 24, 3), delta("blk.0.attn_output", 24, 32, 2), delta("blk.1.ffn_up", 40, 24, 4),
        delta("blk.1.ffn_down", 24, 40, 1),
    ]  # fmt: skip
    plain = step_batch([(TOKENS[:9], 0, [0]), (TOKENS[:9], 0, [1])])
    batch = replace(plain, adapter=np.array([-1, 2], np.int32))
    with pytest.raises(EngineError, match="an adapter's slot is empty"):
        made.step(batch)
    for runner in (wanted, made):
        runner.load_adapter(2, deltas)
        runner.step(batch)
    assert_allclose(made.logits(), wanted.logits(), rtol=2e-4, atol=2e-4)
    assert abs(made.logits()[:9] - made.logits()[9:]).max() > 0.1
    made.unload_adapter(2)
    made.step(plain)
    assert_array_equal(made.logits()[:9], made.logits()[9:])
    with pytest.raises(ModelFileError, match=r"blk\.0\.attn_q: expected a \(rank, 24\)"):
        made.load_adapter(0, [delta("blk.0.attn_q", 32, 25, 3)])
    with pytest.raises(ModelFileError, match=r"blk\.2\.attn_q: an adapter for a matrix that takes none"):
        made.load_adapter(0, [delta("blk.2.attn_q", 32, 24, 3)])


def test_a_copied_page_holds_the_same_keys_and_values() -> None:
    made = compiled(LLAMA, tiny_weights(LLAMA))
    made.step(step_batch([(TOKENS[:12], 0, [0])]))
    made.copy_page(0, 5)
    made.step(step_batch([(TOKENS[12:14], 12, [0])]))
    first = made.logits().copy()
    made.step(step_batch([(TOKENS[12:14], 12, [5])]))
    assert_array_equal(made.logits(), first)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"tokens": np.array([96], np.int32)}, "not of the vocabulary"),
        ({"positions": np.array([16], np.int32)}, "a position has no page"),
        ({"page_table": np.array([[-1]], np.int32)}, "not one of the runner's"),
        ({"page_table": np.array([[10**6]], np.int32)}, "not one of the runner's"),
        ({"logits_rows": np.array([1], np.int32)}, "not one of the tokens"),
        ({"sequence_start": np.array([0, 0], np.int32)}, "do not cover the tokens"),
    ],
)
def test_a_batch_that_leads_outside_of_the_memory_is_refused(change: dict[str, object], what: str) -> None:
    made = compiled(LLAMA, tiny_weights(LLAMA))
    with pytest.raises(EngineError, match=what):
        made.step(replace(step_batch([([3], 0, [0])]), **change))  # type: ignore[arg-type]  # the fields of the cases


def test_logits_that_are_not_finite_are_refused_by_their_row() -> None:
    weights = tiny_weights(LLAMA)
    weights["token_embd.weight"][7] = np.inf
    made = compiled(LLAMA, weights)
    with pytest.raises(EngineError, match="logits of row 1 are not finite"):
        made.step(step_batch([([3], 0, [0]), ([7], 0, [1])]))


def test_a_model_that_lacks_a_tensor_and_a_budget_without_a_page_are_refused() -> None:
    weights = tiny_weights(LLAMA)
    with pytest.raises(TooLargeError, match="the limit is 1000 bytes, got 8192 bytes"):
        compiled(LLAMA, weights, kv_bytes=1000)
    with pytest.raises(ConfigError, match="a power of two from 16 up, got 24"):
        compiled(LLAMA, weights, page_tokens=24)
    del weights["blk.1.ffn_up.weight"]
    with pytest.raises(ModelFileError, match=r"'blk\.1\.ffn_up\.weight' is missing"):
        compiled(LLAMA, weights)
