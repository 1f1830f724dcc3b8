# expect: OwnershipError 12:15 two arguments of f() look at the same memory, and one of them may write it
from hekla.lang import f32, kernel, MutView, View


@kernel
def f(a: MutView[f32, 1], b: View[f32, 1]):
    a[0] = b[0]


@kernel
def program(x: MutView[f32, 1]):
    f(x[0:4], x[4:8])
