"""`hekla llm profile`, and what it is made of."""

import json
from html.parser import HTMLParser
from itertools import count
from pathlib import Path

import pytest
from tests.llm.tiny_engine import GREEDY, tiny_engine
from tests.llm.tiny_folder import write_tiny_folder
from typer.testing import CliRunner

from hekla.cli.main import app
from hekla.llm.cpu_frequency import CpuFrequency, read_cpu_frequency
from hekla.llm.profile import STAGES, Profile, TokenProfile, flame, profile, stage_rows
from hekla.llm.profile_page import profile_page
from hekla.runtime.limits import allowed_cpus


def test_every_moment_of_an_answer_is_of_some_stage() -> None:
    ticks = count()

    def clock() -> float:
        return next(ticks) / 1000

    found = profile(tiny_engine(clock=clock), [94, *range(40)], max_tokens=6, sampling=GREEDY, clock=clock)
    assert len(found.tokens) == 6
    assert (found.prompt_tokens, found.cached_tokens) == (41, 0)
    assert found.tokens[0].prefill_s > 0 == found.tokens[1].prefill_s
    assert all(token.decode_s > 0 and token.detokenise_s > 0 for token in found.tokens[1:])
    assert found.first_token_s == found.tokens[0].total_s
    assert found.decode_tokens_per_s > 0
    assert json.loads(json.dumps(found.document()))["tokens"][3]["decode_s"] == found.tokens[3].decode_s


def made(*tokens: TokenProfile) -> Profile:
    return Profile("tiny", "Q4_1", 8, 4, tokens, CpuFrequency(0, 0, ""))


FIRST = TokenProfile("<b>", 0.0, 0.3, 0.0, 0.1, 0.0, 0.0)
LATER = TokenProfile("x\n", 0.0, 0.0, 0.02, 0.01, 0.005, 0.005)


def test_bars_are_as_long_as_their_times() -> None:
    first, second = flame(made(FIRST, LATER), width=40)
    assert first.split()[3:] == ["p" * 30 + "s" * 10, "'<b>'"]
    assert second.split()[3:] == ["d" * 20 + "s" * 10 + "t" * 5 + "e" * 5, "'x\\n'"]
    assert "400.00 ms" in first
    rows = {row[0]: row[1:] for row in stage_rows(made(FIRST, LATER))}
    assert list(rows) == list(STAGES)
    assert rows["prefill"] == ("300.00 ms", "68.2%", "0 us", "0 us")
    assert rows["decode"][2] == "20.00 ms"


def test_the_page_is_whole_and_escapes_what_the_model_wrote() -> None:
    page = profile_page(made(FIRST, LATER))
    opened: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            opened.append(tag)
            assert not {name for name, _ in attrs} & {"src", "href"}, "something from outside"

    Reader().feed(page)
    assert opened.count("b") == 2 + 4
    assert "script" not in opened
    assert "&lt;b&gt;" in page


def test_frequencies_are_told_where_the_system_tells(tmp_path: Path) -> None:
    assert read_cpu_frequency(tmp_path).text() == "frequency unknown"
    for cpu in allowed_cpus():
        folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/cpufreq"
        folder.mkdir(parents=True)
        for name, text in (
            ("scaling_cur_freq", "1200000"),
            ("cpuinfo_max_freq", "3900000"),
            ("scaling_governor", "up"),
        ):
            (folder / name).write_text(f"{text}\n")
    found = read_cpu_frequency(tmp_path)
    assert found.text() == "1200 of 3900 MHz, governor up"
    assert "1200 of 3900" in found.warning
    assert "powersave" in CpuFrequency(3900, 3900, "powersave").warning
    assert CpuFrequency(3900, 3900, "performance").warning == ""


@pytest.mark.slow
def test_the_command_writes_a_table_a_page_and_json(tmp_path: Path) -> None:
    folder = write_tiny_folder(tmp_path / "tiny" / "1")
    options = ["--option", "runner=reference", "--option", "kv_type=f32", "--tokens", "5"]
    page = tmp_path / "page.html"
    shown = CliRunner().invoke(app, ["llm", "profile", str(folder), *options, "--html", str(page)])
    assert shown.exit_code == 0, shown.output
    assert "detokenise" in shown.output
    assert page.read_text().startswith("<!doctype html>")
    told = CliRunner().invoke(app, ["llm", "profile", str(folder), *options, "--json"])
    document = json.loads(told.stdout)
    assert (document["model"], len(document["tokens"])) == ("tiny", 5)
    wrong = CliRunner().invoke(app, ["llm", "profile", str(folder), "--option", "context_token=5"])
    assert wrong.exit_code == 1
    assert "did you mean 'context_tokens'" in wrong.output
