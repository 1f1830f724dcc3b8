"""Pages of a scroll while others write: every point that stays comes once, in order; none comes twice."""

import threading
from pathlib import Path

from hekla.vector import Collection, CollectionSchema, Filter, Point, Range, VectorSchema

SCHEMA = CollectionSchema({"": VectorSchema(2, "l2")}, seal_points=50, sync="off")
STAY = range(0, 600, 2)


def test_every_point_that_stays_comes_once(tmp_path: Path) -> None:
    with Collection.create(tmp_path / "points", SCHEMA) as collection:
        collection.upsert([Point(key, {"": [key, key]}, {"n": 1}) for key in STAY])
        is_over = threading.Event()

        def write() -> None:
            n = 0
            while not is_over.is_set():
                n += 1
                passing = (2 * n + 1) % 600
                collection.upsert([Point(passing, {"": [0, 0]}, {"n": 1}), Point(4 * n % 600, {"": [n, n]}, {"n": n})])
                collection.delete([passing])

        thread = threading.Thread(target=write)
        thread.start()
        try:
            for filter_ in (None, Filter((Range("n", gte=1),))) * 4:
                seen: list[int] = []
                after = None
                while True:
                    records, after = collection.scroll(after=after, limit=37, filter_=filter_)
                    seen += [int(str(record.id)) for record in records]
                    if after is None:
                        break
                assert seen == sorted(set(seen))
                assert set(STAY) <= set(seen)
        finally:
            is_over.set()
            thread.join()
