"""Models come and go under load, and no request is lost; what fails to load leaves what was there."""

import asyncio
import shutil
from pathlib import Path

import pytest
from tests.faults.fault_models import Gate
from tests.model_folders import write_identity_model
from tests.serve.hosts import GATED, TABLES, Asking, running_host, times, write_graph, write_times

from hekla.base.errors import ConfigError, HeklaError, NotFoundError, UnavailableError
from hekla.serve.model_host import ModelHost


def _index(host: ModelHost) -> dict[str, tuple[str, str]]:
    return {row["name"]: (row["state"], row["reason"]) for row in host.repository_index()}


def _write_gated(repository: Path, gate: Gate, toml: str = "") -> None:
    folder = write_times(repository, "gated", 1)
    (folder / "1" / "model.py").write_text(GATED)
    text = f'[engine]\nkind = "python"\nclass = "model.py:Model"\ngate = "{gate.path}"\n{toml}{TABLES}'
    (folder / "model.toml").write_text(text)


def test_a_model_reloaded_again_and_again_under_requests_loses_none(tmp_path: Path) -> None:
    folder = write_times(tmp_path, "m", 2, "[batching]\nmax_batch = 8\n")

    async def story() -> None:
        async with running_host(tmp_path) as host:
            answers: list[float] = []
            stop = asyncio.Event()

            async def client() -> None:
                while not stop.is_set():
                    answers.append(await Asking(host, "m").y())

            clients = [asyncio.ensure_future(client()) for _ in range(8)]
            for factor in range(3, 9):
                (folder / "1" / "model.py").write_text(times(factor))
                await host.load_model("m")
                assert await Asking(host, "m").y() == factor, "the new one answers as soon as it is loaded"
            stop.set()
            await asyncio.gather(*clients)
            assert set(answers) <= set(map(float, range(2, 9)))
            assert len(set(answers)) > 2

    asyncio.run(story())


def test_an_onnx_model_unloaded_under_requests_answers_all_it_took(tmp_path: Path) -> None:
    write_identity_model(tmp_path, "m", "FP32", ("n", 1), input_name="x")

    async def story() -> None:
        async with running_host(tmp_path) as host:
            for _ in range(5):
                asked = [Asking(host, "m") for _ in range(50)]
                await host.unload_model("m")
                refused = await Asking(host, "m").error()
                assert isinstance(refused, UnavailableError)
                for one in asked:
                    assert not isinstance(await one.answer(), HeklaError)
                await host.load_model("m")

    asyncio.run(story())


@pytest.mark.parametrize("code", ["class Model:\n    pass\n", "import nowhere_to_be_found\n", "raise ValueError\n"])
def test_a_load_that_fails_keeps_what_was_served_and_says_why(tmp_path: Path, code: str) -> None:
    folder = write_times(tmp_path, "m", 2)

    async def story() -> None:
        async with running_host(tmp_path) as host:
            (folder / "1" / "model.py").write_text(code)
            with pytest.raises(ConfigError):
                await host.load_model("m")
            assert await Asking(host, "m").y() == 2
            state, reason = _index(host)["m"]
            assert state == "READY"
            assert "m" in reason

    asyncio.run(story())


def test_one_model_that_cannot_be_loaded_does_not_stop_the_others(tmp_path: Path) -> None:
    write_times(tmp_path, "good", 2)
    bad = write_times(tmp_path, "bad", 2)
    (bad / "1" / "model.py").write_text("raise SystemExit(3)\n")
    write_times(tmp_path, "worse", 2, "[batching]\nmax_batch = 8\nmax_bach = 3\n")

    async def story() -> None:
        async with running_host(tmp_path) as host:
            assert await Asking(host, "good").y() == 2
            states = _index(host)
            assert (states["bad"][0], states["worse"][0]) == ("UNAVAILABLE", "UNAVAILABLE")
            assert "max_bach" in states["worse"][1]
            assert isinstance(await Asking(host, "worse").error(), UnavailableError)

    asyncio.run(story())


