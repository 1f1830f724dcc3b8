"""Damaged files of every kind are imported as far as they are whole, or refused with a typed error."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hekla.base.errors import HeklaError
from hekla.vector import Collection, CollectionSchema, SparseSchema, VectorSchema
from hekla.vector.importing import Names, import_source, open_source

VECTORS = np.random.default_rng(3).normal(size=(40, 4)).astype(np.float32)


def write_npy(path: Path) -> None:
    np.save(path, VECTORS)


def write_npz(path: Path) -> None:
    np.savez(path, vectors=VECTORS, ids=np.arange(40))


def write_fvecs(path: Path) -> None:
    np.hstack([np.full((40, 1), 4, "<i4").view("<f4"), VECTORS]).astype("<f4").tofile(path)


def write_bvecs(path: Path) -> None:
    rows = np.hstack([np.full((40, 1), 4, "<i4").view("u1").reshape(40, 4), np.ones((40, 4), "u1")])
    rows.tofile(path)


def write_hdf5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["train"] = VECTORS


def write_parquet(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(table(pa), path)


def write_arrow(path: Path) -> None:
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table(pa).schema) as writer:
        writer.write_table(table(pa))


def table(pa: Any) -> Any:  # pyarrow ships no types
    vectors = pa.array(VECTORS.tolist(), pa.list_(pa.float32()))
    names = [f"name {i}" for i in range(40)]
    return pa.table({"id": list(range(40)), "vector": vectors, "name": names})


def write_jsonl(path: Path) -> None:
    lines = (json.dumps({"id": i, "vector": row.tolist(), "payload": {"n": i}}) for i, row in enumerate(VECTORS))
    path.write_text("\n".join(lines))


KINDS: dict[str, Callable[[Path], object]] = {
    "a.npy": write_npy,
    "a.npz": write_npz,
    "a.fvecs": write_fvecs,
    "a.bvecs": write_bvecs,
    "a.hdf5": write_hdf5,
    "a.parquet": write_parquet,
    "a.arrow": write_arrow,
    "a.jsonl": write_jsonl,
}


def changed(data: bytes, rng: random.Random) -> bytes:
    """Bits flipped, bytes put over others, a part cut out, doubled or cut off."""
    at = rng.randrange(len(data)) if rng.random() < 0.6 else rng.randrange(min(len(data), 200))
    kind = rng.randrange(6)
    if kind == 0:
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + rng.choice([bytes(8), b"\xff" * 8, rng.randbytes(8), b"\xff\xff\xff\x7f"]) + data[at + 8 :]
    if kind == 2:
        return data[:at]
    if kind == 3:
        return data[:at] + data[at + rng.randrange(1, 50) :]
    if kind == 4:
        return data[:at] + data[max(0, at - rng.randrange(1, 60)) :]
    end = len(data) - rng.randrange(1, min(len(data), 120))
    return data[:end] + rng.randbytes(4) + data[end + 4 :]


def import_damaged(tmp_path: Path, name: str, trials: int, seed: int) -> dict[str, int]:
    rng = random.Random(seed)
    KINDS[name](tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    counts = {"taken": 0, "refused": 0}
    schema = CollectionSchema({"": VectorSchema(4, "l2")}, {"words": SparseSchema()}, sync="off")
    with Collection.create(tmp_path / "points", schema, has_upkeep=False) as collection:
        for trial in range(trials):
            data = changed(whole, rng)
            path = tmp_path / f"{trial}-{name}"  # a name of its own: files are mapped
            path.write_bytes(data)
            try:
                for _ in import_source(collection, open_source(path, Names()), chunk_points=16):
                    pass
            except HeklaError:
                counts["refused"] += 1
            except Exception as error:
                raise AssertionError(f"{name}, seed {seed}, trial {trial}: {type(error).__name__}: {error}") from error
            else:
                counts["taken"] += 1
            found = collection.search([0, 0, 0, 0], 1000)  # less those so far away that f32 cannot tell
            assert all(np.isfinite(point.score) for point in found)
            records, after = collection.scroll(limit=1000)
            assert after is None
            assert len(records) == len(collection)
            collection.delete([record.id for record in records])
    return counts


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_imported_or_refused(tmp_path: Path, name: str) -> None:
    counts = import_damaged(tmp_path, name, 12, 1)
    assert counts["refused"], "the damage was seen at least once"


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_files_damaged_in_many_ways_are_imported_or_refused(tmp_path: Path, name: str) -> None:
    import_damaged(tmp_path, name, 400, 2)
