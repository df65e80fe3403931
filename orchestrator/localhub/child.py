"""A local Hub as a child process: started, waited for, killed, started again on the same state and port."""

import json
import signal
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path
from types import TracebackType
from typing import Any

_START_SECONDS = 20.0
_STOP_SECONDS = 15.0


class LocalHubFailed(RuntimeError):
    """The local Hub ended, or did not answer in time; the message holds the end of its log."""


class LocalHubProcess:
    """A context manager: `with LocalHubProcess(folder) as hub:` and then `hub.url`, `hub.key`.

    `folder` gets the pools in `storage`, the state in `state`, and `hub.log`; more arguments are those of the command
    line.
    """

    def __init__(self, folder: Path, *arguments: str, port: int = 0) -> None:
        self.folder = folder
        self.arguments = list(arguments)
        self.port = port
        self.facts: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "LocalHubProcess":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address that ends in `/api`."""
        return str(self.facts["url"])

    @property
    def local_url(self) -> str:
        """The address of what only a local Hub has: faults, counters, throttle."""
        return self.url.removesuffix("/api") + "/_local"

    @property
    def key(self) -> str:
        """The administrator's client key."""
        return Path(self.facts["key_file"]).read_text().strip()

    @property
    def password(self) -> str:
        """The password of the user `admin`."""
        return Path(self.facts["password_file"]).read_text().strip()

    @property
    def filesystem(self) -> Path:
        """The real directory that the mountpoint stands for."""
        return Path(self.facts["filesystem"])

    @property
    def target(self) -> Path:
        """The real directory with the copies."""
        return Path(self.facts["target"])

    @property
    def running(self) -> bool:
        """Say whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start and wait until it answers; a later start takes the port of the first."""
        self.folder.mkdir(parents=True, exist_ok=True)
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "orchestrator.localhub", "--port", str(self.port), *self.arguments]
        for name, path in (("root", self.folder / "storage"), ("state", self.folder / "state"), ("ready-file", ready)):
            command += [f"--{name}", str(path)]
        with (self.folder / "hub.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        until = time.monotonic() + _START_SECONDS
        while not ready.exists():
            if not self.running or time.monotonic() > until:
                self.kill()
                raise LocalHubFailed(self._last_words())
            time.sleep(0.02)
        self.facts = json.loads(ready.read_text())
        self.port = urllib.parse.urlsplit(self.url).port or 0

    def stop(self) -> int | None:
        """End it as SIGTERM does, and give its exit code."""
        if self._process is None:
            return None
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise LocalHubFailed(f"it did not end in {_STOP_SECONDS:g} s: {self._last_words()}") from None

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def wait_for_end(self, seconds: float = 20.0) -> int:
        """Wait until it ended by itself; give its exit code."""
        assert self._process is not None
        return self._process.wait(seconds)

    def _last_words(self) -> str:
        return (self.folder / "hub.log").read_text(errors="replace")[-2000:]
