"""Which line a key stands on, in every spelling TOML allows."""

import tomllib

from hekla.serve.toml_lines import KeyPath, key_lines

TRICKY = '''\
# [not.a.table]
plain = 1 # = 2
"quoted.key" = "a # b = c \\" ] }"
'literal' = 'C:\\'
dotted . "in ner".leaf = [1, [2, 3], # ] comment
    4]
text = """
[also.not.a.table]
key = "x" \\""" more"""""
raw = \'\'\'
lies = 1\'\'\'
"caf\\u00e9" = 1979-05-27 07:32:00
inline = { a = 1, b = { c = "}" }, "d" = [{ e = 1 },
  { e = 2 }] }

[table]
x = -inf
[ table . sub ] # comment
y = 0x1F

[[list]]
z = true
[list.inner]
w = 1
[[list.deep]]
v = 1
[[list.deep]]
v = 2
[[list]]
z = false
[[list.deep]]
v = 3
'''

EXPECTED: dict[KeyPath, int] = {
    ("plain",): 2,
    ("quoted.key",): 3,
    ("literal",): 4,
    ("dotted", "in ner", "leaf"): 5,
    ("dotted", "in ner", "leaf", 2): 6,
    ("text",): 7,
    ("raw",): 10,
    ("café",): 12,
    ("inline", "b", "c"): 13,
    ("inline", "d", 0, "e"): 13,
    ("inline", "d", 1, "e"): 14,
    ("table",): 16,
    ("table", "x"): 17,
    ("table", "sub"): 18,
    ("table", "sub", "y"): 19,
    ("list", 0, "z"): 22,
    ("list", 0, "inner", "w"): 24,
    ("list", 0, "deep", 1, "v"): 28,
    ("list", 1): 29,
    ("list", 1, "z"): 30,
    ("list", 1, "deep", 0, "v"): 32,
}


def paths_of(value: object, path: KeyPath = ()) -> set[KeyPath]:
    """Return every place in a parsed document."""
    found = {path}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found |= paths_of(item, (*path, key))
    return found


def test_every_spelling_is_found_on_its_line() -> None:
    lines = key_lines(TRICKY)
    assert {path: lines.get(path) for path in EXPECTED} == EXPECTED


def test_exactly_the_keys_of_the_parsed_document_are_found() -> None:
    assert set(key_lines(TRICKY)) == paths_of(tomllib.loads(TRICKY))


def test_windows_line_ends_count_once() -> None:
    assert key_lines("a = 1\r\n\r\nb = 2\r\n") == {(): 1, ("a",): 1, ("b",): 3}
