"""The range of a run's end: over simulated campaigns the true end lies in it, and it is not absurdly wide."""

from datetime import UTC, datetime, timedelta
from itertools import product
from statistics import median

import pytest

from orchestrator.reporting.clock import Clock, clock_of
from orchestrator.reporting.eta import Eta, Ladder, PastJob, Rest, estimate, slot_times
from tests.unit.campaigns import START, Campaign
from workflows.running import Window

SHARES = (0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97)
NIGHTS = clock_of(
    (Window.model_validate({"days": "mon-fri", "from": "19:00", "to": "07:00", "timezone": "Europe/Berlin"}),),
    datetime.fromtimestamp(START, UTC),
    datetime.fromtimestamp(START, UTC) + timedelta(days=400),
)
"""The clocks change in the first weekend; the campaign begins with the first night."""


def looks(campaign: Campaign) -> list[tuple[Eta, float, float]]:
    """The range at several moments from 20 % on, with the true end and the time that was left."""
    found = []
    for share in SHARES:
        now = campaign.at_share(share)
        eta = estimate(*campaign.seen(now), campaign.clock)
        assert eta is not None
        found.append((eta, campaign.end, campaign.end - now))
    return found


@pytest.mark.parametrize(("slots", "noise"), list(product((1, 4, 16), (0.05, 0.3, 0.6))))
def test_the_true_end_of_a_steady_campaign_lies_in_the_range_from_a_fifth_on(slots: int, noise: float) -> None:
    for seed, batches in enumerate((120, 400, 1500)):
        for eta, end, left in looks(Campaign(seed, batches, slots, 90.0, noise)):
            assert eta.start <= end <= eta.end, (batches, (end - eta.likely) / left)
            assert eta.start <= eta.likely <= eta.end


@pytest.mark.parametrize(("slots", "mean"), [(1, 300.0), (2, 1_500.0), (4, 6_000.0), (8, 2_000.0), (16, 12_000.0)])
def test_it_lies_there_with_nightly_windows_over_weekends_and_a_change_of_the_clocks(slots: int, mean: float) -> None:
    for seed, noise in enumerate((0.05, 0.3, 0.6)):
        batches = int(8 * 12 * 3600 * slots / mean)  # about eight nights
        campaign = Campaign(seed, batches, slots, mean, noise, NIGHTS)
        assert campaign.end > START + 8 * 86_400
        for eta, end, left in looks(campaign):
            assert eta.start <= end <= eta.end, (noise, left, end - eta.start, eta.end - end)


def test_it_lies_there_when_a_rate_and_not_the_slots_sets_the_pace() -> None:
    for seed, (slots, factor) in enumerate(product((1, 4, 16), (0.6, 1.5, 4.0))):
        for eta, end, left in looks(Campaign(seed, 500, slots, 60.0, 0.3, spacing=factor * 60.0 / slots)):
            assert eta.start <= end <= eta.end, (slots, factor, left)


def test_the_range_is_a_fraction_of_the_time_that_is_left() -> None:
    widths = [
        (eta.end - eta.start) / left
        for seed, (slots, noise) in enumerate(product((1, 4, 16), (0.05, 0.3, 0.6)))
        for eta, _, left in looks(Campaign(seed, 1000, slots, 90.0, noise))[:4]
    ]
    assert median(widths) < 0.2
    assert max(widths) < 0.6


def test_before_jobs_have_ended_nothing_is_said() -> None:
    campaign = Campaign(1, 100, 4, 60.0, 0.3)
    for share in (0.0, 0.01, 0.02):
        past, rest = campaign.seen(campaign.at_share(share))
        assert len(past) < 3
        assert estimate(past, rest, Clock()) is None


def test_the_first_jobs_to_end_are_the_short_ones_and_do_not_promise_too_much() -> None:
    jobs = [PastJob(START, START + seconds) for seconds in (50, 55, 60)]
    rest = Rest(START + 61, 16, (61.0,) * 13, 160)
    eta = estimate(jobs, rest, Clock())
    assert eta is not None
    assert eta.likely > START + 11 * 60, "thirteen of sixteen last longer than these three"


