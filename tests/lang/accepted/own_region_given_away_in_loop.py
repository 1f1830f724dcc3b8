from hekla.lang import drop, index, kernel, region


@kernel
def program(n: index):
    for i in range(n):
        r = region(1024)
        drop(r)
