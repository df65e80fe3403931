"""`worker`, `up`, `localhub` and `serve`: the processes that stay."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import show
from orchestrator.cli.endings import Ending, Refusal

if TYPE_CHECKING:
    from orchestrator.settings import Settings
    from orchestrator.stack import Stack

_HUB_ANSWERS = 10.0


def worker(
    ready_file: Annotated[Path | None, typer.Option(help="Write this file when the worker works.")] = None,
) -> None:
    """Work on runs until told to stop: the process that talks to the Hub and keeps the runs going."""
    import asyncio

    from activities.memory import use_little_memory
    from orchestrator.logs import configure_logs
    from orchestrator.settings import load_settings
    from orchestrator.stack import running_settings, temporal_is_configured

    settings = running_settings(load_settings())
    configure_logs(settings)
    use_little_memory()
    if settings.hub_url is None:
        raise Refusal("ORCHESTRATOR_HUB_URL is not set. Set it, or use `orchestrator up`, which starts a local Hub.")
    if not temporal_is_configured(settings):
        raise Refusal("TEMPORAL_ADDRESS is not set. Set it, or use `orchestrator up`, which starts Temporal too.")
    asyncio.run(_work(settings, ready_file))


def up(
    api: Annotated[bool, typer.Option("--api/--no-api", help="Whether the HTTP API runs too, on loopback.")] = True,
) -> None:
    """Run all that is needed on this machine: Temporal, a Hub unless one is configured, a worker, and the API."""
    from orchestrator.settings import load_settings
    from orchestrator.stack import API, HUB, TEMPORAL, WORKER, Stack, StackFile

    settings = load_settings()
    before = StackFile.read(settings)
    if before is not None and before.alive():
        raise Refusal(f"It runs already: `orchestrator {before.command}` is process {before.owner[0]}.", Ending.DONE)
    try:
        with Stack(settings, TEMPORAL, HUB, WORKER, *([API] if api else []), tell=show.note) as stack:
            stack.wait_for_worker()
            show.facts(_places(stack))
            show.say("Ready. Ctrl-C stops everything; runs keep their place and go on at the next start.")
            sys.stdout.flush()
            if HUB not in stack.owned:
                _warn_of_hub(stack.settings)
            while True:
                time.sleep(0.5)
                for name in stack.mind():
                    show.note(f"{name} ended by itself and was started again", style="yellow")
    except KeyboardInterrupt:
        show.note("Stopped.")


def localhub(context: typer.Context) -> None:
    """Run the local Hub alone: it tiers folders of this machine; `orchestrator localhub --help` lists its options."""
    from orchestrator.stack import become_local_hub

    become_local_hub(context.args)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8080,
) -> None:
    """Serve the HTTP API with its probes (/healthz, /readyz, /metrics) and the door for events (POST /events)."""
    from orchestrator.logs import configure_logs
    from orchestrator.observing.tracing import traced
    from orchestrator.settings import load_settings
    from orchestrator.web.server import serve as serve_http

    settings = load_settings()
    configure_logs(settings)
    with traced(settings, "api"):
        serve_http(settings, host, port)


def _places(stack: "Stack") -> dict[str, str]:
    from orchestrator.stack import API, HUB, local_hub_mount

    settings = stack.settings
    places = {"Temporal": settings.temporal_address or "as its profile says", "Hub": settings.hub_url or ""}
    if HUB in stack.owned:
        folder, mountpoint = local_hub_mount(settings)
        places["Files"] = f"{folder} = {mountpoint}"
    if API in stack.owned:
        from orchestrator.granting import OWN_FILE, own_token

        own_token(settings, show.actor())
        places |= {"API": stack.services[API].address, "Token": f"{settings.state_dir / OWN_FILE} (an admin's)"}
    return {**places, "State": str(settings.state_dir), "Logs": str(settings.state_dir / "logs")}


def _warn_of_hub(settings: "Settings") -> None:
    """Warn of a Hub that cannot be used now; the worker tries on."""
    import asyncio
    import logging

    from orchestrator.health import Health, hub

    logging.getLogger("activities.hub").setLevel(logging.ERROR)  # One line at the end says it all.
    for found in asyncio.run(hub(settings, within=_HUB_ANSWERS)):
        if found.health is Health.FAIL:
            show.note(f"The {found.about} cannot be used now: {found.sentence}", style="yellow")


async def _work(settings: "Settings", ready_file: Path | None) -> None:
    import asyncio
    import signal

    import structlog

    from orchestrator.observing.working import observed_worker

    told_to_stop = asyncio.Event()
    if ready_file is not None:
        await asyncio.to_thread(ready_file.unlink, missing_ok=True)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` means it.
            asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    log = structlog.get_logger(__name__)
    async with observed_worker(settings):
        log.info("working", task_queue=settings.task_queue, hub=settings.hub_url)
        if ready_file is not None:
            await asyncio.to_thread(ready_file.touch)
        await told_to_stop.wait()
        log.info("stopping")
