"""A service is started so that an interrupt cannot leave its process behind."""

import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.services import Service, StackError, free_port


def test_an_interrupt_in_the_middle_of_a_start_waits_until_the_child_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Any = subprocess.Popen

    def interrupted(*args: Any, **options: Any) -> Any:
        child = real(*args, **options)
        signal.raise_signal(signal.SIGINT)
        return child

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    service = Service(name="a sleeper", command=[sys.executable, "-c", "input()"], log=tmp_path / "log")
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            service.start()
    finally:
        signal.signal(signal.SIGINT, former)
    assert service.mark is not None
    service.stop()
    assert service.mark is None


def test_a_service_is_not_ready_while_somebody_else_answers_on_its_port(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        listens = f"import socket; one = socket.socket(); one.bind(('127.0.0.1', {port})); one.listen(); input()"
        service = Service(name="a listener", command=[sys.executable, "-c", listens], log=tmp_path / "log", port=port)
        service.start()
        with pytest.raises(StackError, match=r"(?s)a listener ended while it started.*Address already in use"):
            service.wait_until_ready()


def test_a_service_is_ready_when_it_answers_itself(tmp_path: Path) -> None:
    port = free_port()
    listens = (
        f"import socket, time; one = socket.socket(); one.bind(('127.0.0.1', {port})); one.listen(); time.sleep(60)"
    )
    service = Service(name="a listener", command=[sys.executable, "-c", listens], log=tmp_path / "log", port=port)
    service.start()
    service.wait_until_ready()
    service.stop()
