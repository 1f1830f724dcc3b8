"""Views and DLPack in both directions, with NumPy and, where it is installed, PyTorch."""

import gc
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from hekla.runtime.buffer import Buffer
from hekla.runtime.errors import InUseError, LayoutError
from hekla.runtime.view import View, view_of

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
KINDS = [np.dtype(c) for c in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")] + [BFLOAT16]


class Other:
    """Another library's array: only DLPack, and `versioned` says how new."""

    def __init__(self, array: Any, *, versioned: bool, device: int = 1) -> None:
        self.array, self.versioned, self.device = array, versioned, device

    def __dlpack__(self, **options: Any) -> Any:
        if not self.versioned:
            if options:
                raise TypeError("unexpected keyword")
            return self.array.__dlpack__()
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (self.device, 0)


@pytest.mark.parametrize("versioned", [False, True])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_element_type_goes_through_dlpack_over_the_same_memory(kind: "np.dtype[Any]", versioned: bool) -> None:
    array = np.arange(24).astype(kind).reshape(2, 3, 4)[:, ::2]
    back = View.of(Other(View(array), versioned=versioned))
    assert back.dtype == kind
    assert back.strides_bytes == array.strides
    assert back.address == array.ctypes.data
    assert back.array.tobytes() == array.tobytes()


def test_numpy_reads_a_view_and_keeps_its_buffer_alive() -> None:
    buffer = Buffer(256)
    array = np.from_dlpack(view_of(buffer, "f4", (8, 8)))
    assert array.ctypes.data == buffer.address
    array[7, 7] = 5
    gc.collect()
    with pytest.raises(InUseError):
        buffer.close()
    assert np.asarray(view_of(buffer, "f4", (8, 8)))[7, 7] == 5
    del array
    gc.collect()
    buffer.close()


def test_a_capsule_nobody_took_gives_the_memory_back() -> None:
    for kind in ("f4", BFLOAT16):
        buffer = Buffer(64)
        capsule = view_of(buffer, kind, (4,)).__dlpack__()
        del capsule
        gc.collect()
        buffer.close()


def test_read_only_memory_stays_read_only_or_is_not_given() -> None:
    array = np.arange(4.0)
    array.flags.writeable = False
    view = View(array)
    assert View.of(Other(view, versioned=True)).is_read_only
    with pytest.raises(LayoutError, match="x: cannot be read through DLPack"):
        View.of(Other(view, versioned=False), where="x")


def test_anything_with_the_buffer_protocol_is_viewed_without_a_copy() -> None:
    memory = bytearray(range(8))
    view = View.of(memory)
    view.array[0] = 9
    assert memory[0] == 9
    assert View.of(memoryview(b"1234").cast("H")).shape == (2,)
    assert View.of(memoryview(b"12")).is_read_only
    assert View.of(view) is view


def test_what_is_no_array_or_lives_elsewhere_is_refused_by_name() -> None:
    with pytest.raises(LayoutError, match=r"logits: list is no array; pass an array, or bytes-like memory"):
        View.of([1, 2], where="logits")
    with pytest.raises(LayoutError, match=r"logits: the array is on DLPack device \(2, 0\); move it to the CPU"):
        View.of(Other(np.zeros(1), versioned=True, device=2), where="logits")
    with pytest.raises(BufferError):
        View(np.zeros(2, BFLOAT16)).__dlpack__(dl_device=(2, 0))


def test_torch_and_hekla_read_each_other() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed here")
    for kind in (torch.float32, torch.bfloat16, torch.int8, torch.float16, torch.int64):
        tensor = torch.arange(6).reshape(2, 3).to(kind)
        view = View.of(tensor)
        assert view.address == tensor.data_ptr()
        again = torch.from_dlpack(view)
        assert again.data_ptr() == tensor.data_ptr()
        assert again.dtype == kind
        assert torch.equal(again, tensor)
