# expect: OwnershipError 10:16 'v' is used after 'b', whose memory it looks at, is freed
from hekla.lang import buffer, f32, index, kernel, MutView


@kernel
def program(x: MutView[f32, 1], n: index):
    a = buffer(f32, n)
    v = a.view()
    for i in range(n):
        x[i] = v[0]
        b = buffer(f32, n)
        v = b.view()