def test_two_loads_at_once_both_end_and_the_model_answers(tmp_path: Path) -> None:
    write_times(tmp_path, "m", 2)

    async def story() -> None:
        async with running_host(tmp_path) as host:
            await asyncio.gather(*(host.load_model("m") for _ in range(3)), host.unload_model("m"))
            await host.load_model("m")
            assert await Asking(host, "m").y() == 2

    asyncio.run(story())


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        ("", [10]),
        ('[versions]\npolicy = "latest"\ncount = 2\n', [2, 10]),
        ('[versions]\npolicy = "all"\n', [1, 2, 10]),
        ('[versions]\npolicy = "specific"\nspecific = [2, 1]\n', [1, 2]),
    ],
)
def test_the_versions_the_policy_picks_are_served_and_the_newest_answers(
    tmp_path: Path, policy: str, served: list[int]
) -> None:
    folder = write_times(tmp_path, "m", 1, policy)
    for version in (2, 10):
        (folder / str(version)).mkdir()
        (folder / str(version) / "model.py").write_text(times(version))

    async def story() -> None:
        async with running_host(tmp_path) as host:
            assert host.model_metadata("m")["versions"] == [str(version) for version in served]
            assert await Asking(host, "m").y() == served[-1]
            with pytest.raises(NotFoundError, match="has no version '7'"):
                host.model_metadata("m", "7")

    asyncio.run(story())


def test_changes_on_disk_are_picked_up_once(tmp_path: Path) -> None:
    folder = write_times(tmp_path, "m", 2)

    async def story() -> None:
        async with running_host(tmp_path) as host:
            reload = host.repository.reload_changed
            assert await reload() == []
            (folder / "1" / "model.py").write_text(times(33))
            write_times(tmp_path, "new", 5)
            assert await reload() == ["m", "new"]
            assert await reload() == []
            assert (await Asking(host, "m").y(), await Asking(host, "new").y()) == (33, 5)
            shutil.rmtree(folder)
            assert await reload() == ["m"]
            assert await reload() == []
            assert _index(host)["m"] == ("UNAVAILABLE", "its folder is gone")
            write_times(tmp_path, "m", 2)
            assert await reload() == ["m"]
            assert await Asking(host, "m").y() == 2

    asyncio.run(story())


def test_a_broken_change_is_tried_once_and_the_cure_is_picked_up(tmp_path: Path) -> None:
    folder = write_times(tmp_path, "m", 2)

    async def story() -> None:
        async with running_host(tmp_path) as host:
            (folder / "1" / "model.py").write_text("syntax error")
            assert await host.repository.reload_changed() == ["m"]
            assert await host.repository.reload_changed() == []
            assert await Asking(host, "m").y() == 2
            (folder / "1" / "model.py").write_text(times(4))
            assert await host.repository.reload_changed() == ["m"]
            assert await Asking(host, "m").y() == 4

    asyncio.run(story())


def test_what_was_unloaded_on_request_stays_so_until_its_files_change(tmp_path: Path) -> None:
    folder = write_times(tmp_path, "m", 2)

    async def story() -> None:
        async with running_host(tmp_path) as host:
            await host.unload_model("m")
            assert await host.repository.reload_changed() == []
            assert _index(host)["m"] == ("UNAVAILABLE", "unloaded")
            (folder / "1" / "model.py").write_text(times(44))
            assert await host.repository.reload_changed() == ["m"]

    asyncio.run(story())


def test_a_model_that_lies_in_two_repositories_is_refused_and_one_already_served_goes_on(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    write_times(one, "m", 2)
    write_times(one, "twice", 2)
    write_times(other, "twice", 3)

    async def story() -> None:
        async with running_host(one, other) as host:
            assert "is also in" in _index(host)["twice"][1]
            with pytest.raises(ConfigError, match="is also in"):
                await host.load_model("twice")
            write_times(other, "m", 3)
            assert await host.repository.reload_changed() == []
            with pytest.raises(ConfigError, match="is also in"):
                await host.load_model("m")
            assert await Asking(host, "m").y() == 2
            shutil.rmtree(other / "twice")
            assert await host.repository.reload_changed() == ["twice"]
            assert await Asking(host, "twice").y() == 2

    asyncio.run(story())


def test_an_odd_thing_in_the_repository_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "README").write_text("not a model")

    async def story() -> None:
        async with running_host(tmp_path) as host:
            for _ in range(3):
                await host.repository.reload_changed()

    asyncio.run(story())
    assert sum("README" in record.getMessage() for record in caplog.records) == 1


