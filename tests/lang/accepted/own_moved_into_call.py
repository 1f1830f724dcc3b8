from hekla.lang import Buffer, buffer, f32, index, kernel, MutView


@kernel
def eat(b: Buffer[f32]):
    b[0] = 1.0


@kernel
def program(x: MutView[f32, 1], n: index):
    a = buffer(f32, n)
    x[0] = a[0]
    eat(a)
