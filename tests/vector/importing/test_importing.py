"""Files of every kind become the points they hold; what is no such file is refused, with its place."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hekla.base.errors import HeklaError, InputError, NotFoundError, UnavailableError, UnsupportedError
from hekla.vector import ALL, Collection, CollectionSchema, FieldSchema, SparseSchema, VectorSchema
from hekla.vector.importing import Names, import_source, open_source
from hekla.vector.importing import source as source_module
from hekla.vector.importing.source import needed

VECTORS = np.random.default_rng(3).normal(size=(10, 4)).astype(np.float32)


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    schema = CollectionSchema(
        {"": VectorSchema(4, "l2")},
        sparse={"words": SparseSchema()},
        fields={"text": FieldSchema("text")},
        sync="off",
    )
    with Collection.create(tmp_path / "points", schema, has_upkeep=False) as made:
        yield made


def imported(collection: Collection, path: Path, kind: str = "", **more: Any) -> list[Any]:
    """Import a file in chunks of three; return the points there are then, by id."""
    source = open_source(path, Names(), kind)
    steps = list(import_source(collection, source, chunk_points=3, **more))
    assert source.done == source.total
    assert steps[-1].points == 10
    assert len(steps) > 1
    return collection.scroll(limit=100, wanted=ALL)[0]


def vectors_of(records: list[Any]) -> Any:
    return np.stack([np.asarray(record.vectors[""]) for record in records])


def write_npz(path: Path, **more: Any) -> None:
    np.savez(path, vectors=VECTORS, **more)


def write_hdf5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["train"], file["test"] = VECTORS, VECTORS[:2]


def write_fvecs(path: Path) -> None:
    dimensions = np.full((10, 1), 4, "<i4").view("<f4")
    np.hstack([dimensions, VECTORS]).astype("<f4").tofile(path)


PLAIN: dict[str, Callable[[Path], object]] = {
    "a.npy": lambda path: np.save(path, VECTORS),
    "a.npz": write_npz,
    "a.fvecs": write_fvecs,
    "a.hdf5": write_hdf5,
}


@pytest.mark.parametrize("name", PLAIN)
def test_vectors_are_imported_and_numbered(collection: Collection, tmp_path: Path, name: str) -> None:
    PLAIN[name](tmp_path / name)
    records = imported(collection, tmp_path / name)
    assert [record.id for record in records] == list(range(10))
    assert np.array_equal(vectors_of(records), VECTORS)


@pytest.mark.parametrize("name", PLAIN)
def test_a_truncated_file_is_refused_and_what_came_before_stays(
    collection: Collection, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    PLAIN[name](path)
    whole = path.read_bytes()
    for size in {0, 1, 3, 90, len(whole) // 2 + 1, len(whole) - 1}:
        path.write_bytes(whole[:size])
        if not size and name == "a.fvecs":
            continue  # no vectors, and a whole file
        with pytest.raises(HeklaError, match=name):
            list(import_source(collection, open_source(path, Names()), chunk_points=3))


def test_a_second_file_is_counted_on(collection: Collection, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", VECTORS)
    imported(collection, tmp_path / "a.npy")
    records = imported(collection, tmp_path / "a.npy")
    assert [record.id for record in records] == list(range(20))
    assert len(imported(collection, tmp_path / "a.npy", first_id=0)) == 20


def test_npz_may_hold_ids(collection: Collection, tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz", ids=np.arange(10)[::-1] + 100)
    records = imported(collection, tmp_path / "a.npz")
    assert [record.id for record in records] == list(range(100, 110))
    assert np.array_equal(vectors_of(records), VECTORS[::-1])


def test_bvecs_and_ivecs_are_numbers(collection: Collection, tmp_path: Path) -> None:
    numbers = np.arange(40).reshape(10, 4)
    rows = [np.array([4], "<i4").tobytes() + row.astype("u1").tobytes() for row in numbers]
    (tmp_path / "a.bvecs").write_bytes(b"".join(rows))
    assert np.array_equal(vectors_of(imported(collection, tmp_path / "a.bvecs")), numbers)
    np.hstack([np.full((10, 1), 4), numbers]).astype("<i4").tofile(tmp_path / "a.ivecs")
    assert np.array_equal(vectors_of(imported(collection, tmp_path / "a.ivecs", first_id=0)), numbers)


@pytest.mark.parametrize("ending", ["parquet", "arrow", "arrows"])
def test_tables_have_ids_vectors_and_payloads(collection: Collection, tmp_path: Path, ending: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    ids = [str(uuid.UUID(int=i)) for i in range(10)]
    width = {"parquet": -1, "arrow": 4, "arrows": -1}[ending]
    table = pa.table(
        {
            "id": ids,
            "embedding": pa.array(VECTORS.tolist(), pa.list_(pa.float32(), width)),
            "colour": ["red", None] * 5,
            "tags": [["a", "b"]] * 10,
        }
    )
    path = tmp_path / f"a.{ending.removesuffix('s')}"
    if ending == "parquet":
        pyarrow.parquet.write_table(table, path, row_group_size=4)
    else:
        make = pa.ipc.new_file if ending == "arrow" else pa.ipc.new_stream
        with pa.OSFile(str(path), "wb") as file, make(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=4)
    source = open_source(path, Names())
    assert [step.points for step in import_source(collection, source, chunk_points=3)][-1] == 10
    records = collection.scroll(limit=100, wanted=ALL)[0]
    assert [str(record.id) for record in records] == ids
    assert np.array_equal(vectors_of(records), VECTORS)
    assert records[0].payload == {"colour": "red", "tags": ["a", "b"]}
    assert records[1].payload == {"tags": ["a", "b"]}


def test_json_lines_have_everything_a_point_has(collection: Collection, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    sparse = {"indices": [3, 1], "values": [0.5, 1]}
    lines = [json.dumps({"id": i, "vector": VECTORS[i].tolist(), "payload": {"n": i}}) for i in range(8)]
    lines += ["", json.dumps({"id": 8, "vector": {"": [1, 2, 3, 4], "words": sparse}, "n": 8, "m": [1]})]
    lines += [json.dumps({"vector": [0, 0, 0, 1]})]
    path.write_text("\n".join(lines))
    records = imported(collection, path)
    assert np.array_equal(vectors_of(records[:8]), VECTORS[:8])
    assert records[8].payload == {"n": 8, "m": [1]}
    assert records[8].vectors is not None
    assert records[8].vectors["words"].indices.tolist() == [1, 3]
    assert records[9].id == 9


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "a.jsonl:2: is no JSON"),
        ("[1]", "a.jsonl:2: is no JSON object"),
        ('{"id": -1}', "a.jsonl:2: id: an id is a number"),
        ('{"vector": 3}', "a.jsonl:2: vector: expected a list of numbers"),
        ('{"payload": {}, "x": 1}', "a.jsonl:2: has `payload` and 'x' beside it"),
        ('{"vector": {"w": {"indices": [1]}}}', "a sparse vector has `indices` and `values`"),
    ],
)
def test_a_line_that_is_no_point_is_named(collection: Collection, tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"id": 1, "vector": [1, 2, 3, 4]}}\n{line}\n')
    with pytest.raises(InputError, match=message):
        list(import_source(collection, open_source(tmp_path / "a.jsonl", Names())))


TEXT = "First line,\nand its second.\n\n\n  Another paragraph.  \n\nLast\n"


def embed(texts: Any) -> Any:
    return np.array([[len(text), 0, 0, 1] for text in texts], np.float32)


def test_paragraphs_and_lines_are_embedded(collection: Collection, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    list(import_source(collection, open_source(tmp_path / "a.txt", Names()), embed=embed))
    records = collection.scroll(wanted=ALL)[0]
    assert [record.payload for record in records] == [
        {"text": "First line, and its second.", "line": 1},
        {"text": "Another paragraph.", "line": 5},
        {"text": "Last", "line": 7},
    ]
    assert vectors_of(records)[:, 0].tolist() == [27, 18, 4]
    list(import_source(collection, open_source(tmp_path / "a.txt", Names(), "lines"), embed=embed))
    assert [record.payload["line"] for record in collection.scroll(after=3)[0] if record.payload] == [1, 2, 5, 7]


def test_texts_without_a_model_are_refused_with_the_cure(collection: Collection, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    with pytest.raises(UnavailableError, match="hekla up"):
        list(import_source(collection, open_source(tmp_path / "a.txt", Names())))
    assert len(collection) == 0


def test_texts_need_no_model_where_there_is_no_dense_vector(tmp_path: Path) -> None:
    schema = CollectionSchema({}, fields={"text": FieldSchema("text")}, sync="off")
    (tmp_path / "a.txt").write_text(TEXT)
    with Collection.create(tmp_path / "points", schema, has_upkeep=False) as texts:
        list(import_source(texts, open_source(tmp_path / "a.txt", Names())))
        assert len(texts) == 3


def test_text_that_is_not_utf8_is_named(collection: Collection, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"fine\n\xff\xfe\n")
    with pytest.raises(HeklaError, match=r"a\.txt:2: is not UTF-8"):
        list(import_source(collection, open_source(tmp_path / "a.txt", Names()), embed=embed))


def test_a_file_of_no_known_kind_is_refused_with_the_kinds(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(UnsupportedError, match="say which it is: npy, npz"):
        open_source(tmp_path / "a.csv", Names())
    with pytest.raises(NotFoundError, match="is no file"):
        open_source(tmp_path / "b.npy", Names())


def test_a_package_that_is_missing_is_named_with_the_cure() -> None:
    with pytest.raises(UnsupportedError, match=r"pip install 'hekla\[vector-import\]'"):
        needed("hekla_no_such_package", "pyarrow", "Parquet")
    assert source_module.needed("json", "json", "JSON") is json
