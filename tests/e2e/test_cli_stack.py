"""The services that the command line starts: used by others, restarted when they fall, gone with their owner."""

import json
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from orchestrator.granting import OWN_FILE
from orchestrator.services import free_port
from tests.local_hub import LocalHub
from tests.machine import Machine, eventually


def test_a_second_command_uses_what_up_runs(machine: Machine) -> None:
    machine.fill(5)
    machine.policy()
    machine.up()
    before = machine.stack()["services"]
    report = machine.json("run", "archive", "--wait")
    assert report["state"] == "succeeded"
    assert machine.stack()["services"] == before
    again = machine.run("up")
    assert again.returncode == 0
    assert "runs already" in again.stderr


@pytest.mark.long
def test_a_run_without_waiting_goes_on_under_up(machine: Machine) -> None:
    machine.fill(5)
    machine.policy()
    machine.up()
    run = machine.json("run", "archive")["run_id"]
    assert eventually(lambda: machine.json("runs", "show", run)["state"] == "succeeded", 30)


def test_up_ends_in_good_order_when_told_to(machine: Machine) -> None:
    process = machine.up()
    assert len(machine.processes()) == 4
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert not machine.processes()
    assert not (machine.state / "stack.json").exists()


def test_up_says_where_the_files_of_its_hub_are(machine: Machine) -> None:
    process = machine.up()
    process.send_signal(signal.SIGTERM)
    assert f"{machine.projects.parent} = /mmfs1" in machine.said


@pytest.mark.long
@pytest.mark.parametrize("key", ["", "wrong"])
def test_up_warns_of_a_hub_that_cannot_be_used(machine: Machine, local_hub: LocalHub, key: str) -> None:
    address = local_hub.url if key else f"http://127.0.0.1:{free_port()}/api"
    process = machine.up(ORCHESTRATOR_HUB_URL=address, ORCHESTRATOR_HUB_KEY=key or "any")
    assert process.stderr is not None
    warning = next(line for line in process.stderr if "cannot be used now" in line)
    assert address in warning
    assert ("refuses the credentials" if key else "that it runs") in warning


def test_up_started_in_the_background_of_a_script_ends_when_told_to(machine: Machine) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = machine.up()
    finally:
        signal.signal(signal.SIGINT, before)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert not machine.processes()


@pytest.mark.long
def test_kill_9_of_the_owner_leaves_nothing_behind_and_the_next_start_works(machine: Machine) -> None:
    process = machine.up()
    machine.fill(3)
    machine.policy()
    assert machine.json("run", "archive", "--wait")["state"] == "succeeded"
    process.kill()
    process.wait()
    assert eventually(lambda: not machine.processes())
    assert (machine.state / "stack.json").exists(), "a stale file is what is left"
    assert machine.json("run", "archive", "--wait")["state"] == "succeeded"


@pytest.mark.long
def test_a_service_that_falls_is_started_again(machine: Machine) -> None:
    machine.up()
    for name in ("worker", "hub", "temporal"):
        fallen = machine.stack()["services"][name]["pid"]
        os.kill(fallen, signal.SIGKILL)
        assert eventually(
            lambda name=name, fallen=fallen: machine.stack()["services"].get(name, {}).get("pid") not in (None, fallen)
        )
    machine.fill(3)
    machine.policy()
    assert machine.json("run", "archive", "--wait")["state"] == "succeeded"


def test_a_service_that_cannot_start_is_shown_with_its_last_words(machine: Machine) -> None:
    ended = machine.run("up", ORCHESTRATOR_LOCALHUB_OPTIONS="--no-such-option")
    assert ended.returncode == 3
    assert "the local Hub ended while it started" in ended.stderr
    assert "--no-such-option" in ended.stderr
    assert not machine.processes()


