from hekla.lang import MutView, View, f32, kernel, vectorize


@vectorize(arch="native")
@kernel
def scale(a: f32, x: MutView[f32, 1]):
    for i in range(len(x)):
        x[i] = a * x[i]


@vectorize(arch="native", reassociate=True)
def total(x: View[f32, 1]) -> f32:
    found = f32(0.0)
    for i in range(len(x)):
        found += x[i]
    return found
