from hekla.lang import buffer, drop, f32, index, kernel


@kernel
def program(n: index) -> f32:
    a = buffer(f32, n)
    seen = a.view()
    first = seen[0]
    b = a
    drop(b)
    return first
