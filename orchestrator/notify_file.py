"""The file of the targets of notices, which holds their addresses and says which notice goes where."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from activities.notices.sending import is_service, secret_parts
from activities.notices.targets import Targets
from orchestrator.documents import PolicyError, read_document
from orchestrator.settings import Settings, SettingsError


def load_targets(settings: Settings) -> Targets:
    """Read the targets; none without a file. Raises SettingsError, whose text holds nothing of an address."""
    file = settings.notify_file
    if file is None:
        return Targets()
    try:
        document = read_document(file.read_bytes(), str(file))
    except OSError as error:
        raise SettingsError(f"ORCHESTRATOR_NOTIFY_FILE: cannot read {file}: {error.strerror}") from None
    except PolicyError as error:
        # What a reader of YAML says may hold the line that it could not read.
        places = ", ".join(f"{one.line}:{one.column}" for one in error.problems)
        raise SettingsError(f"{file}: this is not YAML as policies are written, at {places}") from None
    data = document.data
    if not isinstance(data, dict):
        raise SettingsError(f"{file}: expects the keys `targets`, `routes` and `digest`")
    data = _with_secret_files(data, file)
    try:
        return Targets.model_validate(data)
    except ValidationError as error:
        lines = []
        for one in error.errors(include_input=False, include_url=False, include_context=False):
            line, column = document.place(tuple(one["loc"]))
            where = ".".join(map(str, one["loc"]))
            lines.append(f"{file}:{line}:{column}: {where}: {one['msg'].removeprefix('Value error, ')}")
        raise SettingsError("\n".join(lines)) from None


def unknown_services(targets: Targets) -> list[str]:
    """Name the targets whose address is of no service that Apprise knows."""
    return [name for name, one in targets.targets.items() if not is_service(one.url.get_secret_value())]


def target_secrets(settings: Settings) -> tuple[str, ...]:
    """Give every part of the targets' addresses that no log may show."""
    try:
        targets = load_targets(settings)
    except SettingsError:
        return ()  # Whoever needs the targets says what is wrong with them.
    shown = {"localhost", "127.0.0.1", "https", "http", "mailto", "smtp"}
    return tuple({part for url in targets.secrets() for part in secret_parts(url)} - shown)


def _with_secret_files(data: dict[str, Any], file: Path) -> dict[str, Any]:
    targets = data.get("targets")
    if not isinstance(targets, dict):
        return data
    return {**data, "targets": {name: _with_secret_file(name, one, file) for name, one in targets.items()}}


def _with_secret_file(name: str, target: Any, file: Path) -> Any:
    if not isinstance(target, dict) or not isinstance(target.get("url_file"), str):
        return target
    if "url" in target:
        raise SettingsError(f"{file}: {name} has both `url` and `url_file`: keep one of them")
    secret = file.parent / target["url_file"]  # Beside this file, or anywhere by its whole path.
    try:
        text = secret.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{file}: {name}: cannot read {secret}") from None
    return {**{key: value for key, value in target.items() if key != "url_file"}, "url": text}
