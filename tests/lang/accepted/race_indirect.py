from hekla.lang import f32, i32, kernel, MutView, parallel, View


@kernel
def program(x: View[i32, 1], y: MutView[f32, 1]):
    for i in parallel(len(x), unproved='x holds each place once'):
        y[x[i]] = 1.0
