from hekla.lang import index, kernel, text


@kernel
def program() -> index:
    v = text("abc")
    return index(v[0])
