"""Streaming stores go past the caches where whole vectors are aligned, and are plain stores elsewhere."""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,operator,type-arg,no-any-return"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

from hekla.lang import MutView, Vec, f32, kernel, stream_store
from hekla.lang.explain import explain_assembly
from hekla.lang.llvm.target import Target
from hekla.runtime import Buffer, view_of


@kernel
def fill(x: MutView[f32, 1]):
    for i in range(0, len(x), 16):
        stream_store(x, i, Vec[f32, 16](3.0))


def test_the_processor_is_told_to_stream() -> None:
    target = Target("x86_64-unknown-linux-gnu", "x86-64-v4", frozenset())
    listing = explain_assembly(fill.with_options(target=target).compile())
    assert any(i.text.startswith("vmovntps") for i in listing.instructions)


def test_memory_at_any_alignment_is_written() -> None:
    with Buffer(4096) as buffer:
        for offset in range(0, 68, 4):
            view = view_of(buffer, "f4", (64,), offset=offset)
            view.array[...] = 0
            fill(view.array)
            assert (view.array == 3).all()
            del view
