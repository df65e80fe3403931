"""What the Hub says of its own policies and schedules, and what stands in the imported file."""

from typing import Any

import pytest

from orchestrator.catalog import load_policy
from orchestrator.importing.conditions import age_of
from orchestrator.importing.hub import HubWords, import_hub
from workflows.policy import Policy

SITES = [{"id": 1, "name": "london"}, {"id": "2", "name": "paris"}]
SPACES = [
    {"id": 1, "name": "projects", "mountpoint": "/mmfs1/projects"},
    {"id": 2, "name": "done", "mountpoint": "/mmfs1/projects/done"},
    {"id": 3, "name": "home", "mountpoint": "/mmfs1/home"},
]


def imported(**words: Any) -> tuple[Policy, str, list[str]]:
    """The one file of a hub policy: as policy, as text, and what was not carried over."""
    body = {"id": 7, "name": "p", "site": 1, "spaces": [1], **words}
    (file,) = import_hub(HubWords(SITES, SPACES, [body])).files
    assert file.text is not None, file.why_not
    return load_policy(file.text.encode()), file.text, file.imported.account.lost


def planned(**words: Any) -> tuple[list[Policy], list[str]]:
    """The files of a hub schedule that migrates a folder."""
    steps = words.pop("steps", [{"workflow": "migrate", "queue": "default", "site": "london", "fields": {}}])
    body = {"id": 7, "name": "s", "site": "london", "managed_paths": ["/mmfs1/projects"], "minute": "0", **words}
    files = import_hub(HubWords(SITES, SPACES, [], [(body, steps)])).files
    return [load_policy((file.text or "").encode()) for file in files], files[0].imported.account.lost


@pytest.mark.parametrize(
    ("schedule", "cron", "zone"),
    [
        ({"minute": "0,30"}, "0,30 * * * *", "UTC"),
        ({"minute": "5", "hour": "8,20", "timezone": "Europe/London"}, "5 8,20 * * *", "Europe/London"),
        ({"minute": "0", "hour": "2", "day_of_week": "0,5", "time": "02:00", "timezone": "UTC"}, "0 2 * * 0,5", "UTC"),
        ({"minute": "0", "hour": "2", "day_of_week": "7", "time": "02:00:00"}, "0 2 * * 0", "UTC"),
        ({"minute": "15", "hour": 3, "day_of_month": "1, 15", "month_of_year": "*/3"}, "15 3 1,15 */3 *", "UTC"),
        ({"minute": "0", "hour": "22", "time": "22:00", "timezone": "Europe/London"}, "0 22 * * *", "Europe/London"),
        # 22:00 in Paris, kept by the Hub as a cron in UTC.
        ({"minute": "0", "hour": "20", "time": "22:00", "timezone": "Europe/Paris"}, "0 20 * * *", "UTC"),
    ],
)
def test_a_recurrence_is_carried_over_where_both_fire_at_the_same_times(
    schedule: dict[str, Any], cron: str, zone: str
) -> None:
    policy, _, lost = imported(schedule=schedule)
    (trigger,) = policy.triggers
    assert trigger.schedule is not None
    assert (trigger.schedule.cron, trigger.schedule.timezone) == (cron, zone)
    assert lost == []


@pytest.mark.parametrize(
    "schedule",
    [
        {"minute": "0", "day_of_month": "1", "day_of_week": "1"},
        {"minute": "0", "month_of_year": "0,6"},
        {"minute": "61"},
        {"minute": "0", "hour": "2", "time": "05:00", "timezone": "Europe/Paris"},
        {"minute": "0", "timezone": "Mars/Olympus"},
        "nightly",
    ],
)
def test_a_recurrence_that_may_mean_another_time_is_a_comment(schedule: Any) -> None:
    policy, text, lost = imported(schedule=schedule)
    assert policy.triggers == ()
    assert lost[0].startswith("schedule ")
    assert "# not carried over: schedule " in text


@pytest.mark.parametrize(
    ("start", "first", "day"),
    [
        ("2026-12-01T02:00:00Z", True, "2026-12-01"),
        ("2026-12-01T02:30:00Z", True, "2026-12-02"),
        ("2026-12-01T02:00:00Z", False, None),
        ("soon", True, None),
    ],
)
def test_a_first_occurrence_is_a_start_that_is_never_too_early(start: str, first: bool, day: str | None) -> None:
    schedule = {"minute": "0", "hour": "2", "start_date_time": start, "first_occur": first}
    policy, _, lost = imported(schedule=schedule)
    assert policy.triggers[0].schedule is not None
    assert str(policy.triggers[0].schedule.start) == str(day)
    assert bool(lost) is (day is None)


