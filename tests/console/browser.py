"""A real browser for tests: headless Chromium over its own pipe (the DevTools protocol, one JSON document per NUL)."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = (
    *("--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-extensions", "--disable-background-networking", "--window-size=1200,1400"),
)
_TIMEOUT_S = 30.0


class Page:
    """A tab. Every script error and every refusal of the content policy is kept in `complaints`."""

    # Any: JSON of the protocol.
    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._number = 0
        self._waiting: dict[int, Future[Any]] = {}
        self._session = ""
        self.complaints: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._ask(f"{domain}.enable")

    def open(self, url: str) -> None:
        """Go to an address."""
        self._ask("Page.navigate", url=url)

    def script(self, code: str) -> Any:
        """Return what an expression gives; a promise is waited for."""
        found = self._ask("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_until(self, condition: str) -> None:
        """Wait until an expression is true: looked at whenever the page changes, and with every frame."""
        self.script(
            "new Promise((done) => { const look = () => { let ok = false; try { ok = "
            f"{condition}"
            "; } catch {} ok ? done(true) : setTimeout(look, 20); }; look(); })"
        )

    def type(self, selector: str, text: str) -> None:
        """Click an element and type into it."""
        self.click(selector)
        self._ask("Input.insertText", text=text)

    def press_enter(self) -> None:
        """Press the key."""
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        self._ask("Input.dispatchKeyEvent", type="keyDown", **key)
        self._ask("Input.dispatchKeyEvent", type="keyUp", **key)

    def click(self, selector: str) -> None:
        """Click the middle of an element, as a mouse does."""
        place = self.script(
            f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center'}});"
            " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            where = {"x": place[0], "y": place[1], "button": "left", "clickCount": 1}
            self._ask("Input.dispatchMouseEvent", type=kind, **where)

    def resize(self, width: int, height: int) -> None:
        """Make the window another size, as on a telephone."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self._ask("Emulation.setDeviceMetricsOverride", **size)

    def picture(self, path: Path) -> None:
        """Save what is seen."""
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", captureBeyondViewport=True)["data"]))

    def _ask(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        document = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            document["sessionId"] = self._session
        answer: Future[Any] = Future()
        self._waiting[self._number] = answer
        os.write(self._commands, json.dumps(document).encode() + b"\0")
        return answer.result(_TIMEOUT_S)

    def _read(self) -> None:
        held = b""
        while data := os.read(self._answers, 1 << 16):
            *whole, held = (held + data).split(b"\0")
            for text in whole:
                self._hear(json.loads(text))

    def _hear(self, document: dict[str, Any]) -> None:
        if "id" in document:
            waiting = self._waiting.pop(document["id"])
            if "error" in document:
                waiting.set_exception(AssertionError(document["error"]))
            else:
                waiting.set_result(document["result"])
        elif document["method"] == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(document["params"]["exceptionDetails"])[:500])
        elif document["method"] == "Log.entryAdded" and document["params"]["entry"]["level"] == "error":
            entry = document["params"]["entry"]
            if entry["source"] != "network":  # a refusal of the server, which the page shows
                self.complaints.append(entry["text"])


@contextlib.contextmanager
def open_page(folder: Path) -> Iterator[Page]:
    """Start a browser whose profile lies in a folder; end it at the end."""
    assert CHROMIUM is not None
    commands_out, commands_in = os.pipe()
    answers_out, answers_in = os.pipe()
    line = f'exec "$@" 3<&{commands_out} 4>&{answers_in}'
    command = ["bash", "-c", line, "bash", CHROMIUM, *_FLAGS, f"--user-data-dir={folder}", "about:blank"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, pass_fds=(commands_out, answers_in), stdout=log, stderr=log)
    os.close(commands_out)
    os.close(answers_in)
    try:
        yield Page(commands_in, answers_out)
    finally:
        process.terminate()
        process.wait()
        os.close(commands_in)
        os.close(answers_out)
