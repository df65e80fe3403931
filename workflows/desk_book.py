"""The book of a desk: which runs are open, what has arrived, what waits, what was answered. Plain values, no engine."""

from collections.abc import Iterator

from workflows.starts import DeskState, OpenRun, Start, StartState, Waiting, Wish
from workflows.turns import in_turn, may_begin

MOST_REMEMBERED = 500
"""So many of the last answers a desk can still give; all of them are in the audit."""

MOST_WHY = 300
"""Characters of a reason that a desk keeps; the audit has the whole of it."""


class DeskBook:
    """What a desk knows; all of it travels in one value when the desk takes a fresh history."""

    def __init__(self, state: DeskState) -> None:
        self.site = state.site
        self.queue = state.queue
        self.open = {run.run: run for run in state.open}
        self.arrived = {wish.key: wish for wish in state.arrived}
        self.waiting = {one.wish.key: one for one in state.waiting}
        self._answers = {answer.key: answer for answer in state.answers}

    def answer(self, key: str) -> Start | None:
        """Give what became of a wish, of one of the last wishes."""
        return self._answers.get(key)

    def is_over(self, key: str) -> bool:
        """Tell whether a wish is known to have begun, or not to begin."""
        answer = self._answers.get(key)
        return answer is not None and answer.state is not StartState.QUEUED

    def remember(self, answer: Start) -> None:
        """Keep an answer, and forget the oldest one when there are too many."""
        self._answers.pop(answer.key, None)
        self._answers[answer.key] = answer.model_copy(update={"why": shortened(answer.why)})
        while len(self._answers) > MOST_REMEMBERED:
            del self._answers[next(iter(self._answers))]

    def of_policy(self, policy: str) -> tuple[str, ...]:
        """Name the open runs of a policy."""
        return tuple(run.run for run in self.open.values() if run.policy == policy)

    def next_ones(self) -> Iterator[Wish]:
        """Give the waiting wishes, the next one first, whose own policy lets them begin at the moment of asking."""
        for one in in_turn(list(self.waiting.values())):
            if one.wish.key in self.waiting and may_begin(one.wish, tuple(self.open.values())):
                yield one.wish

    def state(self) -> DeskState:
        """Give all of it, for a fresh history."""
        return DeskState(
            site=self.site,
            queue=self.queue,
            open=tuple(self.open.values()),
            arrived=tuple(self.arrived.values()),
            waiting=tuple(self.waiting.values()),
            answers=tuple(self._answers.values()),
        )

    def begun(self, run: OpenRun, key: str) -> Waiting:
        """Move a wish from the queue to the open runs."""
        self.open[run.run] = run
        return self.waiting.pop(key)


def shortened(why: str) -> str:
    """Cut a reason to what a desk keeps of it."""
    return why if len(why) <= MOST_WHY else why[: MOST_WHY - 1] + "…"
