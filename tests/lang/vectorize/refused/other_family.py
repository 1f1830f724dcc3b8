# expect: TargetError 6:5 program demands neon, which is of aarch64; the target is x86_64
from hekla.lang import f32, MutView, vectorize, View


@vectorize(arch="neon")
def program(x: MutView[f32, 1]):
    for i in range(len(x)):
        x[i] *= 2.0