def test_a_call_that_hangs_does_not_keep_its_model_from_being_loaded_again(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    gate = Gate(tmp_path)
    _write_gated(repository, gate)

    async def story() -> None:
        async with running_host(repository) as host:
            hangs = Asking(host, "gated", 99)
            await asyncio.to_thread(gate.wait_until_engine_is_here)
            unloading = asyncio.ensure_future(host.unload_model("gated"))
            await asyncio.sleep(0)
            await host.load_model("gated")
            assert await Asking(host, "gated", 3).y() == 3
            assert not unloading.done()
            gate.open()
            assert await hangs.y() == 99
            await unloading
            assert _index(host)["gated"][0] == "READY"
            assert await Asking(host, "gated", 4).y() == 4

    asyncio.run(story())


def test_stopping_with_a_hung_engine_can_be_given_a_limit(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    gate = Gate(tmp_path)
    _write_gated(repository, gate)

    async def story() -> None:
        async with running_host(repository) as host:
            hangs = Asking(host, "gated", 99)
            await asyncio.to_thread(gate.wait_until_engine_is_here)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(host.stop(), 0.05)
            assert isinstance(await Asking(host, "gated").error(), UnavailableError)
            gate.open()
            assert await hangs.y() == 99

    asyncio.run(story())


def test_a_graph_is_ready_when_the_models_of_its_steps_are(tmp_path: Path) -> None:
    write_times(tmp_path, "two", 2)
    write_times(tmp_path, "three", 3)
    write_graph(tmp_path, "six", "two", "three")
    write_graph(tmp_path, "twelve", "six", "two")
    write_graph(tmp_path, "broken", "two", "nowhere")

    async def story() -> None:
        async with running_host(tmp_path) as host:
            assert (await Asking(host, "six").y(), await Asking(host, "twelve").y()) == (6, 12)
            assert host.is_model_ready("twelve")
            assert not host.is_model_ready("broken")
            assert isinstance(await Asking(host, "broken").error(), NotFoundError)
            await host.unload_model("three")
            assert not host.is_model_ready("six")
            assert not host.is_model_ready("twelve"), "through the graph inside"
            assert "three" in str(await Asking(host, "twelve").error())
            await host.unload_model("six", unload_dependents=True)
            assert [name for name, (state, _) in _index(host).items() if state == "READY"] == ["broken", "twelve"]

    asyncio.run(story())


def test_a_graph_that_runs_itself_through_another_is_refused(tmp_path: Path) -> None:
    write_graph(tmp_path, "a", "b")
    write_graph(tmp_path, "b", "a")

    async def story() -> None:
        async with running_host(tmp_path) as host:
            states = sorted(state for state, _ in _index(host).values())
            assert states == ["READY", "UNAVAILABLE"]
            assert any("the graph runs itself" in reason for _, reason in _index(host).values())

    asyncio.run(story())


def test_requests_of_a_graph_are_answered_when_the_host_stops(tmp_path: Path) -> None:
    write_times(tmp_path, "two", 2)
    write_graph(tmp_path, "eight", "two", "two", "two")

    async def story() -> None:
        async with running_host(tmp_path) as host:
            asked = [Asking(host, "eight") for _ in range(20)]
            await host.stop()
            assert [await one.y() for one in asked] == [8] * 20
            assert not host.is_ready()
            with pytest.raises(UnavailableError, match="stopping"):
                await host.load_model("two")

    asyncio.run(story())


def test_what_is_not_there_cannot_be_loaded_or_unloaded(tmp_path: Path) -> None:
    write_times(tmp_path, "mnist", 2)

    async def story() -> None:
        async with running_host(tmp_path) as host:
            with pytest.raises(NotFoundError, match="did you mean 'mnist'"):
                await host.load_model("minst")
            with pytest.raises(NotFoundError, match="did you mean 'mnist'"):
                await host.unload_model("minst")
            assert "minst" in str(await Asking(host, "minst").error())
            Asking(host, "minst").ticket.cancel()

    asyncio.run(story())


def test_engines_made_before_a_load_failed_are_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    close = f"        with open({str(closed)!r}, 'a') as note:\n            note.write('x')\n"
    code = f"{times(2)}    def close(self):\n{close}"
    # The engines load, and only then it turns out that the padding names no input of theirs.
    toml = '[instances]\ncount = 3\n[sequence]\ncontrols = [{ input = "START", kind = "start" }]\n'
    folder = write_times(tmp_path, "m", 2, toml)
    (folder / "1" / "model.py").write_text(code)

    async def story() -> None:
        async with running_host(tmp_path) as host:
            assert "'START' is no input" in _index(host)["m"][1]
            assert closed.read_text() == "xxx"

    asyncio.run(story())
