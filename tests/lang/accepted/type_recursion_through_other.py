from hekla.lang import index, kernel


@kernel
def odd(n: index) -> index:
    return n % 2


@kernel
def even(n: index) -> index:
    return 1 - odd(n)


@kernel
def program(n: index) -> index:
    return even(n)
