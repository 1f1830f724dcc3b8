"""Any byte of any file changed or cut off: a typed error, or what is damaged named; never silent when verified."""

import random
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.vector.whole_collection import everything, id_of, point, write_whole, wrong_in

from hekla.base.errors import HeklaError
from hekla.vector import (
    ALL,
    Collection,
    DamagedError,
    Filter,
    Match,
    MatchText,
    Nearest,
    OrderBy,
    Point,
    Range,
    Search,
    SparseVector,
    Words,
)

Right = dict[Any, Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Right]:
    folder = tmp_path_factory.mktemp("whole") / "points"
    write_whole(folder)
    kinds = {path.name.split("-")[0] for path in folder.iterdir()}
    assert kinds == {"segment", "deleted", "log", "manifest.json", "lock"}
    with Collection.open(folder, is_read_only=True) as collection:
        right = everything(collection)
        assert collection.verify() == []
    assert len(right) == 57
    return folder, right


def search_all(collection: Collection) -> None:
    """Touch every section there is."""
    collection.search([1, 2, 3, 4], 5)
    collection.search([[1, 2], [3, 4]], using="late")
    collection.search([1] * 12, using="bits")
    words = SparseVector(np.array([1, 7], np.uint32), np.ones(2, np.float32))
    collection.query(Search(Nearest(words, "words")))
    collection.query(Search(Words("running cats", "text")))
    collection.query(Search(OrderBy("size")))
    collection.facet("colour")
    collection.facet("owner")
    collection.count(Filter((Match("colour", ("red",)), Range("price", gte=1))))
    collection.count(Filter((MatchText("text", "cat sat", "phrase"),), must_not=(Match("is_new", (True,)),)))
    collection.retrieve([id_of(key) for key in range(60)])


def check(folder: Path, *states: Right) -> str:
    """Open, use and verify a damaged collection, one of whose states these are. Return what came of it.

    AssertionError: silent damage.
    """
    try:
        collection = Collection.open(folder, is_read_only=True)
    except HeklaError as error:
        return f"refused: {error}"
    with collection:
        told = ""
        for use in (search_all, everything):
            try:
                use(collection)
            except HeklaError as error:
                told = f"told: {error}"
        damaged = collection.verify()
        if damaged:
            return f"named: {damaged[0]}"
        assert not told, told
        found = everything(collection)
        assert any(set(state) == set(found) and not wrong_in(found, state) for state in states)
        return "harmless"


def places(size: int, rng: random.Random, count: int) -> list[int]:
    """The first bytes of a file, some others, and the last."""
    return sorted({*range(0, min(size, 48), 5), *(rng.randrange(size) for _ in range(count)), size - 1})


def damage_and_check(whole: tuple[Path, Right], folder: Path, count: int, seed: int) -> dict[str, int]:
    source, right = whole
    before = log_states(source, folder)
    rng = random.Random(seed)
    counts: dict[str, int] = {}
    for path in sorted(source.iterdir()):
        if path.name == "lock":
            continue
        data = path.read_bytes()
        for at in places(len(data), rng, count):
            for changed in (
                data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :],
                data[:at] + rng.randbytes(8) + data[at + 8 :],
                data[:at],
            ):
                shutil.rmtree(folder, ignore_errors=True)
                shutil.copytree(source, folder)
                (folder / path.name).write_bytes(changed)
                # The log's last batches may have been torn by a crash: dropping them is no damage.
                states = before if path.name.startswith("log") else [right]
                try:
                    came = check(folder, *states)
                except Exception as error:
                    raise AssertionError(f"{path.name} at {at} of {len(data)}, seed {seed}") from error
                kind = came.split(":")[0]
                counts[kind] = counts.get(kind, 0) + 1
    return counts


def log_states(source: Path, folder: Path) -> list[Right]:
    """Return what a collection holds after each batch of its log."""
    states = []
    path = next(source.glob("log-*.hkl"))
    for size in (*batches_at(path), path.stat().st_size):
        shutil.copytree(source, folder)
        (folder / path.name).write_bytes(path.read_bytes()[:size])
        with Collection.open(folder, is_read_only=True) as collection:
            states.append(everything(collection))
        shutil.rmtree(folder)
    return states


def test_damage_anywhere_is_refused_or_named(whole: tuple[Path, Right], tmp_path: Path) -> None:
    counts = damage_and_check(whole, tmp_path / "points", 1, 1)
    assert counts["refused"]
    assert counts["named"]


@pytest.mark.slow
def test_damage_at_many_places_is_refused_or_named(whole: tuple[Path, Right], tmp_path: Path) -> None:
    damage_and_check(whole, tmp_path / "points", 60, 2)


