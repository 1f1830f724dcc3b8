"""The child process of `assemble`: LLVM text on standard input, object file on standard output.

python -m hekla.lang.link.assemble_child TARGET LEVEL EXPORTS      (names with commas between, or *)
"""

import sys

from hekla.lang.link.assemble import Making, assemble_here
from hekla.lang.link.errors import AssembleError
from hekla.lang.targets.known import target_named

if __name__ == "__main__":
    name, level, names = sys.argv[1:]
    exports = None if names == "*" else names.split(",")
    try:
        code = assemble_here(sys.stdin.read(), target_named(name), Making(int(level)), exports)
    except AssembleError as error:
        sys.exit(error.message)
    sys.stdout.buffer.write(code)
