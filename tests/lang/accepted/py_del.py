from hekla.lang import buffer, drop, f32, kernel, MutView


@kernel
def program(x: MutView[f32, 1]):
    b = buffer(f32, 2)
    drop(b)