def test_marks_become_a_threshold_and_their_schedule_a_comment() -> None:
    pools = [
        {"pool_name": "nvme", "upper_threshold": "90", "lower_threshold": 70.5, "premigrate_threshold": 50},
        {"pool_name": "near", "max_utilisation": 80.0, "is_cloud": False},
    ]
    policy, _, lost = imported(triggers=pools, schedule={"minute": "0"}, filesystem="mmfs1")
    (trigger,) = policy.triggers
    mark = trigger.threshold
    assert mark is not None
    assert (mark.pool, mark.filesystem, mark.upper, mark.lower, mark.premigrate) == ("nvme", "mmfs1", 90, 70.5, 50)
    assert (mark.destination_pool, mark.max_utilisation) == ("near", 80)
    assert policy.run.workflow == "replace-this"
    assert [one.split(" ")[0] for one in lost] == ["schedule", "the", "the"]


def test_marks_that_make_no_sense_are_comments() -> None:
    pools = [{"pool_name": "nvme", "upper_threshold": 60, "lower_threshold": 70}, {"pool_name": "x\ny"}, 3]
    policy, text, _ = imported(triggers=pools)
    assert policy.triggers == ()
    assert text.count("# not carried over: ") >= 3
    share, _, lost = imported(triggers=[{"pool_name": "a", "upper_threshold": 0.9, "lower_threshold": 0.8}])
    assert share.triggers == ()
    assert lost[0] == "upper_threshold 0.9 of a"


@pytest.mark.parametrize(
    ("spaces", "source", "paths"),
    [
        ([1], {"space": "projects"}, ()),
        (["3"], {"space": "home"}, ()),
        ([1, 2, 3], {"path": "/mmfs1"}, ("/mmfs1/projects", "/mmfs1/home")),
        ([], {"path": "/mmfs1"}, ()),
        ([99], {"space": "replace-this"}, ()),
    ],
)
def test_spaces_become_the_scope(spaces: list[Any], source: dict[str, str], paths: tuple[str, ...]) -> None:
    policy, _, _ = imported(spaces=spaces, filesystem="mmfs1")
    given = policy.select.source.model_dump(exclude_none=True)
    assert {key: given[key] for key in source} == source
    assert policy.select.paths == paths


OLD = {"age": "90 00:00:00", "date_field": "atime", "older_or_newer": "older", "include": True}


@pytest.mark.parametrize(
    "condition",
    [
        {**OLD, "age": "90"},
        {**OLD, "age": "3 months"},
        {**OLD, "date_field": "birth"},
        {**OLD, "older_or_newer": "sideways"},
        {**OLD, "include": "perhaps"},
        {**OLD, "weekday": "mon"},
        "old",
    ],
)
def test_a_condition_that_cannot_be_said_takes_its_whole_group_with_it(condition: Any) -> None:
    group = {"id": 1, "name": "g", "date_conditions": [condition], "filesize_conditions": []}
    good = {"id": 2, "name": "h", "date_conditions": [OLD]}
    policy, _, lost = imported(condition_groups=[group, good])
    assert [rule.name for rule in policy.select.rules] == ["h"]
    assert lost == ['condition group 1, "g"']
    alone, _, _ = imported(condition_groups=[group])
    assert [rule.name for rule in alone.select.rules] == ["nothing-yet"]


def test_an_age_is_read_in_every_way_that_has_a_unit() -> None:
    for text in ("90 00:00:00", "90 days, 0:00:00", "90 days", "90d", "P90D", "2160:00:00", "12w 6d"):
        assert age_of(text).days == 90


def test_a_schedule_is_one_policy_for_each_of_its_hub_workflows() -> None:
    policies, lost = planned(
        steps=[{"workflow": "migrate", "queue": "bulk"}, {"workflow": "recall", "fields": {"lock_level": "partial"}}]
    )
    assert [(one.name, one.run.workflow, one.run.queue, one.run.fields) for one in policies] == [
        ("s-migrate", "migrate", "bulk", {}),
        ("s-recall", "recall", "default", {"lock_level": "partial"}),
    ]
    assert {one.select.source.discovery for one in policies} == {"recursive"}
    assert lost == []


def test_what_a_schedule_cannot_say_is_a_comment() -> None:
    _, lost = planned(discovery="snapdiff", discovery_options={"a": 1}, managed_paths=["/a/../b", "/mmfs1/x"])
    assert [one.split(" ")[0] for one in lost] == ["discovery", "discovery_options", "path"]
    (policy,), lost = planned(managed_paths=[], space="projects", steps=[])
    assert policy.select.paths == ("/mmfs1/projects",)
    assert lost == ["managed_paths", "hub workflow null"]


def test_equal_names_each_get_the_hubs_number_and_the_timetable_is_compared() -> None:
    policies = [{"id": 1, "name": "Cold Média!", "site": 1}, {"id": 2, "name": "cold media", "site": 1}]
    timetable = [{"schedule_type": "policy", "policy_id": 9, "name": "gone"}]
    found = import_hub(HubWords(SITES, SPACES, policies, [], timetable))
    assert [file.name for file in found.files] == ["cold-media-policy-1", "cold-media-policy-2"]
    assert "which is no policy and no schedule: not imported" in found.warnings[0]
