"""Programs whose sizes are measured: the smallest tensor program, and one that prints floats."""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,attr-defined,index,operator,type-arg,no-any-return"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

from hekla.lang import Array, View, f32, i32, index, kernel, region, u8

N = 4


@kernel
def product(a: View[f32, 2], x: View[f32, 1], i: index) -> f32:
    total = f32(0.0)
    for j in range(len(x)):
        total += a[i, j] * x[j]
    return total


@kernel
def hello_tensor(arguments: View[u8, 1]) -> i32:
    """A x for a matrix of 4 by 4 that the arguments decide; the results in thousandths."""
    a = Array[Array[f32, N], N](Array[f32, N](0.5))
    x = Array[f32, N](1.5)
    a[1, 2] = f32(len(arguments))
    for i in range(N):
        print(i32(product(a.view(), x.view(), i) * 1000.0))
    return 0


@kernel
def hello_floats(arguments: View[u8, 1]) -> i32:
    """The same with memory of its own, printed as floats."""
    r = region(4096)
    a = Array[Array[f32, N], N](Array[f32, N](0.5))
    x = r.take(f32, N)
    a[1, 2] = f32(len(arguments))
    for i in range(N):
        x[i] = 1.5
    for i in range(N):
        print(i, product(a.view(), x, i))
    return 0
