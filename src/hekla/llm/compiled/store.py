"""Packed weights kept on disk between processes, and mapped.

One file for each model and layout, beside the compiled code. It is named by the model's place, then by what decides its
bytes: the model files' paths, sizes, times of change and heads, the layout's version, and the plan's table. Of one
place the two newest are kept. Weights are packed into the mapped file itself, so that they are in memory once. Two
processes may pack at once: each fills a temporary file of its own and renames it when the disk has it. Where the disk
takes none the weights stay in memory.

    offset  size  meaning
    0       8     "HEKLAPK1"
    8       8     bytes of the packed memory, little-endian
    16      32    SHA-256 of the name's ingredients
    4096    -     the packed memory
"""

import hashlib
import mmap
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hekla.kernels.llm.panels import KINDS
from hekla.llm.compiled.pack import pack
from hekla.llm.compiled.plan import LAYOUT_VERSION, PackPlan
from hekla.llm.compiled.scratch import zeros
from hekla.runtime import Advice, MappedFile
from hekla.runtime.limits import usable_cpus

U8 = NDArray[np.uint8]
MAGIC = b"HEKLAPK1"
START = 4096  # page aligned
KEPT = 2  # packed weights of one model: those of two precisions, or of two versions of this program
HEAD_BYTES = 1 << 16  # of each model file, hashed


def packed_weights(
    plan: PackPlan, files: Sequence[Path], store: "WeightStore", mapped: Sequence[MappedFile] = ()
) -> U8:
    """Return the packed memory of a plan: mapped where the store has it, else packed now and kept there.

    files: the model's; none: nothing is kept. mapped: the same as tensors see them, whose pages are given back as
    packing goes on. Errors: OSError where a file of the model is gone.
    """

    def write(memory: U8) -> None:
        pack(plan, memory, usable_cpus(), lambda: [file.advise(Advice.DONT_NEED) for file in mapped])

    name = digest(files, plan) if files else ""
    found = store.get(name, plan.bytes) if name else None
    if found is None and name and store.fill(name, plan.bytes, write):
        found = store.get(name, plan.bytes)
    if found is None:
        found = zeros(plan.bytes, np.uint8)
        write(found)
    return found


def digest(files: Sequence[Path], plan: PackPlan) -> str:
    """Return the name of a model's packed weights. Errors: OSError where a file is gone."""
    found = hashlib.sha256(f"{LAYOUT_VERSION} {KINDS}".encode())
    found.update(plan.table.tobytes() + plan.vector_table.tobytes())
    for vector in plan.vectors:
        found.update(f"{vector.tensor.name} {vector.added}".encode() + vector.order.tobytes())
    for matrix in plan.matrices:
        found.update(matrix.tensor.name.encode() + matrix.rows.tobytes())
    for file in files:
        state = os.stat(file)
        found.update(f"{file.resolve()} {state.st_size} {state.st_mtime_ns}".encode())
        with file.open("rb") as content:
            found.update(content.read(HEAD_BYTES))
    place = hashlib.sha256("\0".join(str(file.resolve()) for file in files).encode())
    return f"{place.hexdigest()[:16]}-{found.hexdigest()}"


@dataclass(frozen=True, slots=True)
class WeightStore:
    """A folder of packed weights; None: there is none, and every start packs anew."""

    folder: Path | None

    @staticmethod
    def standard() -> "WeightStore":
        """Return the user's: `weights` in HEKLA_CACHE, or in `hekla` of the XDG cache folder; HEKLA_CACHE="": none."""
        chosen = os.environ.get("HEKLA_CACHE")
        if chosen is not None:
            return WeightStore(Path(chosen) / "weights" if chosen else None)
        base = os.environ.get("XDG_CACHE_HOME")
        return WeightStore((Path(base) if base else Path.home() / ".cache") / "hekla" / "weights")

    def get(self, name: str, size: int) -> U8 | None:
        """Return the packed memory, mapped read-only, or None where it is missing or another's."""
        if self.folder is None:
            return None
        try:
            with (self.folder / f"{name}.weights").open("rb") as file:
                if os.fstat(file.fileno()).st_size != START + size:
                    return None
                mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        except (OSError, ValueError):
            return None
        if mapped[: len(MAGIC) + 8 + 32] != _header(name, size):
            mapped.close()
            return None
        return np.frombuffer(mapped, np.uint8, size, START)

    def fill(self, name: str, size: int, write: Callable[[U8], None]) -> bool:
        """Keep what `write` writes into zeroed memory; False where the disk did not take it. Errors: those of write."""
        if self.folder is None:
            return False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
        except OSError:
            return False
        try:
            with os.fdopen(descriptor, "r+b") as file:
                os.posix_fallocate(descriptor, 0, START + size)  # a full disk says so here, not by a signal later
                with mmap.mmap(descriptor, START + size) as mapped:
                    write(np.frombuffer(mapped, np.uint8, size, START))
                    mapped[: len(_header(name, size))] = _header(name, size)
                    mapped.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.folder / f"{name}.weights")
            self._forget(name.partition("-")[0])
        except OSError:
            return False
        finally:
            Path(temporary).unlink(missing_ok=True)
        return True

    def _forget(self, place: str) -> None:
        """Remove all but the newest packed weights of a model's place; who has them mapped keeps them."""
        assert self.folder is not None
        for path in sorted(self.folder.glob(f"{place}-*.weights"), key=_age)[:-KEPT]:
            path.unlink(missing_ok=True)


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0  # somebody else removed it


def _header(name: str, size: int) -> bytes:
    return MAGIC + size.to_bytes(8, "little") + bytes.fromhex(name.partition("-")[2])
