"""The forms of a kernel, and records that cannot be."""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,operator,type-arg,index,no-any-return,arg-type,attr-defined"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

import pytest

from hekla.base.errors import ConfigError
from hekla.lang import View, buffer, f32, kernel, struct
from hekla.lang.explain import explain_code


@kernel
def twice(x: View[f32, 1]) -> f32:
    return x[0] + x[0]


def test_code_is_shown_in_every_form() -> None:
    compiled = twice.compile()
    assert "arith.addf" in explain_code(compiled, "ir")
    assert "fadd float" in explain_code(compiled, "llvm")
    assert "hekla_call:" in explain_code(compiled, "asm")


def test_a_record_that_cannot_lie_in_memory_is_refused_where_it_is_declared() -> None:
    with pytest.raises(ConfigError, match=r"field 'view' is .*, which cannot lie in a record"):

        @struct
        class Wrong:
            view: View[f32, 1]

    with pytest.raises(ConfigError, match="is not a layout"):
        struct(layout="dense")(type("Empty", (), {"__annotations__": {}}))


def test_buffers_show_in_the_ir() -> None:
    @kernel
    def owner() -> f32:
        b = buffer(f32, 3)
        return b[1]

    text = explain_code(owner.compile(), "ir")
    assert text.index("memref.alloc ") < text.index("memref.load %b[") < text.index("memref.dealloc %b")
