"""A program of Hekla's own kernels: numbers on standard input, results on standard output; for every target."""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,attr-defined,index,operator,type-arg,no-any-return"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

from hekla.kernels.activations import gelu
from hekla.kernels.distances import cosine, dot
from hekla.kernels.norms import rms_norm
from hekla.kernels.sgemm import pack_b, sgemm
from hekla.kernels.softmax import softmax
from hekla.lang import Array, MutView, View, f32, i32, index, kernel, read, write

N, ROWS, COLUMNS, DEPTH = 101, 3, 70, 9


@kernel
def fill(to: MutView[f32, 1]):
    """Read until the view is full, or the input ends."""
    at = 0
    while at < len(to):
        moved = read(0, to[at:])
        if moved <= 0:
            return
        at += moved // 4


@kernel
def fill_rows(to: MutView[f32, 2]):
    for i in range(to.shape[0]):
        fill(to[i])


@kernel
def pour(rows: View[f32, 2]) -> index:
    total = 0
    for i in range(rows.shape[0]):
        total += write(1, rows[i])
    return total


@kernel
def main() -> i32:
    x = Array[f32, N](0.0)
    y = Array[f32, N](0.0)
    fill(x.mut())
    fill(y.mut())
    found = Array[f32, 2](0.0)
    found[0] = dot(x.view(), y.view())
    found[1] = cosine(x.view(), y.view())
    total = write(1, found.view())
    a = Array[Array[f32, COLUMNS], ROWS](Array[f32, COLUMNS](0.0))
    b = Array[Array[f32, COLUMNS], ROWS](Array[f32, COLUMNS](0.0))
    fill_rows(a.mut())
    softmax(a.view(), b.mut())
    total += pour(b.view())
    w = Array[f32, COLUMNS](0.0)
    fill(w.mut())
    rms_norm(a.view(), w.view(), 1.0e-5, b.mut())
    total += pour(b.view())
    for i in range(ROWS):
        gelu(a.view()[i], b.mut()[i])
    total += pour(b.view())
    left = Array[Array[f32, DEPTH], ROWS](Array[f32, DEPTH](0.0))
    right = Array[Array[f32, COLUMNS], DEPTH](Array[f32, COLUMNS](0.0))
    packed = Array[Array[Array[f32, 64], DEPTH], 2](Array[Array[f32, 64], DEPTH](Array[f32, 64](0.0)))
    fill_rows(left.mut())
    fill_rows(right.mut())
    pack_b(right.view(), packed.mut())
    sgemm(left.view(), packed.view(), w.view(), b.mut())
    total += pour(b.view())
    return i32(total // 4 % 127)
