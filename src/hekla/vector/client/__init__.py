"""Collections of a running server, with the methods of embedded ones; and any collection for asyncio.

>>> from hekla.vector.client import Database
>>> with Database("http://127.0.0.1:8000") as database:
...     points = database.create("docs", CollectionSchema({"": VectorSchema(3)}))
...     points.upsert([Point(1, {"": [1, 0, 0]}, {"colour": "red"})])
...     points.search([1, 0, 0])
"""

from hekla.vector.client.asynchronous import AsyncCollection
from hekla.vector.client.database import Database
from hekla.vector.client.remote import RemoteCollection

__all__ = ["AsyncCollection", "Database", "RemoteCollection"]
