"""The collections of a running server."""

from types import TracebackType

from hekla.vector.client.connection import Connection
from hekla.vector.client.remote import RemoteCollection, refuse_server_side
from hekla.vector.doors.schema_json import create_json
from hekla.vector.schema import CollectionSchema


class Database:
    """A server's collections. Any thread. Close it, or use it in a `with`."""

    def __init__(self, url: str, *, api_key: str = "", timeout_s: float = 60.0) -> None:
        """Asks nothing yet. Errors: ConfigError for what is no http or https URL."""
        self._connection = Connection(url, api_key, timeout_s)

    def __enter__(self) -> "Database":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def names(self) -> list[str]:
        """Return the names of the collections the key reaches."""
        found = self._connection.ask("GET", ("collections",)).result["collections"]
        return [each["name"] for each in found]

    def create(self, name: str, schema: CollectionSchema) -> RemoteCollection:
        """Make a collection and return it. Errors: ConflictError if there is one; InputError for the schema."""
        refuse_server_side(schema)
        self._connection.ask("PUT", ("collections", name), create_json(schema))
        made = RemoteCollection(self._connection, name)
        for path, field in schema.fields.items():
            made.create_field(path, field)
        return made

    def open(self, name: str) -> RemoteCollection:
        """Return a collection. Errors: NotFoundError."""
        self._connection.ask("GET", ("collections", name))
        return RemoteCollection(self._connection, name)

    def delete(self, name: str) -> bool:
        """Remove a collection; False if there was none."""
        return bool(self._connection.ask("DELETE", ("collections", name)).result)

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()
