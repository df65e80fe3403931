"""A machine of one's own for a test: a state directory, the command line in it, services that can be killed and started
again, and the certainty that nothing outlives the test.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil

from orchestrator.services import Service, free_port
from orchestrator.settings import load_settings
from orchestrator.stack import temporal_service, worker_service
from tests.shifted_clock import shifted

_SETTINGS = ("ORCHESTRATOR_", "TEMPORAL_")

POLICY = """\
version: 1
name: {name}
site: london
select:
  from: {{space: projects}}
  paths: [/mmfs1/projects]
  rules:
    - {{name: away, match: {{status: migrated}}, keep: true}}
    - {{name: media, match: {{type: [mov]}}}}
run:
  workflow: {workflow}
  batch: {{files: {batch}}}
  concurrency: {concurrency}
retry:
  failed_files: {{attempts: 3, wait: [1s]}}
  permanent: [no_such_file]
"""


class Machine:
    """One state directory with everything in it; commands run as processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.policies = folder / "policies"
        self.projects = self.state / "files" / "london" / "projects"
        self.environment = {
            **{
                name: value for name, value in os.environ.items() if not name.startswith(("ORCHESTRATOR_", "TEMPORAL_"))
            },
            "ORCHESTRATOR_STATE_DIR": str(self.state),
            "ORCHESTRATOR_POLICIES_DIR": str(self.policies),
            "COLUMNS": "100",
        }
        self.said = ""
        self.clock = timedelta()
        """How far the wall clock of the commands that `run` runs is from the machine's."""
        self._started: list[subprocess.Popen[str]] = []
        self.policies.mkdir(parents=True)
        self.projects.mkdir(parents=True)

    def run(self, *arguments: str, timeout: float = 90, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            shifted(self.clock, sys.executable, "-P", "-m", "orchestrator", *arguments),
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=timeout,
        )

    def json(self, *arguments: str, **environment: str) -> Any:
        """Run one command with --json and give its last document, whatever its exit code."""
        ended = self.run(*arguments, "--json", **environment)
        assert ended.stdout, ended.stderr
        return json.loads(ended.stdout.splitlines()[-1])

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command that stays; it ends with the test."""
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "orchestrator", *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def up(self, *, api: bool = False, **environment: str) -> subprocess.Popen[str]:
        """Start `up`, and return when everything runs; `said` is what it printed until then."""
        process = self.start("up", *([] if api else ["--no-api"]), **environment)
        assert process.stdout is not None
        self.said = ""
        for line in process.stdout:
            self.said += line
            if line.startswith("Ready"):
                return process
        raise AssertionError(process.stderr.read() if process.stderr else "")

    def policy(
        self, name: str = "archive", *, workflow: str = "migrate", batch: int = 10, concurrency: int = 2
    ) -> Path:
        """Write a policy that takes every .mov of the space `projects`."""
        file = self.policies / f"{name}.yaml"
        file.write_text(POLICY.format(name=name, workflow=workflow, batch=batch, concurrency=concurrency))
        return file

    def fill(self, count: int, *, size: int = 20_000) -> list[Path]:
        """Make media files, last opened a year ago."""
        made = []
        old = time.time() - 365 * 86_400
        for number in range(count):
            path = self.projects / f"f{number:04d}.mov"
            path.write_bytes(os.urandom(size))
            os.utime(path, (old, old))
            made.append(path)
        return made

    def stack(self) -> dict[str, Any]:
        """What `stack.json` says."""
        found: dict[str, Any] = json.loads((self.state / "stack.json").read_text())
        return found

    def processes(self) -> list[psutil.Process]:
        """Every process of this machine's state directory but the one that asks."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("ORCHESTRATOR_STATE_DIR") == str(self.state)
                if process.pid != os.getpid() and ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def close(self) -> list[str]:
        """End what still runs, and give what should have ended by itself."""
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._started:
            try:
                process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        left = self.processes()
        for stray in left:
            stray.kill()
        return [repr(stray) for stray in left]


class Process:
    """A service that a test kills and starts again; it keeps its address and its state.

    `clock` is how far its wall clock is from the machine's; it counts from the next start on.
    """

    def __init__(self, service: Service, clock: timedelta = timedelta()) -> None:
        self.service = service
        self.clock = clock
        self._command = service.command
        self.start()

    @property
    def address(self) -> str:
        """Where it answers."""
        return self.service.address

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.service.command = shifted(self.clock, *self._command)
        self.service.start()
        self.service.wait_until_ready()

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self.service.kill()

    def restart(self, after: float = 0.0) -> None:
        """Kill it, and start it again after so many seconds."""
        self.kill()
        time.sleep(after)
        self.start()

    def stop(self) -> None:
        """End it in good order."""
        self.service.stop()


def temporal_process(folder: Path, clock: timedelta = timedelta()) -> Process:
    """An embedded Temporal server of its own."""
    settings, port = load_settings(state_dir=folder), free_port()
    service = temporal_service(settings, port, folder / "logs" / "temporal.log")
    return Process(service, clock)


def worker_process(
    folder: Path,
    *,
    temporal: str,
    hub: str,
    key: Path,
    queue: str = "tiering",
    environment: Mapping[str, str] = MappingProxyType({}),
    clock: timedelta = timedelta(),
) -> Process:
    """A worker for a Temporal and a Hub."""
    settings = load_settings(state_dir=folder, temporal_address=temporal, hub_url=hub, hub_key_file=key)
    service = worker_service(settings, folder / "logs" / "worker.log")
    service.environment = {**service.environment, "ORCHESTRATOR_TASK_QUEUE": queue, **environment}
    return Process(service, clock)


def eventually(holds: Callable[[], bool], within: float = 15.0) -> bool:
    """Whether something becomes true in time."""
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
