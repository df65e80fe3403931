"""A receiver of traces on loopback: OTLP over HTTP, as collectors take it."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    trace: bytes
    id: bytes
    parent: bytes
    name: str
    attributes: dict[str, str]


class Receiver:
    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.url = ""

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                for one in scope.spans:
                    attributes = {each.key: each.value.string_value for each in one.attributes}
                    self.spans.append(Span(one.trace_id, one.span_id, one.parent_span_id, one.name, attributes))

    def above(self, span: Span) -> list[str]:
        """Name the spans above one, the nearest first."""
        by_id = {one.id: one for one in self.spans}
        names = []
        while (found := by_id.get(span.parent)) is not None:
            names.append(found.name)
            span = found
        return names


@contextmanager
def receiver() -> Iterator[Receiver]:
    received = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    received.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
