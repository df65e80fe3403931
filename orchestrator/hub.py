"""Opens the Hub that the settings name."""

from activities.hub.client import Hub
from activities.hub.credentials import credentials_from
from orchestrator.settings import Settings, SettingsError


def open_hub(settings: Settings) -> Hub:
    """Give a client of the Hub, to be used as an async context manager; raises SettingsError when none is named."""
    if settings.hub_url is None:
        raise SettingsError("ORCHESTRATOR_HUB_URL is not set: name a Hub, or start everything here: orchestrator up")
    try:
        credentials = credentials_from(
            key=settings.hub_key, username=settings.hub_username, password=settings.hub_password
        )
    except ValueError as error:
        raise SettingsError(str(error)) from None
    return Hub(
        settings.hub_url,
        credentials=credentials,
        read_timeout=settings.hub_timeout.total_seconds(),
        max_connections=settings.hub_connections,
    )
