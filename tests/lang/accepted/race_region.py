from hekla.lang import f32, kernel, MutView, parallel, region


@kernel
def program(x: MutView[f32, 1]):
    for i in parallel(len(x)):
        r = region(1024)
        a = r.take(f32, 4)
        x[i] = a[0]
