"""Triton's trace and logging settings, as its clients read them. Here they are decided when the server is started."""

from hekla.base.errors import UnsupportedError

TRACE = {"trace_level": "OFF", "trace_rate": "0", "trace_count": "-1", "log_frequency": "0"}
LOGGING: dict[str, bool | int | str] = {
    "log_file": "",
    "log_info": True,
    "log_warning": True,
    "log_error": True,
    "log_verbose_level": 0,
    "log_format": "default",
}


def refuse_change(what: str) -> UnsupportedError:
    """Return the answer to a client that would change the `what` settings."""
    return UnsupportedError(f"changing {what} settings over the wire", cure="see hekla serve --help")


def refuse_device_memory() -> UnsupportedError:
    """Return the answer to a client that would share the memory of a CUDA device."""
    return UnsupportedError("CUDA shared memory", cure="register system shared memory")
