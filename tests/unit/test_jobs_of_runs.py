"""The jobs of a run are listed to a bound, and each of them can be had without holding all."""

import itertools
from typing import Any

import pytest

from orchestrator import reports
from orchestrator.reports import each_job, jobs_of
from orchestrator.settings import Settings
from tests.unit.test_run_reports import RUN, Records, records, settings

__all__ = ["records", "settings"]


def submit(records: Records, job: int) -> None:
    records.write("job.submitted", job=job, batch=job, round=1, files=10, bytes=1000)


def end(records: Records, job: int) -> None:
    records.write("job.ended", job=job, batch=job, round=1, state="SUCCESS", files=10, counts={"done": 10})


def told(jobs: list[dict[str, Any]]) -> list[tuple[int, str | None, int]]:
    return [(job["id"], job["state"], job["files"]) for job in jobs]


def test_every_job_comes_once_the_ended_ones_first(settings: Settings, records: Records) -> None:
    for job in (1, 2, 3):
        submit(records, job)
    records.write("job.adopted", job=2, batch=2, round=1, files=10, bytes=1000)
    end(records, 3)
    end(records, 1)
    assert told(list(each_job(settings, RUN))) == [(3, "SUCCESS", 10), (1, "SUCCESS", 10), (2, None, 10)]
    assert told(jobs_of(settings, RUN)) == [(1, "SUCCESS", 10), (2, None, 10), (3, "SUCCESS", 10)]


def test_a_document_lists_the_newest_jobs_alone(
    settings: Settings, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "MOST_JOBS", 3)
    for job in range(1, 8):
        submit(records, job)
    for job in (1, 2, 6, 5):
        end(records, job)
    assert told(jobs_of(settings, RUN)) == [(5, "SUCCESS", 10), (6, "SUCCESS", 10), (7, None, 10)]
    assert [job["id"] for job in itertools.islice(each_job(settings, RUN), 4)] == [1, 2, 6, 5]
