"""The samples of pools, in either kind of database: thinned with age, kept once, and no reason to stop measuring."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from activities.audit import AuditUnavailable, WrongDatabase
from activities.pool_samples import PoolSamples
from tests.e2e.audit_databases import Postgres, raw
from workflows.pools import Level, PoolRef

pytest_plugins = ["tests.e2e.audit_fixtures"]

T0 = datetime(2026, 5, 1, tzinfo=UTC)
REF = PoolRef(site="london", filesystem="mmfs1", pool="sas1")
OTHER = PoolRef(site="london", pool="sas 2")


@pytest.fixture
def samples(url: str) -> Iterator[PoolSamples]:
    opened = PoolSamples(url)
    yield opened
    opened.close()


def level(second: int, used: int = 1) -> Level:
    return Level(at=T0 + timedelta(seconds=second), used=used, capacity=1 << 60)


def test_samples_are_thinned_to_minutes_and_then_to_hours(samples: PoolSamples) -> None:
    for second in range(0, 3 * 86_400, 1200):
        for late in (0, 1):  # the second one of a minute is not kept
            samples.keep({REF: level(second + late, used=second), OTHER: level(second + late)})
    samples._thinned = float("-inf")
    end = T0 + timedelta(days=3)
    samples.keep({REF: level(3 * 86_400)})
    found = samples.read(REF, T0)
    assert [one.at for one in found if one.at < end - timedelta(days=2)] == [
        T0 + timedelta(hours=hour) for hour in range(24)
    ]
    assert len([one for one in found if one.at >= end - timedelta(days=2)]) == 2 * 72 + 1
    assert set(samples.pools()) == {REF, OTHER}


def test_many_workers_keep_one_sample_of_a_minute(url: str) -> None:
    workers = [PoolSamples(url) for _ in range(6)]

    def keep(worker: PoolSamples) -> None:
        for minute in range(5):
            worker.keep({REF: level(60 * minute, used=1 << 50), OTHER: level(60 * minute)})

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(keep, workers))
    found = workers[0].read(REF, T0)
    assert [one.used for one in found] == [1 << 50] * 5
    for worker in workers:
        worker.close()


def test_samples_of_another_version_are_refused(url: str, samples: PoolSamples) -> None:
    samples.keep({REF: level(0)})
    raw(url, lambda connection: connection.exec_driver_sql("UPDATE pool_samples_schema SET version = 9"))
    newer = PoolSamples(url)
    with pytest.raises(WrongDatabase, match="the samples' schema has version 9; this program writes version 1"):
        newer.read(REF, T0)
    newer.close()


def test_a_postgresql_that_went_away_is_said_so_and_used_again_when_it_is_back(
    new_postgres: Callable[[], Postgres],
) -> None:
    server = new_postgres()
    samples = PoolSamples(server.url())
    samples.keep({REF: level(0)})
    server.stop()
    with pytest.raises(AuditUnavailable):
        samples.keep({REF: level(60)})
    server.start()
    samples.keep({REF: level(60)})
    assert len(samples.read(REF, T0)) == 2
    samples.close()
