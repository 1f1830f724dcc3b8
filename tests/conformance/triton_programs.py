"""The example programs of Triton's client repository (src/python/examples), and what Hekla does with each.

The programs are not part of this repository; a checkout of theirs is run, unchanged, by

    HEKLA_TRITON_EXAMPLES=FOLDER pytest -m slow tests/conformance/test_triton_programs.py

What each of them asserts is also asserted by the tests named here, which always run.
"""

from dataclasses import dataclass, replace

_INFER = "test_tritonclient_infer.py"
_WAYS = "test_tritonclient_ways.py"
_CONTROL = "test_tritonclient_control.py"
_SEQUENCES = "test_tritonclient_sequences.py"
_SHARED = "test_tritonclient_shared_memory.py"


@dataclass(frozen=True, slots=True)
class Program:
    """One program; `refused` says why it cannot pass, and `prints` what it must print then.

    `models` is for a program that counts the models and leaves some of them unloaded: so many, on a server of its own.
    """

    name: str
    test: str  # where the same is asserted in this repository
    arguments: tuple[str, ...] = ()
    refused: str = ""
    prints: str = ""
    models: int = 0

    @property
    def is_http(self) -> bool:
        """True if it speaks to the HTTP door."""
        return "grpc" not in self.title

    @property
    def title(self) -> str:
        """Name and arguments."""
        return " ".join((self.name, *self.arguments))


def _both(kinds: tuple[str, ...], suffix: str, test: str, *arguments: str) -> list[Program]:
    return [Program(f"simple_{kind}_{suffix}.py", test, arguments) for kind in kinds]


_HTTP = ("http", "http_aio")
_GRPC = ("grpc", "grpc_aio")
_NO_CUDA = "no CUDA device memory"

PROGRAMS: tuple[Program, ...] = (
    *_both(_HTTP + _GRPC, "infer_client", _INFER),
    *_both(_HTTP, "infer_client", _INFER, "--request-compression-algorithm", "gzip"),
    *_both(_HTTP, "infer_client", _INFER, "--response-compression-algorithm", "deflate"),
    *_both(_GRPC, "infer_client", _INFER, "-C", "gzip"),
    *_both(("http", "grpc"), "async_infer_client", _WAYS),
    *_both(_HTTP + _GRPC, "string_infer_client", _INFER),
    *_both(_GRPC, "keepalive_client", _WAYS),
    *_both(_GRPC, "custom_args_client", _WAYS),
    Program("grpc_explicit_int_content_client.py", _WAYS),
    Program("grpc_explicit_int8_content_client.py", _WAYS),
    Program("grpc_explicit_byte_content_client.py", _WAYS),
    Program("reuse_infer_objects_client.py", _WAYS),
    Program("reuse_infer_objects_client.py", _WAYS, ("--protocol", "grpc")),
    *_both(_HTTP + _GRPC, "health_metadata", _CONTROL),
    *(replace(program, models=7) for program in _both(_HTTP, "model_control", _CONTROL)),
    *(replace(program, models=8) for program in _both(_GRPC, "model_control", _CONTROL)),
    *_both(_HTTP + _GRPC, "sequence_sync_infer_client", _SEQUENCES),
    *_both(_HTTP + _GRPC, "sequence_sync_infer_client", _SEQUENCES, "--dyna"),
    *_both(_GRPC, "sequence_stream_infer_client", _SEQUENCES),
    *_both(_GRPC, "sequence_stream_infer_client", _SEQUENCES, "--dyna"),
    *_both(_HTTP + _GRPC, "shm_client", _SHARED),
    *_both(_HTTP + _GRPC, "shm_string_client", _SHARED),
    *(
        Program(program.name, _SHARED, refused=_NO_CUDA, prints="cuda")
        for program in _both(_HTTP + _GRPC, "cudashm_client", _SHARED)
    ),
    Program(
        "simple_grpc_custom_repeat.py",
        _SEQUENCES,
        refused="a model that gives several responses to one request (decoupled) is not supported",
        prints="repeat_int32",
    ),
)
