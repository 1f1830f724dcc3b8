# expect: OwnershipError 9:9 'a' is moved while 'seen', which reads the same memory, is still in use
from hekla.lang import buffer, drop, f32, index, kernel


@kernel
def program(n: index) -> f32:
    a = buffer(f32, n)
    seen = a.view()
    b = a
    drop(b)
    return seen[0]
