"""A person chats on the page: a real browser, a running server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.console.browser import CHROMIUM, Page, open_page
from tests.running_server import RunningServer, running_server
from tests.serve.text.sse_client import wait_for
from tests.text_models import write_text_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian's package chromium)"),
]

LAST = "[...document.querySelectorAll('.said.assistant')].at(-1)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = tmp_path_factory.mktemp("models")
    write_text_model(repository, "words")
    write_text_model(repository, "slow", engine="pace_ms = 50")
    with running_server(repository) as running:
        yield running


@pytest.fixture
def page(server: RunningServer, tmp_path: Path) -> Iterator[Page]:
    with open_page(tmp_path) as opened:
        opened.open(f"{server.http_url}/")
        opened.wait_until("!document.getElementById('chat-card').hidden")
        yield opened
        assert opened.complaints == []


def choose(page: Page, model: str) -> None:
    page.script(f"document.getElementById('chat-model').value = '{model}'")


def test_an_answer_is_streamed_and_the_board_counts_it(page: Page) -> None:
    choose(page, "words")
    page.type("#chat-text", "hello <b>there</b>")
    page.press_enter()
    page.wait_until(f"{LAST} && !{LAST}.classList.contains('writing')")
    assert page.script(f"{LAST}.textContent").endswith(".")
    assert page.script("document.querySelector('.said.user').textContent") == "hello <b>there</b>"
    assert "tokens" in page.script("document.getElementById('chat-speed').textContent")
    page.type("#chat-text", "and again")
    page.click("#chat-send")
    page.wait_until("document.querySelectorAll('.said.assistant:not(.writing)').length === 2")
    page.wait_until("[...document.querySelectorAll('#sla-rows .grade')].some((g) => g.classList.contains('gold'))")


def test_an_answer_is_seen_growing_and_can_be_stopped(page: Page, server: RunningServer) -> None:
    choose(page, "slow")
    page.type("#chat-text", "hello")
    page.press_enter()
    page.wait_until(f"{LAST}?.textContent.length > 2")
    assert page.script(f"{LAST}.classList.contains('writing')")
    page.click("#chat-stop")
    page.wait_until(f"!{LAST}.classList.contains('writing')")
    page.wait_until("document.getElementById('chat-stop').hidden")
    page.wait_until("document.getElementById('chat-send').offsetWidth > 0")
    wait_for(server, "slow", running=0, waiting=0)
    assert server.metric("hekla_requests_cancelled_total", model="slow") >= 1


def test_a_new_chat_forgets_and_an_error_is_shown(page: Page) -> None:
    choose(page, "words")
    page.type("#chat-text", "x" * 3000)
    page.press_enter()
    page.wait_until("document.querySelector('.said.error')?.textContent.includes('2048 tokens')")
    page.click("#chat-reset")
    page.wait_until("document.getElementById('chat-log').children.length === 0")
    page.type("#chat-text", "hello")
    page.press_enter()
    page.wait_until(f"{LAST} && !{LAST}.classList.contains('writing') && {LAST}.textContent.length > 2")


@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_fits_its_window(page: Page, width: int) -> None:
    page.resize(width, 900)
    page.wait_until("document.querySelectorAll('#sla-rows tr').length > 0")
    assert page.script("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
