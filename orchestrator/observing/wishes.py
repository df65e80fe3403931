"""A run belongs to the trace of who wished for it, not to that of who once woke its site's desk."""

from typing import Any

from opentelemetry import context, propagate
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadConverter
from temporalio.worker import (
    HandleSignalInput,
    Interceptor,
    StartChildWorkflowInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

HEADER = "_tracer-data"
"""Where the SDK's own interceptor keeps the context of a call."""

MOST_WISHES = 1_000
_DESK, _WANT = "RunDesk", "want"


class WishTraces(Interceptor):
    """Stands after the SDK's tracing in a worker, so that its word is heard before a child is begun."""

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        """Put ours into every workflow; it does something in desks alone."""
        return _Heard


class _Heard(WorkflowInboundInterceptor):
    def __init__(self, next: WorkflowInboundInterceptor) -> None:
        super().__init__(next)
        self._wished: dict[str, Payload] = {}

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Begun(outbound, self._wished))

    async def handle_signal(self, input: HandleSignalInput) -> None:
        if input.signal == _WANT and workflow.info().workflow_type == _DESK:
            run, header = getattr(input.args[0], "run", ""), input.headers.get(HEADER)
            if run and header is not None and len(self._wished) < MOST_WISHES:
                self._wished[run] = header
        await super().handle_signal(input)


class _Begun(WorkflowOutboundInterceptor):
    def __init__(self, next: WorkflowOutboundInterceptor, wished: dict[str, Payload]) -> None:
        super().__init__(next)
        self._wished = wished

    async def start_child_workflow(self, input: StartChildWorkflowInput) -> workflow.ChildWorkflowHandle[Any, Any]:
        if workflow.info().workflow_type != _DESK:
            return await super().start_child_workflow(input)
        header = self._wished.pop(input.id, None)
        carrier = {} if header is None else PayloadConverter.default.from_payloads([header])[0]
        token = context.attach(propagate.extract(carrier, context.Context()))
        try:
            return await super().start_child_workflow(input)
        finally:
            context.detach(token)
