# expect: OwnershipError 10:12 'v' is used after 'a', whose memory it looks at, is freed
from hekla.lang import buffer, drop, f32, index, kernel, MutView


@kernel
def program(x: MutView[f32, 1], n: index):
    a = buffer(f32, n)
    v = a.view()
    drop(a)
    x[0] = v[0]
