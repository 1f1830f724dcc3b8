from hekla.lang import f32, kernel


@kernel
def program(x: f32) -> f32:
    print(x)
    return x