def test_the_check_sees_silent_damage(whole: tuple[Path, Right], tmp_path: Path) -> None:
    """The oracle fails where it should: a payload changed together with its checksums is not what was written."""
    source, right = whole
    shutil.copytree(source, tmp_path / "points")
    path = min((tmp_path / "points").glob("segment-*.hks"))
    data = bytearray(path.read_bytes())
    at = data.index(b'"size":38')
    data[at : at + 9] = b'"size":39'
    rewrite_checksums(path, data)
    with pytest.raises(AssertionError):
        check(tmp_path / "points", right)


def rewrite_checksums(path: Path, data: bytearray) -> None:
    """Write a segment file whose checksums fit its bytes again."""
    import orjson

    _, _, _, _, at, size, _ = struct.unpack_from("<8sIIQQQI", data)
    document = orjson.loads(data[at : at + size])
    for place in document["sections"].values():
        place[4] = zlib.crc32(data[place[0] : place[0] + place[1]])
    table = orjson.dumps(document)
    data[at:] = table
    header = struct.pack("<8sIIQQQI20x", b"HKLSEG01", 1, 0, at + len(table), at, len(table), zlib.crc32(table))
    data[:64] = header
    data[12:16] = zlib.crc32(header).to_bytes(4, "little")
    path.write_bytes(data)


def test_a_damaged_segment_is_left_out_and_the_rest_served(whole: tuple[Path, Right], tmp_path: Path) -> None:
    source, right = whole
    shutil.copytree(source, tmp_path / "points")
    path = max((tmp_path / "points").glob("segment-*.hks"))
    path.write_bytes(path.read_bytes()[:5000])
    with Collection.open(tmp_path / "points", has_upkeep=False) as collection:
        assert path.name in collection.status().damaged[0]
        found = everything(collection)
        assert len(found) == 37  # the 20 of the second segment are missing
        assert not wrong_in(found, right)
        collection.upsert([point(70)])
        collection.optimise()
    with Collection.open(tmp_path / "points", has_upkeep=False) as collection:
        assert path.name in collection.status().damaged[0]
        assert path.exists(), "it may still be repaired by hand"


def test_a_segment_of_a_newer_version_is_named_with_the_cure(whole: tuple[Path, Right], tmp_path: Path) -> None:
    shutil.copytree(whole[0], tmp_path / "points")
    path = min((tmp_path / "points").glob("segment-*.hks"))
    data = bytearray(path.read_bytes())
    data[8] = 2
    path.write_bytes(data)
    with Collection.open(tmp_path / "points", is_read_only=True) as collection:
        assert "is of version 2, this build reads 1; open it with a newer build" in collection.status().damaged[0]
        assert len(collection) > 0


def test_a_segment_of_another_collection_is_not_taken_for_ours(whole: tuple[Path, Right], tmp_path: Path) -> None:
    shutil.copytree(whole[0], tmp_path / "points")
    one, other = sorted((tmp_path / "points").glob("segment-*.hks"))
    one.write_bytes(other.read_bytes())
    with Collection.open(tmp_path / "points", is_read_only=True) as collection:
        assert "is not the segment that the manifest names" in collection.status().damaged[0]


def test_damage_does_not_get_a_fresh_checksum_by_merging(whole: tuple[Path, Right], tmp_path: Path) -> None:
    shutil.copytree(whole[0], tmp_path / "points")
    path = min((tmp_path / "points").glob("segment-*.hks"))
    data = bytearray(path.read_bytes())
    data[data.index(b'"size":38') + 7] ^= 1
    path.write_bytes(data)
    with Collection.open(tmp_path / "points", has_upkeep=False) as collection:
        with pytest.raises(DamagedError, match=r"payload\.text"):
            collection.optimise()
        assert path.name in collection.status().damaged[0]
        collection.optimise(is_whole=False)  # upkeep goes on without it


def test_a_log_file_that_is_missing_is_named(whole: tuple[Path, Right], tmp_path: Path) -> None:
    shutil.copytree(whole[0], tmp_path / "points")
    next((tmp_path / "points").glob("log-*.hkl")).unlink()
    with Collection.open(tmp_path / "points", is_read_only=True) as collection:
        assert "the log is missing" in collection.status().damaged[0]


