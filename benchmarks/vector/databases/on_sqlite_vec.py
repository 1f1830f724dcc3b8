"""sqlite-vec: exact search inside of SQLite, which syncs every transaction (journal mode delete, synchronous full)."""

import threading
from collections.abc import Sequence
from pathlib import Path

import apsw  # many a Python is built without sqlite3's loading of extensions
import sqlite_vec
from database import Array


class Database:
    knobs = (1,)  # exact: there is none
    settings = "exact, compares with every vector; every transaction synced"

    def _connect(self, folder: Path) -> None:
        self.rows = apsw.Connection(str(folder / "points.db"))
        self.is_writing = threading.Lock()  # a connection is one thread's at a time
        self.rows.enable_load_extension(True)
        self.rows.load_extension(sqlite_vec.loadable_path())

    def create(self, folder: Path, dimension: int) -> None:
        folder.mkdir(parents=True)
        self._connect(folder)
        columns = f"id integer primary key, n integer, v float[{dimension}], +text text"
        self.rows.execute(f"create virtual table points using vec0({columns})")

    def upsert(self, first_id: int, vectors: Array, numbers: Array, texts: Sequence[str]) -> None:
        ids = range(first_id, first_id + len(vectors))
        blobs = (vector.tobytes() for vector in vectors)
        with self.is_writing, self.rows:
            for row in zip(ids, numbers.tolist(), blobs, texts, strict=True):  # it knows no upsert
                self.rows.execute("delete from points where id = ?", row[:1])
                self.rows.execute("insert into points(id, n, v, text) values (?, ?, ?, ?)", row)

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
