"""The local Hub as a process of its own that a test can fill, rehearse faults with, kill and start again."""

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.shifted_clock import shifted


class LocalHub:
    """One local Hub over a folder; its site is london, its space projects.

    `clock` is how far its wall clock is from the machine's; it counts from the next start on.
    """

    def __init__(self, folder: Path, *flags: str, clock: timedelta = timedelta()) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.state = folder / "state"
        self.projects = self.root / "london" / "projects"
        self.target = self.root / "nearline"
        self.url = ""
        self.clock = clock
        self._flags = flags
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.projects.mkdir(parents=True, exist_ok=True)

    @property
    def key(self) -> str:
        """The administrator's client key."""
        return (self.state / "admin.key").read_text().strip()

    @property
    def base(self) -> str:
        """The address without `/api`."""
        return self.url.removesuffix("/api")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, after the first time on the port that it had."""
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "orchestrator.localhub", "--root", str(self.root), "--state", str(self.state)]
        command += ["--port", str(self._port), "--ready-file", str(ready), *self._flags]
        with (self.folder / "hub.log").open("ab") as log:
            self._process = subprocess.Popen(
                shifted(self.clock, *command), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 30
        while not ready.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the local Hub did not start:\n{(self.folder / 'hub.log').read_text()[-3000:]}")
            time.sleep(0.02)
        self.url = json.loads(ready.read_text())["url"].rstrip("/")
        if not self.url.endswith("/api"):
            self.url += "/api"
        self._port = httpx.URL(self.url).port or 0

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """Call it as a person would; `path` begins with /api/ or /_local/."""
        headers = {"Authorization": f"Api-Key {self.key}"}
        answer = httpx.request(method, self.base + path, headers=headers, timeout=30, **arguments)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def faults(self, *rules: dict[str, Any]) -> None:
        """Put fault rules in force; none ends them."""
        self.call("PUT", "/_local/faults", json={"rules": list(rules)})

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs that it knows."""
        found = self.call("GET", "/api/jobs/", params={"page_size": 0})
        results: list[dict[str, Any]] = found["results"] if isinstance(found, dict) else found
        return results

    def paths_by_job(self) -> dict[int, list[str]]:
        """The paths of every job, from the statistics."""
        rows = self.call("GET", "/api/jobstats/", params={"page_size": 0})
        by_job: dict[int, list[str]] = {}
        for row in rows["results"] if isinstance(rows, dict) else rows:
            by_job.setdefault(int(row["job"]), []).append(row["path"])
        return by_job

    def fill(self, count: int, *, size: int = 100, folder: str = "a", suffix: str = "mov") -> list[Path]:
        """Make files whose content tells them apart, last opened a year ago."""
        made = []
        (self.projects / folder).mkdir(parents=True, exist_ok=True)
        old = time.time() - 365 * 86400
        for number in range(count):
            path = self.projects / folder / f"f{number:05d}.{suffix}"
            content = f"{folder}/{number}|".encode()
            path.write_bytes((content * (size // len(content) + 1))[:size])
            os.utime(path, (old, old))
            made.append(path)
        return made
