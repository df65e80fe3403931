"""Every setting of the product: declared once, typed, frozen, read from the environment and from secret files."""

import difflib
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from platformdirs import user_state_path
from pydantic import AliasChoices, ByteSize, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy import make_url

from orchestrator.roles import roles_of_groups
from orchestrator.web.signature import keys_of

if TYPE_CHECKING:
    from activities.ledger.signing import PublicKey, SigningKey

PREFIX = "ORCHESTRATOR_"
SECRETS = ("hub_key", "hub_password", "audit_url", "audit_key", "event_secrets")


class SettingsError(ValueError):
    """A setting is wrong; the text has one line for each problem and names the variable."""


class Settings(BaseSettings):
    """What this process was told by its environment; `ORCHESTRATOR_` and the field's name in capitals is the variable.

    Temporal's own variables and profiles (`TEMPORAL_ADDRESS`, `TEMPORAL_PROFILE`, ...) are read by
    `orchestrator.temporal`; `temporal_address` repeats the address alone, because the stack of this machine
    overrides it with that of the embedded server: when it is set it wins over a profile's.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore", populate_by_name=True
    )

    hub_url: str | None = Field(None, description="The Hub's base address, https://hub.example/api; unset: a local Hub")
    hub_key: SecretStr | None = Field(None, description="Client key of the Hub")
    hub_key_file: Path | None = Field(None, description="File that holds the client key")
    hub_username: str | None = Field(None, description="User of the Hub, with a password instead of a key")
    hub_password: SecretStr | None = Field(None, description="Password of that user")
    hub_password_file: Path | None = Field(None, description="File that holds the password")
    hub_timeout: timedelta = Field(timedelta(seconds=30), description="Longest wait for one answer, in seconds")
    hub_connections: int = Field(64, ge=1, le=4096, description="Connections to the Hub at once, for each process")

    state_dir: Path = Field(
        default_factory=lambda: user_state_path("tiering-orchestrator", appauthor=False),
        description="Folder for everything that this machine keeps",
    )
    store_url: str | None = Field(None, description="Inventories, plans, outcomes: a folder or s3://, gs://, az://")
    audit_url: SecretStr | None = Field(None, description="The audit's database: sqlite:///file or postgresql://...")
    audit_url_file: Path | None = Field(None, description="File that holds the address of the audit's database")
    audit_key: SecretStr | None = Field(None, description="Private key (PEM, Ed25519) that signs the audit")
    audit_key_file: Path | None = Field(None, description="File that holds that key")
    audit_public_keys: str = Field("", description="More public keys that check it, as `audit key` shows them")
    event_secrets: SecretStr | None = Field(None, description="Secrets that sign events, whsec_..., newest first")
    event_secrets_file: Path | None = Field(None, description="File that holds those secrets, one a line")
    public_url: str | None = Field(None, description="Address at which people reach the API, https://tiering.example")
    oidc_issuer: str | None = Field(None, description="Issuer of OIDC bearer tokens; unset: only tokens of our own")
    oidc_audience: str | None = Field(None, description="Audience that those tokens must name")
    oidc_person_claim: str = Field("preferred_username", description="Claim that names the person")
    oidc_role_claim: str = Field("roles", description="Claim with the roles or groups; a.b is b inside a")
    oidc_roles: str = Field("", description="GROUP=ROLE, apart by commas; unset: the claim holds our roles")
    notify_file: Path | None = Field(None, description="File with the targets of notices; see docs/notifications.md")
    policies_dir: Path = Field(Path("policies"), description="Folder of the policies, for names instead of files")

    temporal_address: str | None = Field(
        None,
        validation_alias=AliasChoices("temporal_address", "TEMPORAL_ADDRESS"),
        description="Temporal's host:port; unset and no profile: an embedded server",
    )
    task_queue: str = Field("tiering", min_length=1, max_length=200, description="Temporal task queue of the worker")
    worker_activities: int = Field(10_000, ge=1, le=20_000, description="Activities at once in one worker")
    runs_per_site: int = Field(20, ge=1, le=1000, description="Runs at once at one site; a further one waits its turn")
    selection_memory: ByteSize = Field(ByteSize(1 << 30), ge=64 << 20, description="Memory of one selection, e.g. 1GiB")

    localhub_root: Path | None = Field(None, description="Folder that the local Hub tiers; unset: in the state folder")
    localhub_options: str = Field("", description="More options for the local Hub that `up` and `run` start")

    metrics_address: str | None = Field(
        None, description="host:port at which a worker answers /metrics, /healthz and /readyz; unset: nowhere"
    )
    traces_url: str | None = Field(None, description="OTLP/HTTP address for traces; unset: none are made")

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity that is logged")
    log_format: Literal["auto", "console", "json"] = Field("auto", description="auto: console on a terminal, else json")
    debug: bool = Field(False, description="Show the traceback of an error")

    @property
    def storage(self) -> str:
        """Where inventories, plans and outcomes are kept: an address or a folder."""
        return self.store_url or str(self.state_dir / "store")

    @property
    def audit(self) -> SecretStr:
        """Address of the audit's database; it may hold a password."""
        return self.audit_url or SecretStr(f"sqlite:///{self.state_dir / 'audit.sqlite'}")

    @property
    def signing_key(self) -> "SigningKey | None":
        """The key that signs the audit's checkpoints, if there is one."""
        from activities.ledger.signing import signing_key_of  # costs more than all settings, and few have a key

        return None if self.audit_key is None else signing_key_of(self.audit_key.get_secret_value())

    @property
    def public_keys(self) -> "tuple[PublicKey, ...]":
        """The public keys whose checkpoints count: that of the signing key, and those that are named."""
        from activities.ledger.signing import public_keys_of

        own = () if self.signing_key is None else (self.signing_key.public,)
        return tuple(dict.fromkeys((*own, *public_keys_of(self.audit_public_keys))))

    @property
    def claims(self) -> SecretStr:
        """Address of the claims on files in flight: beside the audit, so that all workers of one audit share them."""
        return self._beside_the_audit("claims.sqlite")

    @property
    def samples(self) -> SecretStr:
        """Address of the pools' measured samples: beside the audit."""
        return self._beside_the_audit("samples.sqlite")

    @property
    def quarantine(self) -> SecretStr:
        """Address of the quarantine: beside the audit, so that all policies of one audit share it."""
        return self._beside_the_audit("quarantine.sqlite")

    @property
    def tokens(self) -> SecretStr:
        """Address of the API's tokens: beside the audit."""
        return self._beside_the_audit("tokens.sqlite")

    @property
    def notices(self) -> SecretStr:
        """Address of the notices and their outbox: beside the audit, so that one of its workers sends for all."""
        return self._beside_the_audit("notices.sqlite")

    def _beside_the_audit(self, name: str) -> SecretStr:
        address = make_url(self.audit.get_secret_value())
        if address.get_backend_name() != "sqlite" or not address.database:
            return self.audit
        beside = address.set(database=str(Path(address.database).with_name(name)))
        return SecretStr(beside.render_as_string(hide_password=False))

    @property
    def spill_dir(self) -> Path:
        """Where a selection writes what does not fit into its memory."""
        return self.state_dir / "spill"

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, values: Any) -> Any:
        for name in SECRETS:
            file = values.get(f"{name}_file")
            if file is None:
                continue
            if values.get(name) is not None:
                raise ValueError(f"{_variable(name)} and {_variable(name)}_FILE are both set: keep one of them")
            values = {**values, name: _secret_of(Path(file), f"{name}_file")}
        return values

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _in_any_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("hub_timeout", mode="before")
    @classmethod
    def _seconds(cls, value: Any) -> Any:
        try:
            seconds = timedelta(seconds=float(value)) if isinstance(value, str) else value
        except (ValueError, OverflowError):
            raise ValueError("expected a number of seconds") from None
        if isinstance(seconds, timedelta) and not timedelta(0) < seconds <= timedelta(hours=1):
            raise ValueError("expected more than 0 and at most 3600 seconds")
        return seconds

    @field_validator("hub_url", "traces_url")
    @classmethod
    def _hub_address(cls, value: str | None) -> str | None:
        advice = f"credentials do not belong into the address: set {_variable('hub_key')} instead"
        return None if value is None else _plain_http_address(value, "https://hub.example/api", advice).rstrip("/")

    @field_validator("public_url")
    @classmethod
    def _public_address(cls, value: str | None) -> str | None:
        found = None if value is None else _plain_http_address(value, "https://tiering.example").rstrip("/")
        if found is not None and urlsplit(found).path:
            raise ValueError("expected an address without a path such as https://tiering.example")
        return found

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer_address(cls, value: str | None) -> str | None:
        return None if value is None else _plain_http_address(value, "https://login.example/realms/storage")

    @field_validator("oidc_roles")
    @classmethod
    def _known_roles(cls, value: str) -> str:
        roles_of_groups(value)
        return value

    @field_validator("metrics_address")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        host, colon, port = (value or "127.0.0.1:0").rpartition(":")
        if not host or not colon or not port.isdecimal() or int(port) > 65535:
            raise ValueError("expected host:port such as 127.0.0.1:9464")
        return value

    @field_validator("event_secrets")
    @classmethod
    def _strong_secrets(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not keys_of(value.get_secret_value()):
            raise ValueError("holds no secret: make one with `openssl rand -base64 32`")
        return value

    @field_validator("audit_key")
    @classmethod
    def _a_signing_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            from activities.ledger.signing import signing_key_of

            signing_key_of(value.get_secret_value())
        return value

    @field_validator("audit_public_keys")
    @classmethod
    def _public_keys(cls, value: str) -> str:
        if value:
            from activities.ledger.signing import public_keys_of

            public_keys_of(value)
        return value

    @field_validator("state_dir", "policies_dir", "localhub_root", "notify_file")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @model_validator(mode="after")
    def _whole_credentials(self) -> "Settings":
        if self.hub_key is not None and self.hub_password is not None:
            raise ValueError(f"{_variable('hub_key')} and {_variable('hub_password')} are both set: keep one of them")
        if (self.hub_username is None) != (self.hub_password is None):
            raise ValueError(f"{_variable('hub_username')} and {_variable('hub_password')} belong together: set both")
        return self

    @model_validator(mode="after")
    def _whole_issuer(self) -> "Settings":
        if (self.oidc_issuer is None) != (self.oidc_audience is None):
            raise ValueError(f"{_variable('oidc_issuer')} and {_variable('oidc_audience')} belong together: set both")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment alone; what a caller gives wins over it."""
        return init_settings, env_settings


def load_settings(**given: Any) -> Settings:
    """Read the settings; `given` wins over the environment. Raises SettingsError."""
    _refuse_unknown(os.environ)
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError("\n".join(_line(detail) for detail in error.errors(include_input=False))) from None


def variables() -> dict[str, str]:
    """Every variable of ours with what it is for, in the order of declaration."""
    return {
        _variable(name): field.description or ""
        for name, field in Settings.model_fields.items()
        if field.validation_alias is None
    }


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = list(variables())
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]}?" if near else "see README.md for the settings"
            raise SettingsError(f"{name}: no such setting; {hint}")


def _secret_of(file: Path, name: str) -> str:
    try:
        text = file.expanduser().read_text("utf-8").strip()
    except OSError as error:
        raise ValueError(f"{_variable(name)}: cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{_variable(name)}: {file} is not text") from None
    if not text:
        raise ValueError(f"{_variable(name)}: {file} is empty")
    return text


def _plain_http_address(value: str, example: str, advice: str = "credentials do not belong into the address") -> str:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError(f"expected an address such as {example}") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError(advice)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"expected an address such as {example}")
    return value


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _line(detail: Any) -> str:
    message = detail["msg"].removeprefix("Value error, ")
    if not detail["loc"]:
        return str(message)
    name = str(detail["loc"][0])
    return f"{name if name.isupper() else _variable(name)}: {message[:1].lower()}{message[1:]}"
