"""Write what gguf-py makes of random blocks of every quantisation: `tests/llm/files/vectors/blocks.npz`.

    python -m venv ORACLE
    ORACLE/bin/pip install gguf
    ORACLE/bin/python tools/make_block_vectors.py tests/llm/files/vectors/blocks.npz

For each kind: `KIND_bytes` (16, bytes of a block) u8, `KIND_values` (16, values of a block) f32 that they mean; for
those kinds that gguf-py writes, `KIND_quantised` (16, bytes of a block) u8 of the rows in `rows`.
"""

import sys

import gguf  # type: ignore[import-not-found]  # of the environment this runs in
import numpy as np

KINDS = ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K")


def main() -> None:
    """Ask gguf-py."""
    random = np.random.default_rng(4)
    rows = (random.standard_normal((16, 256)) * 0.05).astype(np.float32)
    rows[3], rows[4], rows[5, :32] = 0.0, 1.5, np.linspace(-1, 1, 32)
    found: dict[str, np.ndarray] = {"rows": rows}
    for name in KINDS:
        kind = gguf.GGMLQuantizationType[name]
        _, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = random.integers(0, 256, (16, size), dtype=np.uint8)
        with np.errstate(all="ignore"):
            values = gguf.quants.dequantize(blocks.reshape(1, -1), kind).reshape(16, -1).astype(np.float32)
        found[f"{name}_bytes"], found[f"{name}_values"] = blocks, values
        try:
            found[f"{name}_quantised"] = gguf.quants.quantize(rows, kind).view(np.uint8).reshape(-1)
        except NotImplementedError:
            continue
    np.savez_compressed(sys.argv[1], allow_pickle=False, **found)


if __name__ == "__main__":
    main()
