# expect: RaceError 14:5 'r' is region from outside of this parallel loop
from hekla.lang import MutView, f32, index, kernel, parallel, region


@kernel
def total(r: region, n: index) -> f32:
    a = r.take(f32, n)
    return a[0]


@kernel
def program(x: MutView[f32, 1]):
    r = region(1024)
    for i in parallel(len(x)):
        x[i] = total(r, 4)
