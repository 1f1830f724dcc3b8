from hekla.lang import any_lane, f32, kernel, load, MutView


@kernel
def program(x: MutView[f32, 1]):
    v = load(x, 0, width=4)
    if any_lane(v > 0.0):
        x[0] = 1.0
