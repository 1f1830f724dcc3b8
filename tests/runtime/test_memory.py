"""Buffers, arenas and the account they are charged to."""

import gc
from pathlib import Path

import numpy as np
import pytest

from hekla.runtime.accounting import MemoryAccount, Usage
from hekla.runtime.arena import Arena
from hekla.runtime.buffer import Buffer, HugePages
from hekla.runtime.errors import BoundsError, InUseError, LayoutError, NoMemoryError, ReleasedError
from hekla.runtime.view import view_of

_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_HAS_HUGE_PAGES = _HUGE_PAGES.exists() and "[never]" not in _HUGE_PAGES.read_text()


@pytest.mark.parametrize("size", [0, 1, 63, 4096, 4097, (2 << 20) - 1, 2 << 20, 5 << 20])
@pytest.mark.parametrize("alignment", [1, 64, 4096, 1 << 16])
def test_a_buffer_is_aligned_zeroed_and_as_long_as_asked(size: int, alignment: int) -> None:
    with Buffer(size, alignment=alignment) as buffer:
        assert buffer.address % max(alignment, 64) == 0
        memory = buffer.memory()
        assert len(memory) == size
        assert bytes(memory[:1]) in (b"", b"\0")
        if size:
            memory[size - 1] = 7
        del memory


def _huge_kib() -> int:
    """Return KiB of this process that lie on huge pages."""
    (line,) = [x for x in Path("/proc/self/smaps_rollup").read_text().splitlines() if x.startswith("AnonHugePages")]
    return int(line.split()[1])


@pytest.mark.skipif(not _HAS_HUGE_PAGES, reason="this system makes no huge pages")
def test_a_large_buffer_lies_on_huge_pages() -> None:
    before = _huge_kib()
    with Buffer(64 << 20) as buffer:
        memory = buffer.memory()
        memory[:] = bytes(64 << 20)
        assert _huge_kib() - before >= 32 << 10  # the system may be short of some
        del memory


def test_a_large_buffer_begins_on_a_huge_page() -> None:
    with Buffer(4 << 20) as buffer, Buffer(4 << 20, huge_pages=HugePages.NEVER) as plain:
        assert buffer.address % (2 << 20) == 0
        assert not plain.has_huge_pages


def test_a_buffer_is_not_closed_under_a_view_and_stays_usable() -> None:
    buffer = Buffer(64)
    view = view_of(buffer, "f4", (16,))
    with pytest.raises(InUseError, match="a buffer of 64 bytes \\(buffer\\): views still look at this memory"):
        buffer.close()
    view.array[3] = 2.5
    assert view_of(buffer, "f4", (1,), offset=12).array[0] == 2.5
    del view
    buffer.close()
    buffer.close()
    with pytest.raises(ReleasedError):
        buffer.memory()


def test_ranges_outside_of_a_buffer_are_refused_with_all_three_numbers() -> None:
    with Buffer(100, kind="weights") as buffer:
        with pytest.raises(BoundsError) as caught:
            view_of(buffer, "f4", (20,), offset=24)
        assert (caught.value.start, caught.value.stop, caught.value.size) == (24, 104, 100)
        assert str(caught.value) == "a buffer of 100 bytes (weights): bytes 24 to 104 lie outside of the 100 there are"
        with pytest.raises(BoundsError):
            buffer.memory(-1, 4)
        with pytest.raises(LayoutError, match="offset 2 is not a multiple of the 4 bytes"):
            view_of(buffer, "f4", (1,), offset=2)
        with pytest.raises(LayoutError, match="cannot hold float32 of shape \\[-1\\]"):
            view_of(buffer, "f4", (-1,))
        with pytest.raises(LayoutError, match="cannot hold object"):
            view_of(buffer, "O", (1,))


def test_impossible_sizes_and_alignments_are_refused_with_a_type() -> None:
    account = MemoryAccount()
    with pytest.raises(NoMemoryError) as caught:
        Buffer(1 << 62, account=account)
    assert caught.value.asked_bytes == 1 << 62
    assert account.total.current_bytes == 0
    for size, alignment in ((-1, 64), (1, 3), (1, 0)):
        with pytest.raises(LayoutError):
            Buffer(size, alignment=alignment)


def test_an_account_counts_by_kind_with_peaks_and_refuses_past_its_limit() -> None:
    account = MemoryAccount(limit_bytes=1000)
    weights = Buffer(600, account=account, kind="weights")
    with pytest.raises(NoMemoryError, match="500 bytes for cache do not fit: 600 of 1000 are held"):
        Buffer(500, account=account, kind="cache")
    with Buffer(300, account=account, kind="cache"):
        assert account.total == Usage(900, 900, 2)
    weights.close()
    assert account.snapshot() == {"cache": Usage(0, 300, 1), "weights": Usage(0, 600, 1)}
    assert account.total == Usage(0, 900, 2)


def test_a_forgotten_buffer_is_credited_when_its_last_view_goes() -> None:
    account = MemoryAccount()
    buffer = Buffer(64, account=account)
    view = view_of(buffer, "u1", (64,))
    del buffer
    gc.collect()
    assert account.total.current_bytes == 64
    view.array[0] = 1  # the pages are still there
    del view
    gc.collect()
    assert account.total.current_bytes == 0


def test_an_arena_hands_out_disjoint_aligned_views_and_takes_all_back() -> None:
    account = MemoryAccount()
    with Arena(1000, account=account) as arena:
        a, b = arena.take("f4", (3, 5)), arena.take("u1", (10,), alignment=1)
        a.array[...], b.array[...] = 1, 2
        assert (a.array == 1).all()
        assert a.is_aligned_to(64)
        assert b.address == a.address + 60
        assert arena.used_bytes == 70
        row = a.array[1]
        del a, b
        with pytest.raises(InUseError, match="arena: 1 views of the arena are in use"):
            arena.reset()
        del row
        arena.reset()
        assert (arena.used_bytes, arena.peak_bytes) == (0, 70)
        assert account.total.current_bytes == 1000
    assert account.total.current_bytes == 0


def test_an_arena_is_reset_to_a_mark_and_keeps_what_came_before() -> None:
    with Arena(4096) as arena:
        kept = arena.take("i4", (4,))
        mark = arena.used_bytes
        scratch = arena.take("i4", (100,))
        del scratch
        arena.reset(mark)
        assert arena.take("i4", (1,)).address == kept.address + 64
        kept.array[...] = np.arange(4)
        assert kept.array.tolist() == [0, 1, 2, 3]
        del kept


def test_a_full_arena_says_how_much_is_taken_and_takes_nothing() -> None:
    with Arena(256) as arena:
        first = arena.take("u1", (200,))
        with pytest.raises(NoMemoryError, match="100 bytes do not fit: 200 of 256 are taken"):
            arena.take("u1", (100,))
        assert arena.used_bytes == 200
        del first
