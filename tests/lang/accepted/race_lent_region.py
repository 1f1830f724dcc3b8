from hekla.lang import MutView, f32, index, kernel, parallel, region


@kernel
def total(r: region, n: index) -> f32:
    a = r.take(f32, n)
    return a[0]


@kernel
def program(x: MutView[f32, 1]):
    for i in parallel(len(x)):
        r = region(1024)
        x[i] = total(r, 4)
