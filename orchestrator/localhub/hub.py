"""The local Hub as one object: its state, its files, and the threads that work."""

import json
import logging
import sqlite3
import threading
from collections import Counter
from typing import Any

from orchestrator.localhub.alerts import Alerts
from orchestrator.localhub.auth import Auth
from orchestrator.localhub.bytestream import Throttle
from orchestrator.localhub.claims import Claims
from orchestrator.localhub.clock import now_us
from orchestrator.localhub.config import LocalHubConfig
from orchestrator.localhub.dialect import dialect_named
from orchestrator.localhub.documents import Documents
from orchestrator.localhub.faults import Faults
from orchestrator.localhub.jobs import Jobs
from orchestrator.localhub.names import Mount
from orchestrator.localhub.namespace import Namespace
from orchestrator.localhub.pools import Pools, PoolUse
from orchestrator.localhub.runner import Runner
from orchestrator.localhub.searches import Searches
from orchestrator.localhub.spaces import Spaces
from orchestrator.localhub.store import Store
from orchestrator.localhub.target import Target
from orchestrator.localhub.tiering import Tiering
from orchestrator.localhub.tree import Tree
from orchestrator.localhub.work import Ground
from orchestrator.localhub.workflows import Workflows

log = logging.getLogger(__name__)
_DAY_US = 86_400_000_000
_EVERY_SECONDS = 30
_OLD_EVERY = 120
_CONFIGURATIONS: dict[str, Any] = {
    "analytics_timeout": 10,
    "custom_statistics_tasks": {},
    "force_local_managed_users": False,
    "health_timeout": 10,
    "initial_gid": 1000,
    "initial_uid": 1000,
    "jobs_ttl": 30,
    "maximum_external_results": 1000,
    "node_health_last_heartbeat_interval": 60,
    "salt_task_timeout": 60.0,
    "schedules_enabled": True,
    "search_backend": "local",
    "search_max_results": 1_000_000,
    "search_result_ttl": 1,
    "snapdiff_stream_timeout": 10,
    "snapshot_create_delete_retry_timeout": 60,
    "stat_refresh_period": 0,
    "stat_timeout": 10,
    "task_invalidation_timeout": 10,
}


class LocalHub:
    """Everything that the operations work with."""

    def __init__(self, config: LocalHubConfig) -> None:
        config.state.mkdir(parents=True, exist_ok=True)
        self.config = config
        self.node = f"{config.site}-node1"
        self.queues = {"default": config.threads, "bulk": max(1, config.threads // 2)}
        self.dialect = dialect_named(config.dialect)
        self.counters: Counter[str] = Counter()
        self.throttle = Throttle(config.file_delay, config.bytes_per_second)
        self.store = Store(config.state / "hub.sqlite")
        self.auth = Auth(self.store, config)
        self.mount = Mount(config.mountpoint.encode())
        files, target = Tree(config.filesystem), Target(config.target, self.throttle)
        for space in config.spaces:
            (config.filesystem / space).mkdir(exist_ok=True)
        self.spaces = Spaces(self.store, self.mount, config.filesystem)
        self.namespace = Namespace(self.store, self.mount, files)
        self.pools = Pools(files, target.tree, config.capacity, config.target_capacity)
        self.alerts = Alerts(self.store, config.low_space_mark)
        self.workflows = Workflows(self.store)
        self.jobs = Jobs(self.store)
        self.searches = Searches(self.store, self.mount, files)
        self.documents = Documents(self.store)
        self.documents.add_samples(config.site, config.mountpoint.strip("/"), config.mountpoint)
        self.target = target
        self.faults = Faults(self.store)
        self.faults.load()
        if config.faults is not None:
            self.faults.set(json.loads(config.faults.read_bytes()))
        ground = Ground(self.store, self.mount, files, target, self.pools, Claims(), self.throttle)
        self.runner = Runner(self.store, self.jobs, Tiering(ground, self.faults), ground, self.queues)
        self._ending = threading.Event()
        self._housekeeping = threading.Thread(target=self._keep_house, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Clean up after the last time, and begin to work."""
        self.forget_old()
        self.runner.start()
        self._housekeeping.start()

    def stop(self) -> None:
        """Finish the files in hand, and close."""
        self._ending.set()
        self._housekeeping.join()
        self.searches.close()
        self.runner.stop()
        self.store.close()

    def forget_old(self) -> None:
        """Delete jobs and searches that are older than the configuration says."""
        configuration = self.configurations()
        self.jobs.forget_old(now_us() - int(configuration["jobs_ttl"]) * _DAY_US)
        self.searches.forget_old(now_us() - int(configuration["search_result_ttl"]) * _DAY_US)

    def take_up(self, job: int) -> None:
        """Give a job to the threads."""
        row = self.jobs.get(job)
        if row is not None:
            self.runner.add(row)

    def measure(self) -> list[PoolUse]:
        """Measure the pools, and raise or resolve the alerts that follow."""
        pools = self.pools.measure()
        self.alerts.look(pools)
        return pools

    def queue_names(self) -> list[str]:
        """Give the queues in the order of their numbers."""
        return list(self.queues)

    def configurations(self) -> dict[str, Any]:
        """Give the Hub's configuration."""
        row = self.store.read().execute("SELECT value FROM meta WHERE key = 'configurations'").fetchone()
        default = _CONFIGURATIONS | {"default_space_location": self.config.mountpoint}
        return default | (json.loads(row["value"]) if row else {})

    def _keep_house(self) -> None:
        """Look at the pools' levels now and then, and at old jobs more rarely."""
        turn = 0
        while not self._ending.wait(_EVERY_SECONDS):
            turn += 1
            try:
                self.measure()
                if turn % _OLD_EVERY == 0:
                    self.forget_old()
            except (OSError, sqlite3.Error):
                log.exception("housekeeping failed; it is tried again")
