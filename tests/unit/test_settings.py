"""Settings are read once, typed, and a wrong one is named in one line."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from orchestrator.settings import Settings, SettingsError, load_settings, variables


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("ORCHESTRATOR_", "TEMPORAL_")):
            monkeypatch.delenv(name)


def test_nothing_needs_to_be_set() -> None:
    settings = load_settings()
    assert settings.hub_url is None
    assert settings.state_dir.is_absolute()
    assert settings.storage == str(settings.state_dir / "store")
    assert settings.audit.get_secret_value() == f"sqlite:///{settings.state_dir}/audit.sqlite"


def test_values_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HUB_URL", "https://hub.example/api/")
    monkeypatch.setenv("ORCHESTRATOR_HUB_TIMEOUT", "2.5")
    monkeypatch.setenv("ORCHESTRATOR_SELECTION_MEMORY", "2GiB")
    monkeypatch.setenv("ORCHESTRATOR_LOG_LEVEL", "WARNING")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example:7233")
    settings = load_settings()
    assert settings.hub_url == "https://hub.example/api"
    assert settings.hub_timeout == timedelta(seconds=2.5)
    assert settings.selection_memory == 2 << 30
    assert settings.log_level == "warning"
    assert settings.temporal_address == "temporal.example:7233"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HUB_URL", "")
    monkeypatch.setenv("ORCHESTRATOR_HUB_KEY", "")
    assert load_settings().hub_url is None
    assert load_settings().hub_key is None


def test_a_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("s3cret-key\n")
    monkeypatch.setenv("ORCHESTRATOR_HUB_KEY_FILE", str(file))
    key = load_settings().hub_key
    assert key is not None
    assert key.get_secret_value() == "s3cret-key"


def test_secrets_are_not_in_the_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HUB_USERNAME", "ann")
    monkeypatch.setenv("ORCHESTRATOR_HUB_PASSWORD", "hunter22")
    monkeypatch.setenv("ORCHESTRATOR_AUDIT_URL", "postgresql://u:topsecret@db/audit")
    shown = repr(load_settings()) + str(load_settings().model_dump())
    assert "hunter22" not in shown
    assert "topsecret" not in shown


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        load_settings().debug = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "ORCHESTRATOR_HUB_ULR",
            "https://hub",
            "ORCHESTRATOR_HUB_ULR: no such setting; did you mean ORCHESTRATOR_HUB_URL?",
        ),
        ("ORCHESTRATOR_HUB_URL", "ftp://hub", "ORCHESTRATOR_HUB_URL: expected an address"),
        ("ORCHESTRATOR_HUB_URL", "https://me:pw@hub/api", "credentials do not belong into the address"),
        ("ORCHESTRATOR_HUB_URL", "http://hub:99999/api", "ORCHESTRATOR_HUB_URL: expected an address"),
        ("ORCHESTRATOR_HUB_TIMEOUT", "soon", "ORCHESTRATOR_HUB_TIMEOUT: expected a number of seconds"),
        ("ORCHESTRATOR_HUB_TIMEOUT", "-5", "ORCHESTRATOR_HUB_TIMEOUT: expected more than 0"),
        ("ORCHESTRATOR_HUB_CONNECTIONS", "many", "ORCHESTRATOR_HUB_CONNECTIONS: "),
        ("ORCHESTRATOR_SELECTION_MEMORY", "1KiB", "ORCHESTRATOR_SELECTION_MEMORY: "),
        ("ORCHESTRATOR_LOG_LEVEL", "loud", "ORCHESTRATOR_LOG_LEVEL: "),
        ("ORCHESTRATOR_HUB_KEY_FILE", "/nowhere/key", "ORCHESTRATOR_HUB_KEY_FILE: cannot read /nowhere/key"),
        ("ORCHESTRATOR_HUB_PASSWORD", "alone", "belong together"),
    ],
)
def test_a_wrong_value_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert value not in str(refused.value) or name.endswith("_FILE")


def test_a_key_and_its_file_exclude_each_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HUB_KEY", "one")
    monkeypatch.setenv("ORCHESTRATOR_HUB_KEY_FILE", str(tmp_path))
    with pytest.raises(SettingsError, match="both set"):
        load_settings()


def test_every_setting_says_what_it_is_for() -> None:
    assert all(variables().values())
    assert set(variables()) >= {"ORCHESTRATOR_HUB_URL", "ORCHESTRATOR_STATE_DIR", "ORCHESTRATOR_DEBUG"}


def test_the_readme_names_every_setting() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    missing = [name for name in variables() if name not in readme and not name.endswith("_FILE")]
    assert not missing


def test_what_a_caller_gives_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ORCHESTRATOR_STATE_DIR", "/elsewhere")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "elsewhere:7233")
    settings: Settings = load_settings(state_dir=tmp_path, temporal_address=None)
    assert settings.state_dir == tmp_path
    assert settings.temporal_address is None


@pytest.mark.parametrize(
    "secrets", ["short", "whsec_c2hvcnQ=", "whsec_%%", "whsec_\u00e9", ",", "0123456789abcdef short"]
)
def test_a_weak_or_malformed_event_secret_is_refused_with_the_variables_name_and_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, secrets: str
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_EVENT_SECRETS", secrets)
    with pytest.raises(SettingsError, match=r"^ORCHESTRATOR_EVENT_SECRETS: (a secret|holds no secret)") as refused:
        load_settings()
    assert "%%" not in str(refused.value) and "0123456789" not in str(refused.value)
