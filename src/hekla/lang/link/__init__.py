"""From LLVM text to a product: assemble, resolve, lay out, relocate, write. `build.build` is the whole of it."""
