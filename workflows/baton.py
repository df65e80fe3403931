"""The pace of a run in the hands of a segment: ours until we drain, then the run only hears what we still learn."""

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from workflows.adapting import SlotsStep
    from workflows.breaking import BreakerChange, Tried
    from workflows.pace import Note, Pace, PaceState
    from workflows.run import Draining, Segment, Steering
    from workflows.steering import ADAPTED, BREAKER, SEGMENT_DRAINS


class Baton:
    """Holds the pace and hands it over with the first word of draining; `notes` are what came after that."""

    def __init__(self, segment: Segment) -> None:
        self.pace = Pace(segment.breaker, segment.steering.rate, segment.pace, segment.bounds)
        self._followed = segment.followed
        self._slots = segment.steering.slots
        self._notes: list[Note] | None = None

    @property
    def has_pace(self) -> bool:
        """Tell whether the pace is ours."""
        return self._notes is None

    @property
    def state(self) -> PaceState | None:
        """The pace at the end, when nobody has taken it."""
        return self.pace.state if self._notes is None else None

    @property
    def notes(self) -> tuple[Note, ...]:
        """What nobody has been told of yet."""
        return tuple(self._notes or ())

    def steer(self, steering: Steering) -> None:
        """Take over what the run says."""
        self._slots = steering.slots
        self.pace.steer(steering.rate, steering.resumes, workflow.now())

    def hear(self, notes: tuple[Note, ...]) -> None:
        """Take what the segment before this one still learned."""
        self.pace.hear(notes, self._slots, workflow.now())

    def sent(self, files: int, size: int, *, again: bool) -> None:
        """Charge what a batch sent; one that is sent again was counted as begun before."""
        if self._notes is not None or again:
            self.note(Note(files=files, bytes=size))
        else:
            self.pace.sent(files, size, workflow.now())

    def begun_again(self, tried: Tried) -> Tried:
        """Count a batch once more that is sent again, where the breaker has opened since it was begun."""
        if not self.has_pace or tried.era == self.pace.breaker.state.era:
            return tried
        return tried.model_copy(update={"era": self.pace.breaker.begun()})

    def note(self, note: Note) -> None:
        """Take what we learn ourselves."""
        if not self.pace.counts:
            return
        if self._notes is None:
            self.hear((note,))
        else:
            self._notes.append(note)

    async def tell_draining(self, in_flight: int, begun: int) -> None:
        """Say that nothing is left to begin, hand the pace over, and pass on what was learned since."""
        parent = workflow.info().parent
        if parent is None or not self._followed:
            return
        handle = workflow.get_external_workflow_handle(parent.workflow_id, run_id=parent.run_id)
        pace, notes = self.state, self.notes
        self._notes = []
        name = workflow.info().workflow_id
        draining = Draining(segment=name, in_flight=in_flight, begun=begun, pace=pace, notes=notes)
        try:
            await handle.signal(SEGMENT_DRAINS, draining)
        except FailureError:
            workflow.logger.warning("the run did not hear that its segment drains")

    async def tell_run(self) -> None:
        """Tell the run how the breaker stands now, and of its concurrency, if that is news."""
        for change in self.pace.changes():
            await self._tell(BREAKER, change)
        for step in self.pace.steps():
            await self._tell(ADAPTED, step)

    async def _tell(self, word: str, news: BreakerChange | SlotsStep) -> None:
        parent = workflow.info().parent
        if parent is None:
            return
        handle = workflow.get_external_workflow_handle(parent.workflow_id, run_id=parent.run_id)
        try:
            await handle.signal(word, news)
        except FailureError:
            workflow.logger.warning("the run did not hear what its segment told")
