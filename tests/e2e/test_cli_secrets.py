"""Credentials are nowhere: not in logs, histories, manifests, the audit, exceptions or any output."""

import json
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.local_hub import LocalHub
from tests.machine import Machine


def everything_written(machine: Machine) -> dict[str, bytes]:
    """Every file of the state directory: logs, Temporal's database with its histories, manifests, outcomes, audit."""
    return {str(path): path.read_bytes() for path in machine.state.rglob("*") if path.is_file()}


@pytest.mark.long
@pytest.mark.parametrize("way", ["key", "password"])
def test_no_credential_is_written_or_shown(machine: Machine, local_hub: LocalHub, way: str) -> None:
    local_hub.fill(12)
    machine.policy()
    password = (local_hub.state / "admin.password").read_text().strip()
    credentials = (
        {"ORCHESTRATOR_HUB_KEY": local_hub.key}
        if way == "key"
        else {"ORCHESTRATOR_HUB_USERNAME": "admin", "ORCHESTRATOR_HUB_PASSWORD": password}
    )
    access = local_hub.call("POST", "/api/auth/token/", json={"username": "admin", "password": password})
    given = {
        **credentials,
        "ORCHESTRATOR_HUB_URL": local_hub.url,
        "ORCHESTRATOR_LOG_LEVEL": "debug",
        "ORCHESTRATOR_DEBUG": "1",
    }
    # The answer to a submit is lost, files fail, one answer is a fault: the paths on which errors are told.
    local_hub.faults(
        {
            "match": {"method": "POST", "path": "/api/file/workflow/"},
            "action": {"kind": "drop_after"},
            "schedule": {"limit": 1},
        },
        {"match": {"file": "*3.mov"}, "action": {"kind": "path_fail", "code": "target_error", "message": "no room"}},
        {"action": {"kind": "status", "status": 503}, "schedule": {"every": 7, "limit": 5}},
    )
    machine.environment |= given
    process = machine.start("run", "archive", "--wait", "--json")
    commands: set[str] = set()
    while process.poll() is None:
        for child in machine.processes():
            try:
                commands.add(" ".join(child.cmdline()))
            except psutil.NoSuchProcess:
                continue
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
    out, err = process.communicate()
    assert json.loads(out.splitlines()[-1])["outcomes"]["done"] >= 10, err
    shown = [out, err, *commands]
    refused = {**given, "ORCHESTRATOR_HUB_KEY": "wr0ng-" + local_hub.key, "ORCHESTRATOR_HUB_URL": local_hub.url}
    refused |= {"ORCHESTRATOR_HUB_USERNAME": "", "ORCHESTRATOR_HUB_PASSWORD": ""}
    for command in (["plan", "archive"], ["runs", "list", "--json"], ["doctor", "--json"], ["audit", "list", "--json"]):
        for environment in (given, refused):
            ended = machine.run(*command, **environment)
            shown += [ended.stdout, ended.stderr]
    secrets = [local_hub.key, password, str(access["access"]), str(access["refresh"])]
    for secret in secrets:
        assert not [text[:300] for text in shown if secret in text]
        assert not [name for name, content in everything_written(machine).items() if secret.encode() in content]
    histories = b"".join(path.read_bytes() for path in machine.state.glob("temporal.sqlite*"))
    assert b"/mmfs1/projects" in histories, "histories are plain enough to be searched"


def test_the_local_hub_of_this_machine_tells_its_key_to_its_key_file_alone(machine: Machine) -> None:
    machine.fill(3)
    machine.policy()
    ended = machine.run("run", "archive", "--wait", "--json", ORCHESTRATOR_LOG_LEVEL="debug")
    assert ended.returncode == 0, ended.stderr
    key = (machine.state / "hub" / "admin.key").read_text().strip()
    holders = [name for name, content in everything_written(machine).items() if key.encode() in content]
    assert [Path(name).name for name in holders] == ["admin.key"]
    assert (machine.state / "hub" / "admin.key").stat().st_mode & 0o077 == 0
    assert key not in ended.stdout + ended.stderr
