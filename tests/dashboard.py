"""A whole installation to look at in a browser: real Temporal, local Hub, worker and web server, with life in it."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, Playwright

from orchestrator.services import accepts, free_port
from tests.machine import Machine, eventually

PATIENCE_MS = 15_000
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
HUB = "--file-delay 0.12 --threads 6 --capacity 160MiB --target-capacity 1GiB"

CAMPAIGN = """\
# Media that nobody opened for 90 days go to the object store; a stub stays where each was.
version: 1
name: archive-cold-media
description: Move media nobody opened for 90 days to the object store.
owner: storage-team
labels: {tier: cold}
site: london

triggers:
  - schedule: {cron: "30 22 * * 1-5", timezone: Europe/Berlin, overlap: skip}
  - schedule: {cron: "0 3 * * 0", timezone: Europe/Berlin}

select:
  from: {space: projects}
  paths: [/mmfs1/projects]
  rules:
    - {name: away, match: {status: migrated}, keep: true}
    - {name: video, match: {all: [{type: [mov, mxf]}, {accessed: "> 90d"}]}}
    - {name: images, match: {all: [{type: [dpx, exr]}, {accessed: "> 90d"}]}}
  order_by: [-size]

run:
  workflow: migrate
  batch: {files: 6}
  concurrency: %d
  stall_after: 10m

retry:
  failed_files: {attempts: 2, wait: [3s]}
  permanent: [no_such_file]
"""

PURGE = """\
version: 1
name: purge-old-renders
description: Delete renders that nobody touched for half a year. A person agrees to each list.
site: london
triggers:
  - schedule: {cron: "0 6 * * 1", timezone: Europe/London}
select:
  from: {space: projects}
  paths: [/mmfs1/projects/renders]
  rules:
    - {name: old-renders, match: {all: [{type: [tmp]}, {modified: "> 180d"}]}}
approval: {required: always, expires: 3d}
run: {workflow: delete, batch: {files: 20}, concurrency: 2}
"""

DRAIN = """\
version: 1
name: drain-sas1
description: Keep the fast pool below its upper mark.
site: london
triggers:
  - threshold: {pool: sas1, upper: %s, lower: %s, check_every: 2s, hold_down: 1m}
select:
  from: {space: projects}
  paths: [/mmfs1/projects/overflow]
  rules:
    - {name: away, match: {status: migrated}, keep: true}
    - {name: overflow, match: {type: [raw]}}
run: {workflow: migrate, batch: {files: 5}, concurrency: 2}
"""

ALERTED = """\
version: 1
name: migrate-on-alert
description: When the Hub warns of low space, the oldest footage goes.
site: london
triggers:
  - event: {type: hub.alert, where: {name: lowDiskSpace}, settle: 2s}
  - event: {type: com.example.ingest, settle: 1s}
select:
  from: {space: projects}
  paths: [/mmfs1/projects/ingest]
  rules:
    - {name: ingest, match: {type: [wav]}}
run: {workflow: migrate, batch: {files: 10}, concurrency: 1}
retry: {failed_files: {attempts: 2, wait: [1s]}}
"""


class Installation:
    """A machine with everything started, and its web server."""

    def __init__(self, folder: Path) -> None:
        self.machine = Machine(folder)
        self.url = ""
        self.log = folder / "web.log"
        self._server: subprocess.Popen[bytes] | None = None
        secret = "whsec_" + "Y2hlY2sgdGhlIGRvb3IgYmVmb3JlIHlvdSBnbyBvdXQ="
        self.machine.environment |= {"ORCHESTRATOR_EVENT_SECRETS": secret, "ORCHESTRATOR_LOCALHUB_OPTIONS": HUB}

    def start(self) -> None:
        """Start it all."""
        self.machine.up()
        port = free_port()
        command = [sys.executable, "-P", "-m", "orchestrator", "serve", "--port", str(port)]
        with self.log.open("ab") as log:
            self._server = subprocess.Popen(
                command, env=self.machine.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.url = f"http://127.0.0.1:{port}"
        assert eventually(lambda: accepts(port), 30), self.log.read_text()

    def close(self) -> list[str]:
        """End it all; gives what should have ended by itself."""
        if self._server is not None:
            self._server.terminate()
            self._server.wait(30)
        return self.machine.close()

    def token(self, person: str, role: str) -> str:
        """Make a token."""
        return str(self.machine.json("tokens", "create", person, "--role", role)["token"])

    def fill(self, folder: str, ending: str, count: int, size: int, *, days: int = 300) -> None:
        """Make files of a kind, their ages and sizes spread."""
        place = self.machine.projects / folder
        place.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            path = place / f"shot_{number:04d}.{ending}"
            path.write_bytes(os.urandom(size + (number * 7919) % size))
            at = time.time() - (days + number % 900) * 86_400
            os.utime(path, (at, at))

    def apply(self, text: str, *, reason: str = "as agreed with the editors") -> str:
        """Write and apply a policy; gives its name."""
        name = str(re.search(r"^name: (.*)$", text, re.MULTILINE)[1])  # type: ignore[index]
        (self.machine.policies / f"{name}.yaml").write_text(text)
        ended = self.machine.run("apply", "--yes", "--reason", reason)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return name

    def begin(self, policy: str, reason: str) -> str:
        """Start a run, and give its name as soon as it has begun."""
        found = self.machine.json("run", policy, "--reason", reason)
        return str(found["run_id"])

    def faults(self, *rules: dict[str, Any]) -> None:
        """Let the local Hub misbehave."""
        stack = self.machine.stack()
        text = json.dumps(stack)
        url = str(re.search(r"http://127\.0\.0\.1:\d+/api", text)[0])  # type: ignore[index]
        key = next(self.machine.state.rglob("admin.key")).read_text().strip()
        headers = {"Authorization": f"Api-Key {key}"}
        address = url.removesuffix("/api") + "/_local/faults"
        httpx.put(address, json={"rules": list(rules)}, headers=headers, timeout=10).raise_for_status()


def chromium() -> str:
    """Find the distribution's browser."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "no browser: apt-get install chromium"
    return found


@contextmanager
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Start the distribution's Chromium without a window."""
    # Chromium's own sandbox cannot be used by root; pages are ours alone.
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    started = playwright.chromium.launch(executable_path=chromium(), args=arguments)
    try:
        yield started
    finally:
        started.close()


def sign_in(page: Page, url: str, token: str) -> None:
    """Sign in as a person does."""
    page.goto(f"{url}/sign-in")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Overview").wait_for()


def alter_record(state: Path, event: str) -> int:
    """Change what a record says behind the back of everybody, as somebody with the database's file could."""
    import sqlite3

    with sqlite3.connect(state / "audit.sqlite", timeout=30) as database:
        seq = database.execute("SELECT max(seq) FROM audit WHERE event = ?", [event]).fetchone()[0]
        database.execute("DROP TRIGGER audit_no_update")
        database.execute("UPDATE audit SET actor = 'nobody@nowhere' WHERE seq = ?", [seq])
    database.close()
    return int(seq)