def batches_at(path: Path) -> list[int]:
    """Return where the records of a log begin."""
    data, at, found = path.read_bytes(), 32, []
    while any(data[at : at + 24]):  # behind the last: zeros
        found.append(at)
        at += 24 + -(-int.from_bytes(data[at + 4 : at + 8], "little") // 8) * 8
    return found


def test_damage_in_the_middle_of_the_log_loses_that_batch_and_is_named(
    whole: tuple[Path, Right], tmp_path: Path
) -> None:
    shutil.copytree(whole[0], tmp_path / "points")
    path = next((tmp_path / "points").glob("log-*.hkl"))
    at = batches_at(path)
    assert len(at) == 3
    data = bytearray(path.read_bytes())
    data[at[0] + 100] ^= 1
    path.write_bytes(data)
    with Collection.open(tmp_path / "points", is_read_only=True) as collection:
        assert "batches" in collection.status().damaged[0]
        assert collection.retrieve([60]) == []
        assert collection.retrieve([2]) == [], "the batch after it still counts"


def test_a_torn_tail_is_dropped_and_no_damage(whole: tuple[Path, Right], tmp_path: Path) -> None:
    shutil.copytree(whole[0], tmp_path / "points")
    path = next((tmp_path / "points").glob("log-*.hkl"))
    path.write_bytes(path.read_bytes()[: batches_at(path)[2] + 30])
    with Collection.open(tmp_path / "points", has_upkeep=False) as collection:
        assert collection.status().damaged == ()
        assert collection.retrieve([id_of(60)])[0].payload == point(60).payload
        collection.upsert([point(80)])
    with Collection.open(tmp_path / "points") as collection:
        assert len(collection.retrieve([id_of(80)])) == 1


def test_a_segment_that_is_put_back_shows_nothing_that_changed_while_it_was_away(
    whole: tuple[Path, Right], tmp_path: Path
) -> None:
    """The cure that the guide gives: open without it, write on, put the file back from a snapshot, open again."""
    folder = tmp_path / "points"
    shutil.copytree(whole[0], folder)
    path = min(folder.glob("segment-*.hks"))
    data = path.read_bytes()
    path.write_bytes(data[:5000])
    for key in (3, 4):  # one batch before anything was sealed without the segment, one after
        with Collection.open(folder, has_upkeep=False) as collection:
            assert path.name in collection.status().damaged[0]
            assert collection.retrieve([id_of(key)]) == []
            collection.upsert([Point(id_of(key), point(key).vectors, {"size": 1000 + key})])
            assert collection.delete([id_of(key + 5)]) == 0, "it is not known to be there"
    right = dict(whole[1])
    for key in (2, 8, 9):  # the first was deleted in the log that was there
        right.pop(id_of(key), None)
    path.write_bytes(data)
    for _ in range(2):  # the second time what is hidden was written down
        with Collection.open(folder, has_upkeep=False) as collection:
            assert collection.status().damaged == ()
            found = everything(collection)
            assert found.keys() == right.keys()
            assert len(collection) == len(right)
            for key in (3, 4):
                assert found[id_of(key)].payload == {"size": 1000 + key}
                assert collection.count(Filter((Range("size", gte=key, lte=key),))) == 0
            assert set(wrong_in(found, right)) <= {id_of(3), id_of(4)}
            points = collection.search([0, 0, 0, 0], 1000)
            assert len(points) == len({point.id for point in points})
            assert collection.verify() == []
            collection.snapshot(tmp_path / f"copy-{_}")
            collection.upsert([point(59)])
            collection.optimise(is_whole=False)
    assert not list(folder.glob("away-*"))
    for copy in (tmp_path / "copy-0", folder):
        with Collection.open(copy, has_upkeep=False) as collection:
            collection.optimise()
            assert everything(collection).keys() == right.keys()


def test_files_that_are_missing_are_named_and_the_rest_served(whole: tuple[Path, Right], tmp_path: Path) -> None:
    first, second = sorted(path.name for path in whole[0].glob("segment-*.hks"))
    deleted = next(whole[0].glob("deleted-*.hks")).name
    for names, left in (((first,), 21), ((second,), 37), ((deleted,), 21), ((first, second), 1)):
        folder = tmp_path / "-".join(names)
        shutil.copytree(whole[0], folder)
        for name in names:
            (folder / name).unlink()
        for is_read_only in (True, False):
            with Collection.open(folder, is_read_only=is_read_only, has_upkeep=False) as collection:
                told = collection.status().damaged
                assert [name for name in names if any(name in each for each in told)] == list(names)
                assert all("restore it from a snapshot" in each for each in told)
                found = everything(collection)
                assert not wrong_in(found, whole[1])
                assert len(found) == left, names


def test_a_page_of_zeros_in_a_segments_middle_is_named_and_other_segments_served(
    whole: tuple[Path, Right], tmp_path: Path
) -> None:
    """As a disk does that lost one write: every page of the file in turn."""
    source, right = whole
    path = min(source.glob("segment-*.hks"))
    data = path.read_bytes()
    others = {key for key in right if key in [id_of(k) for k in range(40, 62)]}
    for at in range(0, len(data), 4096):
        if not any(data[at : at + 4096]):
            continue
        folder = tmp_path / "points"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(source, folder)
        (folder / path.name).write_bytes(data[:at] + bytes(len(data[at : at + 4096])) + data[at + 4096 :])
        with Collection.open(folder, has_upkeep=False) as collection:
            told = [*collection.status().damaged, *collection.verify()]
            assert all(path.name in each for each in told)
            assert told
            served = {record.id: record for record in collection.retrieve(sorted(others, key=str), ALL)}
            assert set(served) == others
            assert not wrong_in(served, right)
