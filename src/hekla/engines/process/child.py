"""A worker process and the thread that watches it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence


class Child:
    """One worker: started, waited for, killed when asked.

    Its thread lives as long as the process: Linux kills a child with PR_SET_PDEATHSIG when the *thread* that started it
    ends, so the thread that loads a model may not be the one that starts its worker.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        descriptors: Sequence[int],
        environment: Mapping[str, str],
        on_exit: Callable[[], None],
    ) -> None:
        """Start `python ARGUMENTS` with these file descriptors. `on_exit` is called from another thread.

        Errors: OSError if the process cannot be started.
        """
        self._arguments = [sys.executable, *arguments]
        self._descriptors, self._environment, self._on_exit = tuple(descriptors), dict(environment), on_exit
        self._process: subprocess.Popen[bytes] | None = None
        self._failed: OSError | None = None
        self._started, self._exited = threading.Event(), threading.Event()
        threading.Thread(target=self._watch, name="hekla-worker-watch", daemon=True).start()
        self._started.wait()
        if self._failed is not None:
            raise self._failed

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid if self._process is not None else 0

    @property
    def has_exited(self) -> bool:
        """True once the process is gone and reaped."""
        return self._exited.is_set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the process is gone; False if it is not in that time."""
        return self._exited.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        if self._process is not None and not self.has_exited:
            self._process.kill()
            self._exited.wait()

    def how_it_ended(self) -> str:
        """Say how the process ended: by which signal or with which status."""
        if self._process is None or self._process.returncode is None:
            return "is running"
        code = self._process.returncode
        if code >= 0:
            return f"exited with status {code}"
        try:
            return f"was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"was killed by signal {-code}"

    def _watch(self) -> None:
        try:
            self._process = subprocess.Popen(  # what the worker prints goes to stderr: stdout is the command's own
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=2,
                pass_fds=self._descriptors,
                env={**os.environ, **self._environment},
            )
        except OSError as error:
            self._failed = error
            self._started.set()
            return
        self._started.set()
        self._process.wait()
        self._exited.set()
        self._on_exit()
