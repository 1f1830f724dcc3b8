"""What is checked before anything runs: each violation names the tensor, what was expected, what was found."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.llm.files.small_files import SMALL, gguf_metadata, tensors_to_write, write_small_gguf

from hekla.base.errors import ModelFileError, UnsupportedError
from hekla.llm.awq import packed
from hekla.llm.checks import (
    TargetKinds,
    TensorError,
    check_config,
    check_target,
    check_tensor,
)
from hekla.llm.expected import ExpectedTensor
from hekla.llm.gguf_writer import TensorToWrite, write_gguf
from hekla.llm.metadata import MetadataValue
from hekla.llm.model_config import ModelConfig
from hekla.llm.model_file import open_model
from hekla.llm.tensors import Quantisation, StoredTensor

Tensors = list[TensorToWrite]


def opened(path: Path, change: Callable[[Tensors], Tensors] = list, metadata: Mapping[str, MetadataValue] = {}) -> None:
    table = gguf_metadata(SMALL) | {f"llama.{key}": value for key, value in metadata.items()}
    write_gguf(path, table, change(tensors_to_write(SMALL, Quantisation.Q8_0)))
    open_model(path)


def without(name: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: [tensor for tensor in tensors if tensor.name != name]


def changed(name: str, shape: tuple[int, ...], kind: Quantisation) -> Callable[[Tensors], Tensors]:
    def change(tensors: Tensors) -> Tensors:
        made = TensorToWrite(name, kind, shape, lambda: np.zeros(made.nbytes, np.uint8))
        return [*without(name)(tensors), made]

    return change


@pytest.mark.parametrize(
    ("change", "tensor", "expected", "found"),
    [
        (without("blk.1.attn_k.weight"), "blk.1.attn_k.weight", "one of shape [16, 32]", "none"),
        (without("output_norm.weight"), "output_norm.weight", "one of shape [32]", "none"),
        (
            changed("blk.0.ffn_up.weight", (32, 64), Quantisation.Q8_0),
            "blk.0.ffn_up.weight",
            "shape [64, 32]",
            "[32, 64]",
        ),
        (
            changed("blk.0.attn_norm.weight", (32,), Quantisation.Q4_0),
            "blk.0.attn_norm.weight",
            "F32, F16 or BF16",
            "Q4_0",
        ),
        (changed("blk.2.attn_norm.weight", (32,), Quantisation.F32), "blk.2.attn_norm.weight", "no such tensor", "one"),
        (
            changed("blk.0.attn_q.bias", (32,), Quantisation.F32),
            "blk.0.attn_q.bias",
            "no such tensor in a llama",
            "one",
        ),
    ],
)
def test_a_tensor_that_is_not_what_the_architecture_needs_is_named(
    tmp_path: Path, change: Callable[[Tensors], Tensors], tensor: str, expected: str, found: str
) -> None:
    with pytest.raises(TensorError) as refused:
        opened(tmp_path / "m.gguf", change)
    assert refused.value.tensor == tensor
    assert expected in refused.value.expected
    assert refused.value.found == found
    assert str(tmp_path) in refused.value.where


def test_tensors_of_something_else_in_the_file_are_let_be(tmp_path: Path) -> None:
    opened(tmp_path / "m.gguf", changed("mm.vision.weight", (4, 4), Quantisation.F32))
    assert open_model(tmp_path / "m.gguf").unknown_tensors == ("mm.vision.weight",)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"attention.head_count_kv": 3}, "4 heads are no multiple of 3 heads of keys"),
        ({"rope.dimension_count": 7}, "layer 0: expected an even number of at most 8 dimensions that turn, found 7"),
        ({"block_count": 0}, "llama.block_count: expected a whole number from 1 to 1024, found 0"),
        ({"block_count": 1 << 31}, "llama.block_count: expected a whole number from 1 to 1024, found 2147483648"),
        (
            {"embedding_length": "wide"},
            "llama.embedding_length: expected a whole number from 1 to 1048576, found 'wide'",
        ),
        ({"attention.layer_norm_rms_epsilon": float("nan")}, "layer_norm_rms_epsilon: expected a number, found nan"),
        ({"context_length": -1}, "llama.context_length: expected a whole number"),
    ],
)
def test_numbers_that_do_not_fit_are_named(tmp_path: Path, metadata: dict[str, MetadataValue], message: str) -> None:
    with pytest.raises(ModelFileError) as refused:
        opened(tmp_path / "m.gguf", metadata=metadata)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (
            {"general.architecture": "mamba"},
            "the architecture 'mamba' is not known; known: gemma2, gemma3, llama, qwen2",
        ),
        ({"llama.rope.scaling.type": "yarn"}, "rotary scaling 'yarn'; known: none, linear"),
        ({"llama.expert_count": 8}, "a mixture of experts"),
        ({"llama.attention.value_length": 4}, "keys and values of different widths"),
        ({"split.count": 2}, "a model split into several files"),
    ],
)
def test_a_variant_that_is_not_computed_is_named(
    tmp_path: Path, metadata: dict[str, MetadataValue], message: str
) -> None:
    write_small_gguf(tmp_path / "m.gguf", metadata=metadata)
    with pytest.raises(UnsupportedError) as refused:
        open_model(tmp_path / "m.gguf")
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (replace(SMALL, end_tokens=frozenset({288})), "token 288 is past the vocabulary of 288"),
        (replace(SMALL, begin_token=4000), "token 4000 is past the vocabulary of 288"),
        (
            replace(
                SMALL,
                layers=(replace(SMALL.layers[0], rotary=replace(SMALL.layers[0].rotary, factors=(1.0,))),),
            ),
            "layer 0: expected 4 rotary factors, found 1",
        ),
    ],
)
def test_a_config_that_contradicts_itself_is_refused(config: ModelConfig, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        check_config(config, "m")


def awq(groups: int = 2, zeros: int = 2) -> StoredTensor:
    data = packed(np.zeros((64, 16), np.uint8)).view(np.uint8).reshape(-1)
    scales = np.ones((groups, 16), np.float16)
    return StoredTensor("w", Quantisation.AWQ4, (16, 64), data, scales, np.zeros((zeros, 8), np.uint8))


@pytest.mark.parametrize(("groups", "zeros"), [(3, 3), (2, 1), (0, 0), (16, 16)])
def test_scales_and_zeros_that_do_not_fit_are_refused(groups: int, zeros: int) -> None:
    with pytest.raises(TensorError, match="tensor 'w': expected"):
        check_tensor(awq(groups, zeros), ExpectedTensor((16, 64)), "m")


def test_data_between_its_alignment_is_refused() -> None:
    data = np.zeros(72, np.uint8)
    start = -data.ctypes.data % 4 + 1
    tensor = StoredTensor("w", Quantisation.F32, (4, 4), data[start : start + 64])
    with pytest.raises(TensorError, match="a multiple of 4 bytes, found 1 bytes past one"):
        check_tensor(tensor, ExpectedTensor((4, 4)), "m")


def test_kinds_a_machine_does_not_compute_are_named() -> None:
    small = TargetKinds("a toaster", frozenset({Quantisation.F32}))
    with pytest.raises(
        UnsupportedError, match="tensor 'w': AWQ4 is not computed on a toaster; convert it to one of F32"
    ):
        check_target({"w": awq()}, small, "m")
    check_target({"w": awq()}, TargetKinds("a toaster", frozenset({Quantisation.AWQ4})), "m")
