from hekla.lang import Vec, f32, kernel


@kernel
def program(x: Vec[f32, 4]):
    print(x[0], x[1])
