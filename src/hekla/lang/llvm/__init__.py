"""The back end: our IR -> LLVM text -> object code -> memory, and the entry CPython calls."""
