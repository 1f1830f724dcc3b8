from hekla.lang import f32, i32, kernel


@kernel
def program(x: f32) -> i32:
    return i32(x)
