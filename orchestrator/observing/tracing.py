"""Traces over OTLP, from a client through workflows and activities to the Hub's calls; imported only when wanted."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from orchestrator.settings import Settings, SettingsError

_GIVEN_UP_AFTER_MS = 3_000


_current: list[Any] = []  # A process has one set of traces, as it has one set of counters.


@contextmanager
def traced(settings: Settings, service: str) -> Iterator[None]:
    """Trace what this process does for as long as the block lasts, where the settings want it.

    What was not sent at the end of the block gets three seconds. An address that does not answer costs its spans and
    nothing else.
    """
    if settings.traces_url is None:
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise SettingsError(f"ORCHESTRATOR_TRACES_URL needs the extra `otel`: {error.name} is not installed") from None
    provider = TracerProvider(resource=Resource.create({"service.name": f"orchestrator-{service}"}))
    exporter = OTLPSpanExporter(endpoint=f"{settings.traces_url}/v1/traces", timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
    calls = AioHttpClientInstrumentor()
    # Only the path: what is asked for may name files.
    calls.instrument(tracer_provider=provider, url_filter=lambda url: str(url.with_query(None)))
    _current.append(provider)
    try:
        yield
    finally:
        _current.remove(provider)
        calls.uninstrument()
        provider.force_flush(_GIVEN_UP_AFTER_MS)
        provider.shutdown()


def interceptors() -> Sequence[Any]:
    """Give the interceptors for a client of Temporal; none when this process traces nothing."""
    if not _current:
        return ()
    from temporalio.contrib.opentelemetry import TracingInterceptor

    return (TracingInterceptor(_current[-1].get_tracer("orchestrator")),)


def worker_interceptors() -> Sequence[Any]:
    """Give what a worker needs besides the interceptors of its client; nothing when this process traces nothing."""
    if not _current:
        return ()
    from orchestrator.observing.wishes import WishTraces

    return (WishTraces(),)


def traced_application(application: Any) -> Any:
    """Give the web application with a span for each request, or as it is when this process traces nothing."""
    if not _current:
        return application
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    return OpenTelemetryMiddleware(
        application,
        tracer_provider=_current[-1],
        exclude_spans=["send", "receive"],
        server_request_hook=_without_query,
    )


def _without_query(span: Any, scope: Any) -> None:
    """What is asked for may name files: of an address only the path is kept."""
    for name in ("http.url", "http.target", "url.full", "url.query"):
        if name in (span.attributes or {}):
            span.set_attribute(name, "" if name == "url.query" else scope.get("path", ""))
