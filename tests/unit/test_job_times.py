"""How long a job counts as paused, from what its watch sees of it."""

from activities.hub.states import JobState
from activities.jobs import Watch, _seen
from activities.poller import Watched

SECOND = 1_000_000


def seen(watch: Watch, word: str, at: int) -> Watch:
    watched = Watched("london", 7, 0)
    watched.tell(JobState(word, final=False))
    return _seen(watch, watched, at * SECOND)


def test_a_job_counts_as_paused_from_one_look_that_finds_it_so_to_the_next() -> None:
    watch = Watch(job=7, moved_us=0)
    for at, word in enumerate(["STARTED", "STARTED", "PAUSED", "PAUSED", "PAUSED", "STARTED", "PAUSING", "PAUSED"]):
        watch = seen(watch, word, at)
    assert watch.paused_us == 4 * SECOND


def test_a_hub_or_a_worker_that_was_away_while_the_job_was_paused_does_not_make_it_late() -> None:
    watch = seen(Watch(job=7, moved_us=0), "PAUSED", 1)
    away = Watched("london", 7, 0)
    away.trouble = "no connection"
    watch = _seen(watch, away, 500 * SECOND)
    assert seen(watch, "PAUSED", 601).paused_us == 600 * SECOND
