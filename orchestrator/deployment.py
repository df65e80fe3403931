"""The version under which a worker takes part in Temporal's worker deployments.

A workflow's declared versioning behaviour counts only for versioned workers, and Temporal hands tasks to a version only
once it is the current one. The first worker of a newer version makes it current by itself; an older one that is started
again leaves the newer one in place.
"""

import asyncio
from importlib.metadata import version

from packaging.version import InvalidVersion, Version
from temporalio.api.workflowservice.v1 import (
    DescribeWorkerDeploymentRequest,
    SetWorkerDeploymentCurrentVersionRequest,
)
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import WorkerDeploymentConfig

DISTRIBUTION = "tiering-orchestrator"
_LOOKS = 100
_PAUSE = 0.1


def deployment(task_queue: str) -> WorkerDeploymentConfig:
    """Give the deployment of a task queue, with the product's version as its build."""
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(
            deployment_name=f"{DISTRIBUTION}-{task_queue}".replace(".", "-"), build_id=version(DISTRIBUTION)
        ),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )


async def make_current(client: Client, config: WorkerDeploymentConfig) -> None:
    """Make a version current unless a newer one is; the worker must be polling already, or be about to."""
    name, build = config.version.deployment_name, config.version.build_id
    for _ in range(_LOOKS):
        try:
            current = await _current_build(client, name)
            if current is not None and not _is_newer(build, current):
                return
            await client.workflow_service.set_worker_deployment_current_version(
                SetWorkerDeploymentCurrentVersionRequest(
                    namespace=client.namespace, deployment_name=name, build_id=build, identity=client.identity
                )
            )
        except RPCError as error:
            # Until the first poll has reached the server, it knows neither the deployment nor the version.
            if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION):
                raise
            await asyncio.sleep(_PAUSE)
        else:
            return
    raise RuntimeError(f"Temporal does not see the worker of task queue deployment {name}, build {build}")


async def _current_build(client: Client, name: str) -> str | None:
    described = await client.workflow_service.describe_worker_deployment(
        DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=name)
    )
    routing = described.worker_deployment_info.routing_config
    return routing.current_deployment_version.build_id or None


def _is_newer(build: str, current: str) -> bool:
    try:
        return Version(build) > Version(current)
    except InvalidVersion:
        return build != current
