"""One service of this machine's stack: a child process with a log, an address and a way to see that it is ready."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil

from orchestrator import launcher

_ROTATE_AT = 16 << 20
_PATIENCE = 30.0


class StackError(RuntimeError):
    """A service of this machine cannot be started or does not stay up."""


class ProcessMark(NamedTuple):
    """A process of this machine, told from a later one with the same id by its time of creation."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> "ProcessMark":
        """Mark a process that is alive."""
        return cls(pid, psutil.Process(pid).create_time())

    def alive(self) -> bool:
        """Whether that very process still runs."""
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.created) < 0.05 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def end(self, patience: float = 5.0) -> None:
        """Ask the process to end, and make it end when it does not."""
        if not self.alive():
            return
        try:
            process = psutil.Process(self.pid)
            process.terminate()
            process.wait(patience)
        except psutil.TimeoutExpired:
            process.kill()
        except psutil.NoSuchProcess:
            return


@dataclass
class Service:
    """A child process: started, watched, started again when it falls, stopped."""

    name: str
    command: list[str]
    log: Path
    address: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    ready_file: Path | None = None
    patience: float = 10.0
    _child: subprocess.Popen[bytes] | None = None
    _falls: list[float] = field(default_factory=list)

    @property
    def mark(self) -> ProcessMark | None:
        """Which process it is, if it runs."""
        return ProcessMark.of(self._child.pid) if self._child is not None and self.alive() else None

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start the process; it ends when this process ends, however that happens."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.ready_file is not None:
            self.ready_file.unlink(missing_ok=True)
        if self.log.exists() and self.log.stat().st_size > _ROTATE_AT:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log, _uninterrupted():
            self._child = subprocess.Popen(
                [sys.executable, "-I", "-S", launcher.__file__, str(os.getpid()), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Return when the service answers. Raises StackError with the last lines of its log."""
        deadline = time.monotonic() + _PATIENCE
        while not self._is_ready():
            if not self.alive():
                raise StackError(f"{self.name} ended while it started.{self.last_words()}")
            if time.monotonic() > deadline:
                raise StackError(f"{self.name} did not answer within {_PATIENCE:.0f} s.{self.last_words()}")
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        listens = self.port is None or (accepts(self.port) and self._listens(self.port))
        return listens and (self.ready_file is None or self.ready_file.exists())

    def _listens(self, port: int) -> bool:
        """Tell whether it is our own process that answers there: another one may have taken the port meanwhile."""
        if self._child is None:
            return False
        try:
            process = psutil.Process(self._child.pid)
            ours = [process, *process.children(recursive=True)]
            found = [one.laddr.port for each in ours for one in each.net_connections("tcp") if one.status == "LISTEN"]
        except psutil.AccessDenied:  # Some systems tell nobody of sockets.
            return self.alive()
        except psutil.NoSuchProcess:
            return False
        return port in found

    def restart_if_fallen(self) -> bool:
        """Start the process again if it ended by itself; give up when it keeps falling. Raises StackError."""
        if self._child is None or self.alive():
            return False
        now = time.monotonic()
        self._falls = [*(fall for fall in self._falls if now - fall < 60), now]
        if len(self._falls) > 5:
            raise StackError(f"{self.name} keeps ending (code {self._child.returncode}).{self.last_words()}")
        self.start()
        return True

    def stop(self) -> None:
        """Ask the process to end; make it end when its patience is over."""
        child = self._child
        if child is None:
            return
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(self.patience)
            except subprocess.TimeoutExpired:
                self.kill()
        self._child = None

    def kill(self) -> None:
        """End the process at once."""
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait()

    def last_words(self, lines: int = 8) -> str:
        """The end of the log, for a person who must find out why the service is not there."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - 8192))
                words = log.read().decode("utf-8", "replace").splitlines()[-lines:]
        except OSError:
            words = []
        shown = "".join(f"\n  | {line[:300]}" for line in words)
        return f" The end of {self.log}:{shown}" if shown else f" {self.log} is empty."


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let an interrupt wait until a new child is known: one that came in between would leave it running for a while."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    former = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if callable(handler := signal.getsignal(number))
    }
    for number in former:
        signal.signal(number, lambda number, frame: caught.append(number))
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        if caught:
            signal.raise_signal(caught[0])


def free_port(preferred: int = 0) -> int:
    """Find a free port on loopback; the preferred one if it is free."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StackError("no free port on 127.0.0.1")


def accepts(port: int) -> bool:
    """Whether something accepts connections on that port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        # A probe of a port nobody listens on can, once in a while, connect to itself.
        return probe.connect_ex(("127.0.0.1", port)) == 0 and probe.getsockname() != probe.getpeername()
