"""What may be asked of the engine's workflows, for clients: each one's words with their types, nothing of its work.

A client that imports a workflow itself imports every activity behind it, and the libraries of those. Each class here
has the name of the workflow that answers, in whose class the words are described; a test holds the two together.
"""

from typing import NoReturn

from temporalio import workflow

from workflows.bursts import RouterState, RouterStatus
from workflows.pools import WatchEntry, WatchState, WatchStatus
from workflows.routes import PolicyRoutes
from workflows.run import (
    Cancelling,
    Decision,
    NewLimits,
    Pausing,
    Person,
    Resuming,
    RetryingFailed,
    RunReport,
    RunRequest,
    RunStatus,
    Segment,
    SegmentReport,
    SegmentStatus,
    SkippingStage,
)
from workflows.scheduled import Keep, KeeperStatus
from workflows.starts import DeskState, DeskStatus, Start, Wish


@workflow.defn
class RunPolicy:
    @workflow.run
    async def run(self, request: RunRequest) -> RunReport:
        _elsewhere()

    @workflow.query
    def status(self) -> RunStatus:
        _elsewhere()

    @workflow.update
    async def decide(self, decision: Decision) -> RunStatus:
        _elsewhere()

    @workflow.update
    async def pause(self, pausing: Pausing) -> RunStatus:
        _elsewhere()

    @workflow.update
    async def resume(self, resuming: Resuming) -> RunStatus:
        _elsewhere()

    @workflow.update
    async def set_limits(self, limits: NewLimits) -> RunStatus:
        _elsewhere()

    @workflow.update
    async def hurry(self, person: Person) -> RunStatus:
        _elsewhere()

    @workflow.update
    async def cancel(self, person: Cancelling) -> RunStatus:
        _elsewhere()

    @workflow.update
    async def skip_stage(self, skipping: SkippingStage) -> RunStatus:
        _elsewhere()

    @workflow.update
    async def retry_failed(self, asking: RetryingFailed) -> RunStatus:
        _elsewhere()


@workflow.defn
class RunBatches:
    @workflow.run
    async def run(self, segment: Segment) -> SegmentReport:
        _elsewhere()

    @workflow.query
    def status(self) -> SegmentStatus:
        _elsewhere()


@workflow.defn
class RunDesk:
    @workflow.run
    async def run(self, state: DeskState) -> None:
        _elsewhere()

    @workflow.signal
    def want(self, wish: Wish) -> None:
        _elsewhere()

    @workflow.signal
    def look(self) -> None:
        _elsewhere()

    @workflow.query
    def about(self, key: str) -> Start | None:
        _elsewhere()

    @workflow.query
    def status(self) -> DeskStatus:
        _elsewhere()


@workflow.defn
class RouteEvents:
    @workflow.run
    async def run(self, state: RouterState) -> None:
        _elsewhere()

    @workflow.update
    async def put_routes(self, table: PolicyRoutes) -> None:
        _elsewhere()

    @workflow.update
    async def remove_routes(self, policy: str) -> None:
        _elsewhere()

    @workflow.query
    def status(self) -> RouterStatus:
        _elsewhere()


@workflow.defn
class KeepSchedules:
    @workflow.run
    async def run(self, keep: Keep) -> None:
        _elsewhere()

    @workflow.signal
    def look(self) -> None:
        _elsewhere()

    @workflow.query
    def status(self) -> KeeperStatus:
        _elsewhere()


@workflow.defn
class WatchPool:
    @workflow.run
    async def run(self, state: WatchState) -> None:
        _elsewhere()

    @workflow.update
    async def put(self, entry: WatchEntry) -> None:
        _elsewhere()

    @workflow.update
    async def remove(self, key: str) -> None:
        _elsewhere()

    @workflow.query
    def status(self) -> WatchStatus:
        _elsewhere()


def _elsewhere() -> NoReturn:
    raise NotImplementedError("the worker runs the workflow itself, not what its clients know of it")
