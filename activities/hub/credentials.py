"""The two ways to prove to a Hub who we are; neither shows its secret."""

from dataclasses import dataclass, field

from pydantic import SecretStr


@dataclass(frozen=True)
class ApiKey:
    """A client key made in the Hub."""

    key: SecretStr = field(repr=False)


@dataclass(frozen=True)
class Password:
    """A Hub user, exchanged for short-lived tokens."""

    username: str
    password: SecretStr = field(repr=False)


Credentials = ApiKey | Password


def credentials_from(
    *,
    key: SecretStr | str | None = None,
    username: str | None = None,
    password: SecretStr | str | None = None,
) -> Credentials:
    """Choose the way that the given values allow; a client key wins. Raises ValueError when neither is complete."""
    if key is not None and _plain(key):
        return ApiKey(SecretStr(_plain(key)))
    if username and password is not None and _plain(password):
        return Password(username, SecretStr(_plain(password)))
    raise ValueError(
        "no Hub credentials: set ORCHESTRATOR_HUB_KEY (or _HUB_KEY_FILE), "
        "or both ORCHESTRATOR_HUB_USERNAME and ORCHESTRATOR_HUB_PASSWORD"
    )


def _plain(secret: SecretStr | str) -> str:
    return (secret.get_secret_value() if isinstance(secret, SecretStr) else secret).strip()
