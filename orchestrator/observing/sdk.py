"""Temporal's SDK counts for itself; here it answers on loopback, and the worker's `/metrics` passes it on."""

from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from orchestrator.services import free_port


def counting_runtime() -> tuple[Runtime, str]:
    """Make a runtime that counts, and the address at which it answers."""
    address = f"127.0.0.1:{free_port()}"
    config = PrometheusConfig(bind_address=address, durations_as_seconds=True, counters_total_suffix=True)
    return Runtime(telemetry=TelemetryConfig(metrics=config)), f"http://{address}/metrics"
