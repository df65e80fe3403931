"""A machine whose API answers, with a token for each role, a run that has ended and one that waits for approval."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import requests

from activities.ledger.log import AuditLog
from orchestrator.granting import grant, withdraw
from orchestrator.roles import Role
from orchestrator.settings import Settings, load_settings
from orchestrator.tokens import Tokens
from tests.machine import Machine, eventually

APPROVED = "approval: {required: always, expires: 1d, not_by_owner: true}\n"
PEOPLE = {Role.VIEWER: "vic", Role.OPERATOR: "olga", Role.APPROVER: "paul", Role.ADMIN: "ann"}


class ApiMachine:
    """The machine, its API's address, and tokens."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.url = machine.stack()["services"]["api"]["address"]
        self.settings: Settings = load_settings(state_dir=machine.state, policies_dir=machine.policies)
        self.tokens = {role: self.token(person, role) for role, person in PEOPLE.items()}
        self.session = requests.Session()
        self.client = httpx.Client(base_url=self.url, timeout=60)
        self._addresses = count(1)

    def token(self, person: str, role: Role, lasts: timedelta = timedelta(hours=1), *, revoked: bool = False) -> str:
        """Make a token."""
        tokens = Tokens(self.settings.tokens.get_secret_value())
        log = AuditLog(self.settings.audit.get_secret_value())
        try:
            token, text = grant(tokens, log, person, role, lasts, actor="test@here")
            if revoked:
                withdraw(tokens, log, token.id, actor="test@here")
            return text
        finally:
            tokens.close()
            log.close()

    def call(self, method: str, path: str, who: Role | str | None = Role.ADMIN, **more: Any) -> httpx.Response:
        """Call the API as somebody; each call comes from an address of its own, so that failures do not add up."""
        number = next(self._addresses)
        headers = {"X-Forwarded-For": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"}
        if who is not None:
            headers["Authorization"] = f"Bearer {self.tokens[who] if isinstance(who, Role) else who}"
        headers |= more.pop("headers", {})
        return self.client.request(method, path, headers=headers, **more)

    def get(self, path: str, who: Role | str | None = Role.VIEWER, **params: Any) -> Any:
        """Read a resource below /api/v1 that must be there."""
        answer = self.call("GET", f"/api/v1{path}", who, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, who: Role | str, body: Any, *, status: int = 200) -> Any:
        """Say something below /api/v1 that must be taken."""
        answer = self.call("POST", f"/api/v1{path}", who, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def add_files(self, name: str, count: int = 5) -> None:
        """Make more files for the next plan, last opened a year ago."""
        old = time.time() - 365 * 86_400
        for number in range(count):
            path = self.machine.projects / f"{name}{number}.mov"
            path.write_bytes(name.encode() * 100)
            os.utime(path, (old, old))

    def start(self, policy: str, who: Role | str = Role.OPERATOR) -> str:
        """Start a run of an applied policy."""
        run = self.post(f"/policies/{policy}/runs", who, {"reason": "a test"}, status=202)["run"]
        assert isinstance(run, str)
        return run

    def wait_until_ended(self, run: str) -> str:
        """Wait for the end of a run, and give its last state."""
        assert eventually(lambda: not self.get(f"/runs/{run}")["open"], within=60)
        state: str = self.get(f"/runs/{run}")["end"]["state"]
        return state

    def wait_for_approval(self, run: str) -> dict[str, Any]:
        """Wait until a run asks for a person's word, and give what it asks."""

        def asked() -> bool:
            return any(one["run"] == run for one in self.get("/approvals")["waiting"])

        assert eventually(asked, within=30), self.get(f"/runs/{run}")
        found: dict[str, Any] = next(one for one in self.get("/approvals")["waiting"] if one["run"] == run)
        return found


@contextmanager
def api_machine(folder: Path, *, files: int = 30, **environment: str) -> Iterator[ApiMachine]:
    """Start a machine with its API and two applied policies: `archive`, and `asks`, which wants four eyes."""
    machine = Machine(folder / "machine")
    try:
        machine.fill(files)
        machine.policy()
        asks = machine.policy("asks")
        asks.write_text(asks.read_text() + APPROVED)
        machine.up(api=True, **environment)
        applied = machine.run("apply", "--yes")
        assert applied.returncode == 0, applied.stderr
        here = ApiMachine(machine)
        with here.client:
            yield here
    finally:
        left = machine.close()
    assert not left, f"left behind: {left}"
