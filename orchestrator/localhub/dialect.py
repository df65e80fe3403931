"""The two forms of answers: the documented one, and the other one that a tolerant client accepts as well."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.localhub.clock import moment

Json = Any


@dataclass(frozen=True)
class Dialect:
    """How answers are written where the reference leaves a choice."""

    name: str
    time: Callable[[int | None], Json]
    file_time: Callable[[int], Json]
    number: Callable[[int], Json]
    residence: Mapping[str, str]
    path_states: Mapping[str, str]
    progress: Callable[[float], Json]
    metadata: Callable[[dict[str, Json]], dict[str, Json]]
    submitted: Callable[[int, str], dict[str, Json]]
    submitted_status: int
    expired_status: int
    job_detail: bool
    job_files: bool
    job_state_in_list: bool
    file_as_list: bool
    bare_lists: bool
    resubmit_makes_job: bool
    search_id: bool


def dialect_named(name: str) -> Dialect:
    """Give a dialect by its name; raise ValueError for an unknown one."""
    for dialect in (STANDARD, ALTERNATIVE):
        if dialect.name == name:
            return dialect
    raise ValueError(f"unknown dialect {name!r}: standard or alternative")


def _iso(us: int | None) -> str | None:
    return None if us is None else moment(us).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _iso_without_zone(us: int) -> str:
    return moment(us).strftime("%Y-%m-%dT%H:%M:%S.%f")


def _epoch_seconds(us: int | None) -> float | None:
    return None if us is None else us / 1_000_000


def _percent_by_turns(progress: float) -> Json:
    return {"percentage": progress} if round(progress) % 2 else f"{progress:g}%"


def _nested(metadata: dict[str, Json]) -> dict[str, Json]:
    nested: dict[str, Json] = {}
    for key, value in metadata.items():
        family, _, name = key.partition(".")
        nested.setdefault(family, {})[name] = str(value) if isinstance(value, int) else value
    return nested


_SAME = {word: word for word in ("resident", "premigrated", "migrated")}
_STATES = {word: word for word in ("pending", "processed", "skipped", "failed", "aborted", "cancelled")}

STANDARD = Dialect(
    name="standard",
    time=_iso,
    file_time=_iso,
    number=int,
    residence=_SAME,
    path_states=_STATES,
    progress=lambda progress: {"progress": progress},
    metadata=dict,
    submitted=lambda job, url: {"job": job},
    submitted_status=201,
    expired_status=401,
    job_detail=True,
    job_files=True,
    job_state_in_list=True,
    file_as_list=False,
    bare_lists=False,
    resubmit_makes_job=False,
    search_id=True,
)

ALTERNATIVE = Dialect(
    name="alternative",
    time=_epoch_seconds,
    file_time=_iso_without_zone,
    number=str,
    residence={"resident": "unmanaged", "premigrated": "pre-staged", "migrated": "migrated"},
    path_states=_STATES,
    progress=_percent_by_turns,
    metadata=_nested,
    submitted=lambda job, url: {"id": str(job)} if job % 2 else {"url": url},
    submitted_status=202,
    expired_status=403,
    job_detail=False,
    job_files=False,
    job_state_in_list=False,
    file_as_list=True,
    bare_lists=True,
    resubmit_makes_job=True,
    search_id=False,
)