@pytest.mark.long
def test_runs_are_paused_resumed_and_cancelled_by_name(machine: Machine) -> None:
    machine.fill(60)
    machine.policy(batch=5, concurrency=1)
    machine.environment["ORCHESTRATOR_LOCALHUB_OPTIONS"] = "--file-delay 0.2"
    machine.up()
    run = machine.json("run", "archive")["run_id"]

    assert eventually(lambda: machine.json("runs", "show", run).get("phase") == "work", 30)
    assert machine.json("runs", "pause", run, "--reason", "lunch")["state"] == "paused"
    shown = machine.run("runs", "show", run)
    assert "paused" in shown.stdout
    assert machine.run("run", "archive").returncode == 2, "one run of a policy at a time"
    assert machine.json("runs", "resume", run)["state"] in ("running", "waiting")
    machine.run("runs", "cancel", run, "--reason", "enough")
    watched = machine.run("runs", "watch", run, "--json")
    assert watched.returncode == 1
    report = json.loads(watched.stdout.splitlines()[-1])
    assert report["state"] == "cancelled"
    outcomes = report["outcomes"]
    assert outcomes["done"] + outcomes["cancelled"] + sum(outcomes["skipped"].values()) == 60
    assert machine.run("runs", "pause", run).returncode == 2, "it is over"
    told = machine.run("audit", "list", "--run", run).stdout
    assert "lunch" in told
    assert "enough" in told


@pytest.mark.long
def test_doctor_finds_a_machine_well_and_says_what_is_not(machine: Machine) -> None:
    machine.policy()
    assert machine.run("doctor").returncode == 0
    machine.up()
    assert eventually(lambda: "workers on" in machine.run("doctor").stdout)
    found = {one["about"]: one for one in machine.json("doctor")["findings"]}
    assert found.pop("Notices")["health"] == "warn", "nobody is told of anything yet"
    assert {one["health"] for one in found.values()} == {"ok"}, found
    assert "london" in found["Hub"]["found"]
    ill = machine.run("doctor", TEMPORAL_ADDRESS="127.0.0.1:9", ORCHESTRATOR_STATE_DIR=str(machine.folder / "other"))
    assert ill.returncode == 3
    assert "fail" in ill.stdout


@pytest.mark.long
def test_the_health_service_tells_alive_from_ready(machine: Machine) -> None:
    import httpx

    from orchestrator.services import accepts, free_port

    machine.up()
    services = machine.stack()["services"]
    port = free_port()
    machine.start("serve", "--port", str(port))
    assert eventually(lambda: accepts(port))
    assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    assert httpx.get(f"http://127.0.0.1:{port}/readyz").json()["checks"] == {
        "temporal": "ok",
        "audit": "ok",
        "hub": "ok",
    }
    hub = psutil.Process(services["hub"]["pid"])
    hub.suspend()
    try:
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
        answer = httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=40)
        assert answer.status_code == 503
        assert answer.json()["checks"]["hub"] == "fail"
        assert "ORCHESTRATOR_HUB_URL" in answer.json()["reasons"]["hub"][0]
    finally:
        hub.resume()


def test_a_second_worker_finds_what_up_runs(machine: Machine) -> None:
    machine.up()
    ready = machine.folder / "ready"
    machine.start("worker", "--ready-file", str(ready))
    assert eventually(ready.exists, 30)


def test_an_address_that_was_given_wins_over_the_running_stack(machine: Machine) -> None:
    machine.up()
    elsewhere = machine.json("doctor", TEMPORAL_ADDRESS="127.0.0.1:9", ORCHESTRATOR_HUB_URL="http://127.0.0.1:9/api")
    found = {one["about"]: one["health"] for one in elsewhere["findings"]}
    assert (found["Temporal"], found["Hub"]) == ("fail", "fail")


def test_a_pipe_that_closes_early_is_no_error(machine: Machine) -> None:
    machine.policy()
    import sys

    command = f"{sys.executable} -P -m orchestrator check --json | true; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], env=machine.environment, capture_output=True, text=True, timeout=30)
    assert "Traceback" not in ended.stderr


@pytest.mark.long
def test_two_that_start_at_once_have_an_api_each(machine: Machine, tmp_path: Path) -> None:
    other = Machine(tmp_path / "other")
    try:
        with ThreadPoolExecutor() as both:
            list(both.map(lambda one: one.up(api=True), (machine, other)))
        addresses = [one.stack()["services"]["api"]["address"] for one in (machine, other)]
        assert len(set(addresses)) == 2
        for one, address in zip((machine, other), addresses, strict=True):
            token = (one.state / OWN_FILE).read_text().strip()
            session = httpx.get(f"{address}/api/v1/session", headers={"Authorization": f"Bearer {token}"})
            assert session.status_code == 200, session.text
    finally:
        assert other.close() == []
