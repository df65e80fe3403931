"""A service is started so that an interrupt cannot leave its process behind."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.services import Service


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
