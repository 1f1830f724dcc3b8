from hekla.lang import f32, kernel, View


@kernel
def program(x: View[f32, 1]):
    return
