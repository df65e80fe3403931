"""The gate before the work: a plan that needs a person's word waits here, for days if need be."""

from collections.abc import Callable

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.run import ApprovalWanted, Decision


SAID_WHILE_PAUSED = "a word on a paused run is answered"
"""The patch with which whoever decides on a paused run hears at once that it waits to be resumed."""


class Gate:
    """Shut while `wanted` is set; the first decision that fits is handed to the run, which says when it has acted."""

    def __init__(self) -> None:
        self.wanted: ApprovalWanted | None = None
        self._decision: Decision | None = None

    @property
    def decided(self) -> bool:
        """Whether somebody has decided and the run still acts on it."""
        return self._decision is not None

    async def wait(self, wanted: ApprovalWanted, stopped: Callable[[], bool]) -> Decision | None:
        """Wait for a decision; None when the plan expired, or when the run was stopped."""
        self.wanted = wanted
        try:
            await workflow.wait_condition(
                lambda: self._decision is not None or stopped(), timeout=wanted.expires - workflow.now()
            )
        except TimeoutError:
            return None
        return self._decision

    async def decide(self, decision: Decision, acts_later: Callable[[], bool]) -> None:
        """Hand a decision over, and return when the run has acted on it, or will once it is resumed."""
        self._decision = decision
        later = acts_later if workflow.patched(SAID_WHILE_PAUSED) else lambda: False
        await workflow.wait_condition(lambda: self.wanted is None or later())

    def close(self) -> None:
        """Nothing waits here any more."""
        self.wanted = None
        self._decision = None
