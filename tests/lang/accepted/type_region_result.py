from hekla.lang import index, kernel, region


@kernel
def program(r: region, n: index):
    a = r.take(index, n)
    a[0] = n
