from hekla.lang import index, kernel


@kernel
def program(n: index) -> index:
    total = 1
    for i in range(2, n + 1):
        total *= i
    return total
