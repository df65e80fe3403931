"""The container files parse, fit together and hold no secret."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.settings import Settings, load_settings, variables

HERE = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((HERE / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (HERE / "Dockerfile").read_text("utf-8")
OURS = [name for name, service in SERVICES.items() if "build" in service]
ONE_SHOT = ("temporal-schema", "temporal-namespace")


def environment(service: str) -> dict[str, str]:
    return {name: str(value) for name, value in SERVICES[service].get("environment", {}).items()}


def test_every_part_of_a_small_installation_is_there() -> None:
    assert set(SERVICES) >= {"postgresql", "temporal", "temporal-ui", "worker", "api"}
    assert {"worker", "api"} <= set(OURS)


def test_what_a_service_waits_for_exists_and_can_become_so() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES, f"{name} waits for {other}"
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{other} has no health check"
            else:
                assert how["condition"] == "service_completed_successfully"
                assert other in ONE_SHOT


def test_nothing_waits_for_itself() -> None:
    def waits_for(name: str, seen: tuple[str, ...] = ()) -> None:
        assert name not in seen, " -> ".join((*seen, name))
        for other in SERVICES[name].get("depends_on", {}):
            waits_for(other, (*seen, name))

    for name in SERVICES:
        waits_for(name)


def test_services_that_stay_come_back_and_say_how_they_are() -> None:
    for name, service in SERVICES.items():
        if name in ONE_SHOT or service.get("profiles"):
            continue
        assert service["restart"] == "unless-stopped", name
        assert "healthcheck" in service or name == "temporal-ui", name


def test_every_setting_is_one_that_exists() -> None:
    known = set(variables())
    for name in OURS:
        ours = {variable for variable in environment(name) if variable.startswith("ORCHESTRATOR_")}
        assert ours <= known, f"{name}: {ours - known}"
    for text in (DOCKERFILE, (HERE / "deploy" / "example.env").read_text("utf-8")):
        assert set(re.findall(r"\bORCHESTRATOR_[A-Z_]+", text)) <= known


def test_the_settings_of_the_containers_are_accepted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = tmp_path / "hub_key"
    key.write_text("k")
    given = {"ORCHESTRATOR_HUB_URL": "https://hub.example/api", "POSTGRES_PASSWORD": "p"}
    for name, value in environment("worker").items():
        value = re.sub(r"\$\{(\w+):\+[^}]*\}", "", value)  # Only where it is given.
        filled = re.sub(r"\$\{(\w+)(?::[-?]([^}]*))?\}", lambda found: given.get(found[1], found[2] or ""), value)
        if name == "ORCHESTRATOR_HUB_KEY_FILE":
            assert filled == "/run/secrets/hub_key"
            filled = str(key)
        if name == "ORCHESTRATOR_LOG_LEVEL":
            filled = "info"
        monkeypatch.setenv(name, filled)
    settings: Settings = load_settings()
    assert settings.temporal_address == "temporal:7233"
    assert settings.audit.get_secret_value() == "postgresql://orchestrator:p@postgresql:5432/audit"
    assert settings.store_url is None


def test_addresses_name_services_and_the_ports_they_listen_on() -> None:
    listening = {"postgresql": "5432", "temporal": "7233"}
    for name in SERVICES:
        address = environment(name).get("TEMPORAL_ADDRESS")
        if address is not None:
            host, port = address.split(":")
            assert listening[host] == port, name
    assert environment("temporal")["POSTGRES_SEEDS"] in SERVICES
    assert environment("temporal")["DB_PORT"] == listening["postgresql"]
    users = {environment("temporal")["POSTGRES_USER"], environment("postgresql")["POSTGRES_USER"]}
    assert users == {"orchestrator"}
    assert (
        f"@postgresql:5432/{environment('postgresql')['POSTGRES_DB']}"
        in environment("worker")["ORCHESTRATOR_AUDIT_URL"]
    )


def test_ports_are_published_on_loopback_once_each() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    hosts = [str(port).rsplit(":", 1)[0] for port in published]
    assert len(set(hosts)) == len(hosts)
    assert all(str(port).startswith("127.0.0.1:") for port in published)
    api = SERVICES["api"]
    assert api["ports"] == ["127.0.0.1:8080:8080"]
    assert "8080" in api["command"]
    assert ":8080/readyz" in api["healthcheck"]["test"][-1]


def test_volumes_and_secrets_are_declared_and_bound_folders_exist() -> None:
    named = set()
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (HERE / source).is_dir(), source
            else:
                named.add(source)
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    assert named == set(COMPOSE["volumes"])
    state = environment("worker")["ORCHESTRATOR_STATE_DIR"]
    assert f"state:{state}" in SERVICES["worker"]["volumes"]
    assert f"ORCHESTRATOR_STATE_DIR={state}" in DOCKERFILE


def test_the_commands_of_our_containers_exist() -> None:
    from typer.main import get_command

    from orchestrator.cli.main import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    for name in OURS:
        verb, *options = SERVICES[name]["command"]
        known = {option for parameter in commands[verb].params for option in parameter.opts}
        assert {option for option in options if option.startswith("--")} <= known
    ready_file = SERVICES["worker"]["command"][-1]
    assert SERVICES["worker"]["healthcheck"]["test"][-1] == ready_file


def test_no_secret_is_written_down() -> None:
    for file in ("docker-compose.yml", "Dockerfile", "deploy/example.env"):
        for line in (HERE / file).read_text("utf-8").splitlines():
            bare = re.sub(r"\$\{[^}]*\}", "", line.split("#")[0])
            found = re.search(r"(?i)(password|passwd|pwd|secret|token|_key)\w*\s*[:=]\s*(\S+)", bare)
            assert found is None or found[2].startswith(("/run/secrets/", "[")), f"{file}: {line}"
            assert not re.search(r"://[^/\s:]+:[^@\s$]+@", bare), f"{file}: {line}"
    ignored = (HERE / ".gitignore").read_text("utf-8").splitlines()
    assert {".env", "/secrets/"} <= set(ignored)


def test_images_are_pinned_and_ours_runs_without_root() -> None:
    for name, service in SERVICES.items():
        if name not in OURS:
            assert re.search(r":\d", service["image"]), name
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(stages) == 2
    assert all(re.search(r":\d", stage) for stage in stages)
    last = DOCKERFILE.split("FROM ")[-1]
    assert re.search(r"^USER orchestrator$", last, re.MULTILINE)
    assert last.index("USER") < last.index("ENTRYPOINT")


def test_everything_that_the_image_copies_is_sent_to_the_build() -> None:
    sent = {line[1:] for line in (HERE / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    copied = set()
    for words in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        copied |= set(words.split()[:-1])
    assert copied == sent
    assert all((HERE / name).exists() for name in copied)


@pytest.mark.parametrize("script", sorted(path.name for path in (HERE / "deploy").glob("*.sh")))
def test_scripts_are_good_shell(script: str) -> None:
    subprocess.run([shutil.which("sh") or "/bin/sh", "-n", str(HERE / "deploy" / script)], check=True)


def test_continuous_integration_runs_what_the_readme_says() -> None:
    script = (HERE / ".ci" / "run").read_text("utf-8")
    assert "make check" in script
    assert "make test" in script
    assert "make test" in (HERE / "README.md").read_text("utf-8")
    assert "set -euo pipefail" in script
