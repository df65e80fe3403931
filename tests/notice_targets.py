"""Targets for notices on loopback: a webhook and a mail server that can be down, slow, or hang."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller


class Webhook:
    """Takes Apprise's JSON; `down` answers 503, `held` keeps every answer back until it is set."""

    def __init__(self, port: int = 0) -> None:
        self.got: list[dict[str, Any]] = []
        self.asked = 0
        self.down = False
        self.arrived = threading.Event()
        self.held: threading.Event | None = None
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                hook.asked += 1
                if not hook.down:
                    hook.got.append(body)
                hook.arrived.set()
                if hook.held is not None:
                    hook.held.wait(20)
                try:
                    self.send_response(503 if hook.down else 200)
                    self.end_headers()
                except OSError:
                    return  # Whoever sent it is dead.

            def log_message(self, format: str, *args: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def titles(self) -> list[str]:
        return [one["title"] for one in self.got]

    def url(self, secret: str = "") -> str:
        return f"json://{f'user:{secret}@' if secret else ''}127.0.0.1:{self.port}/{secret}"

    def stop(self) -> None:
        if self.held is not None:
            self.held.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def webhook(port: int = 0) -> Iterator[Webhook]:
    opened = Webhook(port)
    try:
        yield opened
    finally:
        opened.stop()


class _Inbox:
    def __init__(self) -> None:
        self.got: list[Message] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.got.append(message_from_bytes(envelope.content))
        return "250 OK"


@contextmanager
def mail_server() -> Iterator[tuple[_Inbox, int]]:
    inbox, port = _Inbox(), _free_port()
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield inbox, port
    finally:
        controller.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
