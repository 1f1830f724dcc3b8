"""Which HTTP status, gRPC code and OpenAI error type each error gets: one table, so that all doors agree.

The pairs are those of google.rpc.Code's HTTP mapping, with two refinements HTTP has words for and google.rpc does
not: 413 (a limit on size) and 499 (the client went away).
"""

from dataclasses import dataclass

from hekla.base.errors import (
    CancelledError,
    ConfigError,
    ConflictError,
    DeadlineError,
    DeniedError,
    EngineError,
    HeklaError,
    InputError,
    ModelFileError,
    NotFoundError,
    OverloadedError,
    TooLargeError,
    UnavailableError,
    UnknownCallerError,
    UnsupportedError,
)


@dataclass(frozen=True, slots=True)
class Status:
    """How one kind of error is told to clients."""

    http: int
    grpc: str  # name of the gRPC status code
    grpc_code: int
    openai: str  # `error.type` in OpenAI's error document


_TABLE: dict[type[HeklaError], Status] = {
    HeklaError: Status(500, "INTERNAL", 13, "server_error"),
    InputError: Status(400, "INVALID_ARGUMENT", 3, "invalid_request_error"),
    TooLargeError: Status(413, "RESOURCE_EXHAUSTED", 8, "invalid_request_error"),
    NotFoundError: Status(404, "NOT_FOUND", 5, "not_found_error"),
    DeniedError: Status(403, "PERMISSION_DENIED", 7, "permission_error"),
    UnknownCallerError: Status(401, "UNAUTHENTICATED", 16, "authentication_error"),
    ConflictError: Status(409, "ALREADY_EXISTS", 6, "conflict_error"),
    # A model the operator broke: 500 to tell it from what the caller can cure, and not to be retried as it is.
    ConfigError: Status(500, "FAILED_PRECONDITION", 9, "server_error"),
    ModelFileError: Status(500, "FAILED_PRECONDITION", 9, "server_error"),
    UnavailableError: Status(503, "UNAVAILABLE", 14, "server_error"),
    OverloadedError: Status(429, "RESOURCE_EXHAUSTED", 8, "rate_limit_error"),
    DeadlineError: Status(504, "DEADLINE_EXCEEDED", 4, "timeout_error"),
    CancelledError: Status(499, "CANCELLED", 1, "cancelled_error"),
    UnsupportedError: Status(501, "UNIMPLEMENTED", 12, "invalid_request_error"),
    EngineError: Status(500, "INTERNAL", 13, "server_error"),
}


def status_of(error: HeklaError) -> Status:
    """Return how an error is told, by the nearest class above it in the table."""
    for kind in type(error).__mro__:
        status = _TABLE.get(kind)
        if status is not None:
            return status
    raise AssertionError("HeklaError itself is in the table")
