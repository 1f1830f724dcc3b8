"""todo"""
from hekla.lang import *
@kernel
def choose_rows(logits: View[f32,1], rows: index, out: MutView[i32,1], *, shape: Const):
    for r in parallel(rows, unproved="own row"):
        best = f32(-1e38)
        at = 0
        for i in range(shape.vocabulary_tokens):
            v = logits[r * shape.logits_stride + i]
            if v > best:
                best = v
                at = i
        out[r] = i32(at)
