"""The routes of applied policies: what the router keeps for `event:` and `after:` triggers."""

import json
from collections.abc import Iterable
from hashlib import sha256

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from activities.applied_policies import keep_policy
from activities.storage import Storage
from orchestrator.applied import ANSWERED_WITHIN, AS_IT_IS, Putting, There, Wanted, answered
from workflows.bursts import RouterState, RouterStatus
from workflows.ids import router_id
from workflows.interfaces import RouteEvents
from workflows.policy import Policy
from workflows.routes import PolicyRoutes, table_of


class Routes:
    """One table of routes for each policy that events start."""

    name = "route"

    def __init__(self, client: Client, task_queue: str, storage: Storage) -> None:
        self._client = client
        self._task_queue = task_queue
        self._storage = storage

    def wanted(self, policy: Policy, version: int) -> list[Wanted]:
        """Give the routes of a policy, all of them as one thing."""
        table = table_of(policy, version)
        if not table.routes:
            return []
        return [Wanted(self.name, policy.name, policy.name, _digest(table), _text(table), (table, policy))]

    async def there(self, known: Iterable[str] = (), policy: str | None = None) -> list[There]:
        """Give the routes that the router keeps."""
        status = await router_status(self._client, self._task_queue)
        return [There(self.name, one.policy, one.policy, _digest(one), _text(one)) for one in status.tables]

    async def put(self, wanted: Wanted, how: Putting = AS_IT_IS) -> None:
        """Keep the policy where the router finds it, and give the router its routes."""
        table, policy = wanted.content
        keep_policy(self._storage, policy)
        start = WithStartWorkflowOperation(
            RouteEvents.run,
            RouterState(),
            id=router_id(self._task_queue),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        async with answered("the routes of events"):
            await self._client.execute_update_with_start_workflow(
                RouteEvents.put_routes, table, start_workflow_operation=start
            )

    async def remove(self, there: There) -> None:
        """Take the routes of a policy away."""
        try:
            async with answered("the routes of events"):
                await router(self._client, self._task_queue).execute_update(RouteEvents.remove_routes, there.policy)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise


def router(client: Client, task_queue: str) -> WorkflowHandle[RouteEvents, None]:
    """Give the router of an installation, which need not run."""
    return client.get_workflow_handle_for(RouteEvents.run, router_id(task_queue))


async def router_status(client: Client, task_queue: str) -> RouterStatus:
    """Ask the router what it keeps; one that was never started keeps nothing."""
    try:
        async with answered("the routes of events"):
            return await router(client, task_queue).query(RouteEvents.status, rpc_timeout=ANSWERED_WITHIN)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return RouterStatus()
        raise


def _digest(table: PolicyRoutes) -> str:
    return sha256(json.dumps(table.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def _text(table: PolicyRoutes) -> str:
    return f"{'; '.join(route.text for route in table.routes)} at {', '.join(table.sites)}"
