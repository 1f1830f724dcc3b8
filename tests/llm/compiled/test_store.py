"""Packed weights on disk: mapped by the next start, packed again where the file is another's, else in memory."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.testing import assert_array_equal
from tests.llm.compiled.stored import stored, with_kinds
from tests.llm.tiny_models import LLAMA, QWEN3, tiny_weights

from hekla.kernels.llm.panel_values import matrix_values
from hekla.llm.compiled.plan import PackPlan, Planner
from hekla.llm.compiled.store import START, WeightStore, digest, packed_weights
from hekla.llm.dequantise import dequantised
from hekla.llm.model_config import ModelConfig
from hekla.llm.tensors import Quantisation as Q


def plan_of(config: ModelConfig = LLAMA, seed: int = 0) -> PackPlan:
    tensors = {name: stored(name, values) for name, values in tiny_weights(config, seed).items()}
    return Planner(config, tensors).plan()


def model_file(folder: Path, text: str = "a model") -> Path:
    path = folder / "model.gguf"
    path.write_text(text)
    return path


def test_the_second_start_maps_what_the_first_packed(tmp_path: Path) -> None:
    store, file = WeightStore(tmp_path / "weights"), model_file(tmp_path)
    first = packed_weights(plan_of(), [file], store)
    # another model's tensors under the same name would show that they were packed again
    second = packed_weights(plan_of(seed=9), [file], store)
    assert_array_equal(first, second)
    assert not second.flags.writeable
    assert second.ctypes.data % 4096 == 0
    assert first.nbytes == plan_of().bytes


def test_a_file_that_is_cut_or_another_s_is_packed_again(tmp_path: Path) -> None:
    store, file = WeightStore(tmp_path / "weights"), model_file(tmp_path)
    plan = plan_of()
    wanted = packed_weights(plan, [file], WeightStore(None))
    kept = tmp_path / "weights" / f"{digest([file], plan)}.weights"
    packed_weights(plan, [file], store)
    content = kept.read_bytes()
    for damaged in (content[:-1], b"X" + content[1:], content[:START]):
        kept.unlink()  # a mapped file is never written in place
        kept.write_bytes(damaged)
        assert_array_equal(packed_weights(plan, [file], store), wanted)
        assert kept.stat().st_size == START + plan.bytes


def test_a_model_that_changed_has_another_name(tmp_path: Path) -> None:
    file, plan = model_file(tmp_path), plan_of()
    before = digest([file], plan)
    assert digest([file], plan) == before
    os.utime(file, ns=(1, 2))
    touched = digest([file], plan)
    assert digest([model_file(tmp_path, "another")], plan) not in (before, touched)
    assert digest([file], plan_of(QWEN3)) not in (before, touched)


def test_of_one_model_the_two_newest_packings_stay(tmp_path: Path) -> None:
    store, file = WeightStore(tmp_path / "weights"), model_file(tmp_path)
    names = []
    for stamp in range(4):
        os.utime(file, ns=(stamp, stamp))
        names.append(digest([file], plan_of()))
        packed_weights(plan_of(), [file], store)
        os.utime(tmp_path / "weights" / f"{names[-1]}.weights", (stamp, stamp))
    assert {path.stem for path in (tmp_path / "weights").iterdir()} == set(names[2:])


def test_a_disk_that_takes_nothing_leaves_the_weights_in_memory(tmp_path: Path) -> None:
    blocked = tmp_path / "weights"
    blocked.write_text("a file where the folder should be")
    plan = plan_of()
    found = packed_weights(plan, [model_file(tmp_path)], WeightStore(blocked))
    assert_array_equal(found, packed_weights(plan, [], WeightStore(None)))
    assert list(tmp_path.glob("*.tmp")) == []


def test_two_that_pack_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    store, file, plan = WeightStore(tmp_path / "weights"), model_file(tmp_path), plan_of()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: packed_weights(plan, [file], store), range(8)))
    assert all(np.array_equal(one, found[0]) for one in found)
    assert [path.suffix for path in (tmp_path / "weights").iterdir()] == [".weights"]


def test_packed_matrices_mean_what_the_stored_ones_mean() -> None:
    kinds = (Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q8_0, Q.Q4_K, Q.Q5_K, Q.Q6_K, Q.AWQ4, Q.F16, Q.BF16, Q.F32)
    config = ModelConfig(
        family="qwen3", layers=QWEN3.layers * 2, width=256, heads=4, kv_heads=2, head_width=64, feed_forward_width=512,
        vocabulary_tokens=100, context_tokens=64, norm_epsilon=1e-5, activation="silu", query_scale=0.125,
        is_head_tied=True, has_qk_norm=True,
    )  # fmt: skip
    tensors = with_kinds(config, tiny_weights(config), kinds, np.random.default_rng(2))
    plan = Planner(config, tensors).plan()
    assert len(plan.kinds) == len(kinds)
    memory = packed_weights(plan, [], WeightStore(None))
    for matrix, row in zip(plan.matrices, plan.table, strict=False):
        wanted = dequantised(matrix.tensor)[matrix.rows]
        wanted[matrix.rows < 0] = 0
        found = matrix_values(memory, row)  # type: ignore[no-untyped-call]  # the kernels are not for mypy
        assert_array_equal(found, wanted, matrix.tensor.name)
