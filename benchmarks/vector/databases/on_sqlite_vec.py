"""sqlite-vec: exact search inside of SQLite, which syncs every transaction (journal mode delete, synchronous full)."""

from pathlib import Path

import apsw  # many a Python is built without sqlite3's loading of extensions
import sqlite_vec
from database import Array


class Database:
    knobs = (1,)  # exact: there is none

    def _connect(self, folder: Path) -> None:
        self.rows = apsw.Connection(str(folder / "points.db"))
        self.rows.enable_load_extension(True)
        self.rows.load_extension(sqlite_vec.loadable_path())

    def create(self, folder: Path, dimension: int) -> None:
        folder.mkdir(parents=True)
        self._connect(folder)
        self.rows.execute(
            f"create virtual table points using vec0(id integer primary key, n integer, v float[{dimension}])"
        )

    def upsert(self, first_id: int, vectors: Array, numbers: Array) -> None:
        ids = range(first_id, first_id + len(vectors))
        rows = zip(ids, numbers.tolist(), (vector.tobytes() for vector in vectors), strict=True)
        with self.rows:
            if first_id == 0:
                self.rows.executemany("insert into points(id, n, v) values (?, ?, ?)", rows)
                return
            for row in rows:  # it knows no upsert
                self.rows.execute("delete from points where id = ?", row[:1])
                self.rows.execute("insert into points(id, n, v) values (?, ?, ?)", row)

    def build(self) -> None:
        pass

    def open(self, folder: Path) -> None:
        self._connect(folder)

    def search(self, query: Array, k: int, knob: int, below: int | None = None) -> list[int]:
        where, more = ("", ()) if below is None else (" and n < ?", (below,))
        text = f"select id from points where v match ? and k = ?{where}"
        return [row[0] for row in self.rows.execute(text, (query.tobytes(), k, *more))]

    def close(self) -> None:
        self.rows.close()
