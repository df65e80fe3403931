"""A few milliseconds with the audit or the storage: at once in this worker, or patiently where they are away."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from workflows.options import AT_ONCE_OR_LATER, RECORD

Argument = TypeVar("Argument")
Result = TypeVar("Result")


async def at_once(method: Callable[[Any, Argument], Awaitable[Result]], argument: Argument) -> Result:
    """Do it as a local activity; after a few seconds of trouble as one whose retries leave no trace in the history.

    A local one writes an event for each of its retries: a weekend without the audit would be the end of the workflow.
    Raises what the second one raises.
    """
    try:
        return await workflow.execute_local_activity_method(method, argument, **AT_ONCE_OR_LATER)
    except FailureError:
        workflow.logger.info("it could not be done at once", exc_info=True)
    return await workflow.execute_activity_method(method, argument, **RECORD)
