from hekla.lang import Const, index, kernel


@kernel
def program(n: index, *, depth: Const = 0) -> index:
    if depth == 5:
        return n
    return program(n, depth=depth + 1)
