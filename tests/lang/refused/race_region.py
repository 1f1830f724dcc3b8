# expect: RaceError 8:5 'r' is region from outside of this parallel loop
from hekla.lang import f32, kernel, MutView, parallel, region


@kernel
def program(x: MutView[f32, 1]):
    r = region(1024)
    for i in parallel(len(x)):
        a = r.take(f32, 4)
        x[i] = a[0]
