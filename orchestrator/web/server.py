"""Serves the application until a signal comes; live connections end first, so that nothing hangs at the end."""

from types import FrameType
from typing import Final

import uvicorn

from orchestrator.observing.tracing import traced_application
from orchestrator.settings import Settings
from orchestrator.web.app import application

ENDS_WITHIN: Final = 10
"""Seconds that requests in hand get at the end."""
_MOST_CONNECTIONS: Final = 1000
_LARGEST_HEADERS: Final = 32 * 1024


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until told to stop."""
    app = application(settings)
    config = uvicorn.Config(
        traced_application(app),
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=ENDS_WITHIN,
        limit_concurrency=_MOST_CONNECTIONS,
        h11_max_incomplete_event_size=_LARGEST_HEADERS,
    )

    class Server(uvicorn.Server):
        """uvicorn's server, which lets the live connections go before it waits for all others."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            app.state.installation.live.close()
            super().handle_exit(sig, frame)

    Server(config).run()