def test_failed_files_are_tried_again_after_their_wait_and_perhaps_for_ever() -> None:
    campaign = Campaign(1, 200, 4, 60.0, 0.1)
    past, rest = campaign.seen(campaign.at_share(0.5))
    plain = estimate(past, rest, Clock())
    ladder = Ladder(files=10, batch_files=1000, waits=(600.0, 3600.0))
    retried = estimate(past, Rest(rest.now, 4, rest.in_flight, rest.batches, ladder), Clock())
    assert plain is not None and retried is not None
    assert retried.start >= plain.start + 600
    assert retried.end >= plain.end + 600 + 3600


def test_a_rate_that_is_set_while_it_runs_moves_the_end() -> None:
    past, rest = (campaign := Campaign(1, 200, 4, 60.0, 0.1)).seen(campaign.at_share(0.5))
    eta = estimate(past, Rest(rest.now, 4, rest.in_flight, rest.batches, spacing=120.0), Clock())
    assert eta is not None
    assert eta.start > rest.now + 0.95 * 120 * rest.batches


def test_more_slots_bring_the_end_nearer() -> None:
    past, rest = (campaign := Campaign(1, 400, 4, 60.0, 0.1)).seen(campaign.at_share(0.5))
    few, many = (estimate(past, Rest(rest.now, n, (5.0,) * n, rest.batches), Clock()) for n in (4, 16))
    assert few is not None and many is not None
    assert (many.likely - rest.now) < 0.35 * (few.likely - rest.now)


def test_slots_that_a_limit_keeps_empty_do_no_work() -> None:
    past, rest = (campaign := Campaign(1, 400, 4, 60.0, 0.1)).seen(campaign.at_share(0.5))
    few, limited = (estimate(past, Rest(rest.now, n, rest.in_flight, rest.batches), Clock()) for n in (4, 16))
    assert few == limited


def test_a_pause_in_the_past_is_not_taken_for_slowness() -> None:
    jobs = [PastJob(START + n * 10, START + n * 10 + 9.9) for n in range(50)]
    jobs += [PastJob(START + 5000 + n * 10, START + 5000 + n * 10 + 9.9) for n in range(50)]
    rest = Rest(START + 5500, 1, (), 100)
    was = Clock().without([(START + 500, START + 5000)])
    eta = estimate(jobs, rest, Clock(), was)
    assert eta is not None
    assert eta.end < rest.now + 1100
    assert max(slot_times(jobs, was)) < 11


def test_the_wait_before_a_round_is_not_taken_for_slowness() -> None:
    jobs = [PastJob(START + n * 10, START + n * 10 + 9.9, round=1) for n in range(20)]
    jobs += [PastJob(START + 9000 + n * 10, START + 9000 + n * 10 + 9.9, round=2) for n in range(20)]
    assert max(slot_times(jobs, Clock())) < 11


def test_where_no_window_is_known_to_open_the_end_is_unknown() -> None:
    past, rest = (campaign := Campaign(1, 400, 4, 60.0, 0.1)).seen(campaign.at_share(0.5))
    eta = estimate(past, rest, Clock([(START, rest.now + 60)]))
    assert eta is not None and eta.end == float("inf")


def test_a_deadline_ends_the_run_before_its_work_does() -> None:
    past, rest = (campaign := Campaign(1, 400, 4, 60.0, 0.1)).seen(campaign.at_share(0.2))
    eta = estimate(past, Rest(rest.now, 4, rest.in_flight, rest.batches, deadline=rest.now + 600), Clock())
    assert eta == Eta(rest.now + 600, rest.now + 600, rest.now + 600)


def test_a_hundred_thousand_batches_cost_no_more_than_a_thousand() -> None:
    past, rest = (campaign := Campaign(1, 600, 16, 60.0, 0.3)).seen(campaign.at_share(0.9))
    eta = estimate(past, Rest(rest.now, 16, rest.in_flight, 100_000), Clock())
    assert eta is not None
    assert abs(eta.likely - rest.now - 100_000 * 61.5 / 16) < 0.05 * 100_000 * 61.5 / 16
