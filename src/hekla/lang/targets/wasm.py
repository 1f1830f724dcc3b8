"""WebAssembly with 128-bit vectors and bulk memory, both in version 2.0 of the specification."""

from hekla.lang.targets.spec import TargetSpec

TARGETS = (
    TargetSpec(
        "wasm32",
        "wasm32",
        "wasm32-unknown-unknown",
        "generic",
        features=("+simd128", "+bulk-memory", "+sign-ext", "+nontrapping-fptoint", "+mutable-globals"),
        pointer_bits=32,
        required=("simd128", "bulk-memory"),
    ),
)
