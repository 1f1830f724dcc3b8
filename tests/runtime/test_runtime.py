"""Owned memory, its account, mapped files, and what the machine says of itself."""

import threading
from pathlib import Path

import numpy as np
import pytest

from hekla.base.errors import NotFoundError, TooLargeError
from hekla.runtime.memory import PAGE, Memory, MemoryAccount, Usage, mapped_file
from hekla.runtime.processor import Processor, read_processor, this_processor


def test_memory_is_zeroed_aligned_and_shared_between_its_arrays() -> None:
    memory = Memory(1000)
    first, second = memory.array((10,), np.float32), memory.array((5, 2), np.float32)
    assert first.ctypes.data % PAGE == 0
    assert not first.any()
    first[3] = 7
    assert second[1, 1] == 7
    assert np.from_dlpack(first).ctypes.data == first.ctypes.data


def test_an_array_past_the_end_is_refused() -> None:
    memory = Memory(100)
    memory.array((25,), np.float32)
    with pytest.raises(TooLargeError, match="the limit is 100 bytes, got 0 to 104"):
        memory.array((26,), np.float32)
    with pytest.raises(TooLargeError):
        memory.array((1,), np.float32, -4)


def test_arrays_outlive_their_owner_and_the_account_does_not() -> None:
    account = MemoryAccount()
    with Memory(5000, account=account, purpose="pages") as memory:
        array = memory.array((1000,), np.float32)
        assert account.usage() == {"pages": Usage(2 * PAGE, 2 * PAGE)}
    memory.close()
    array[:] = 1
    assert account.usage() == {"pages": Usage(0, 2 * PAGE)}


def test_a_limit_refuses_and_counts_nothing() -> None:
    account = MemoryAccount(limit_bytes=3 * PAGE)
    kept = Memory(PAGE, account=account)
    with pytest.raises(TooLargeError, match=f"the limit is {3 * PAGE} bytes in all, got {4 * PAGE} bytes"):
        Memory(3 * PAGE, account=account)
    assert account.usage()["memory"].now == PAGE
    kept.close()


def test_what_the_system_does_not_give_is_refused_and_not_counted() -> None:
    account = MemoryAccount()
    with pytest.raises(TooLargeError, match="what the system gives"):
        Memory(1 << 62, account=account)
    assert account.usage()["memory"].now == 0


def test_an_account_is_exact_between_threads() -> None:
    account = MemoryAccount()

    def run() -> None:
        for _ in range(1000):
            account.take("x", 3)
            account.give("x", 3)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert account.usage()["x"].now == 0


def test_a_mapped_file_is_read_in_place(tmp_path: Path) -> None:
    path = tmp_path / "numbers.bin"
    path.write_bytes(np.arange(10, dtype=np.int32).tobytes())
    numbers = mapped_file(path, np.int32, offset_bytes=8, count=3)
    assert numbers.tolist() == [2, 3, 4]
    assert not numbers.flags.writeable
    assert mapped_file(path, np.int32).tolist() == list(range(10))
    assert mapped_file(path, np.int32, offset_bytes=40).tolist() == []
    with pytest.raises(TooLargeError):
        mapped_file(path, np.int32, count=11)
    with pytest.raises(NotFoundError, match=r"no\.bin: no such file"):
        mapped_file(tmp_path / "no.bin")


def test_this_machine_can_be_read() -> None:
    found = this_processor()
    assert found.usable
    assert 1 <= found.physical <= len(found.usable)


def test_a_machine_with_two_threads_a_core_is_counted_by_cores(tmp_path: Path) -> None:
    for number in range(4):
        topology = tmp_path / f"cpu{number}/topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text("0\n")
        (topology / "core_id").write_text(f"{number // 2}\n")
    for position, (level, kind, size) in enumerate(
        [("1", "Data", "32K"), ("1", "Instruction", "64K"), ("2", "Unified", "1024K"), ("3", "Unified", "32M")]
    ):
        cache = tmp_path / f"cpu0/cache/index{position}"
        cache.mkdir(parents=True)
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (cache / name).write_text(text + "\n")
    information = tmp_path / "cpuinfo"
    information.write_text("processor : 0\nflags\t\t: fpu avx2 avx512f\n\nprocessor : 1\n")
    assert read_processor(tmp_path, information, (0, 1, 2, 3)) == Processor(
        (0, 1, 2, 3), 2, frozenset({"fpu", "avx2", "avx512f"}), {1: 32 << 10, 2: 1 << 20, 3: 32 << 20}
    )


def test_a_machine_that_says_nothing_is_not_guessed(tmp_path: Path) -> None:
    assert read_processor(tmp_path, tmp_path / "none", (0,)) == Processor((0,), 1, frozenset(), {})
