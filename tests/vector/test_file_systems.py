"""File systems of their own: one that is really full, one that is read-only, one that another's links do not reach.

A child process mounts a small tmpfs where nobody else sees it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FULL = """
import errno, os, shutil, subprocess, sys
from pathlib import Path
import numpy as np
from hekla.base.errors import ConflictError
from hekla.vector import Collection, CollectionSchema, DiskError, FieldSchema, Filter, Match, Point, VectorSchema

mount, elsewhere = Path(sys.argv[1]), Path(sys.argv[2])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(mount)], check=True)
schema = CollectionSchema({"": VectorSchema(16, "l2")}, fields={"n": FieldSchema("integer")}, seal_points=500)

def points(first, count):
    return [Point(i, {"": [i] * 16}, {"n": i % 7, "text": "x" * 100}) for i in range(first, first + count)]

def check(collection, count):
    assert len(collection) == count, (len(collection), count)
    records, after = collection.scroll(limit=100_000)
    assert after is None and [r.id for r in records] == list(range(count))
    assert [p.id for p in collection.search([3] * 16, 3)][0] == 3
    assert collection.count(Filter((Match("n", (2,)),))) == len([i for i in range(count) if i % 7 == 2])

# Full, with the thread that seals and merges at work: every batch is kept whole or refused.
collection = Collection.create(mount / "points", schema)
count, refused = 0, 0
while refused < 5:
    try:
        collection.upsert(points(count, 100))
        count += 100
    except DiskError as error:
        assert "make room on the disk" in str(error) or "reopen" in str(error), error
        refused += 1
assert count > 1000
check(collection, count)
for use in (collection.optimise, lambda: collection.snapshot(mount / "copy")):
    try:
        use()
    except DiskError as error:
        assert "room" in str(error) or "reopen" in str(error), error
    shutil.rmtree(mount / "copy", ignore_errors=True)
check(collection, count)

# Room again: it goes on, without being opened anew.
subprocess.run(["mount", "-o", "remount,size=64m", str(mount)], check=True)
collection.upsert(points(count, 100))
count += 100
collection.optimise()
check(collection, count)
collection.close()
with Collection.open(mount / "points") as collection:
    check(collection, count)
    assert collection.status().damaged == () and collection.verify() == []
    # Hard links do not reach another file system: said so; a copy of a snapshot made here does.
    try:
        collection.snapshot(elsewhere / "copy")
        raise AssertionError("linked")
    except DiskError as error:
        assert "another file system" in str(error) or "ross-device" in str(error), error
    collection.snapshot(mount / "copy")
    collection.delete(list(range(50)))
shutil.rmtree(elsewhere / "copy", ignore_errors=True)
shutil.copytree(mount / "copy", elsewhere / "copy")
with Collection.open(elsewhere / "copy") as copy:
    check(copy, count)
    assert copy.verify() == []
    copy.upsert(points(count, 10))
with Collection.open(elsewhere / "copy", is_read_only=True) as copy:
    check(copy, count + 10)

# Read-only: opened for reading, never for writing.
subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)
for path in ("points", "copy"):
    try:
        Collection.open(mount / path)
        raise AssertionError("opened for writing")
    except DiskError as error:
        assert "read-only" in str(error), error
    with Collection.open(mount / path, is_read_only=True) as reader:
        assert len(reader) == (count if path == "copy" else count - 50)
        assert len(reader.search([0] * 16, 10)) == 10
        assert reader.verify() == []
        try:
            reader.upsert(points(0, 1))
            raise AssertionError("written")
        except ConflictError as error:
            assert "reading only" in str(error)
try:
    Collection.create(mount / "new", schema)
    raise AssertionError("made")
except DiskError as error:
    assert "read-only" in str(error), error
print("all as it should be")
"""


def can_mount() -> bool:
    if shutil.which("unshare") is None or os.getuid() != 0:
        return False
    return subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.slow
def test_a_full_a_read_only_and_another_file_system(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("only root may mount a file system")
    (tmp_path / "mount").mkdir()
    (tmp_path / "elsewhere").mkdir()
    command = [sys.executable, "-c", FULL, str(tmp_path / "mount"), str(tmp_path / "elsewhere")]
    done = subprocess.run(["unshare", "-m", *command], capture_output=True, text=True, timeout=110, check=False)
    assert (done.returncode, done.stdout) == (0, "all as it should be\n"), done.stderr
