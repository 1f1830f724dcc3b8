# expect: OwnershipError 9:9 'r' is given away in a loop, and the next turn would find it gone
from hekla.lang import drop, index, kernel, region


@kernel
def program(n: index):
    r = region(1024)
    for i in range(n):
        drop(r)
