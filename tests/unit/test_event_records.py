"""What an event started, as the audit tells of it: also for one that came in the midst of a burst."""

from pathlib import Path

import pytest

from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from activities.ledger.records import AuditRecord
from orchestrator.event_records import event_records, find_event, replayed
from workflows.events import CloudEvent


class Story:
    """An audit into which a test writes what a router and a desk would."""

    def __init__(self, log: AuditLog) -> None:
        self.log = log

    def hear(self, name: str, *policies: str, source: str = "test") -> None:
        event = CloudEvent(id=name, source=source, type="t")
        matched = [{"policy": policy, "trigger": 0} for policy in policies]
        body = {**event.model_dump(mode="json"), "matched": matched, "token": "1"}
        self.log.append(AuditRecord(event=Event.EVENT_RECEIVED, actor=source, key=event.key, body=body))

    def start(self, first: str, policy: str = "drain", state: str = "begun", source: str = "test") -> None:
        key = f"start/{policy}/london/event-0/{CloudEvent(id=first, source=source, type='t').key}"
        body = {"policy": policy, "site": "london", "kind": "event", "text": ""}
        self.log.append(AuditRecord(event=Event.START_WISHED, actor="event", key=key, body=body))
        told = {"run": f"{policy}-for-{first}"} if state == "begun" else {"why": "a start waits already"}
        kind = Event.START_BEGUN if state == "begun" else Event.START_SKIPPED
        self.log.append(AuditRecord(event=kind, actor="event", key=f"{key}/{state}", body=body | told))

    def started(self) -> dict[str, list[tuple[str, str | None]]]:
        return {
            one["id"]: [(each.get("run", each["state"]), each.get("with")) for each in one["starts"]]
            for one in event_records(self.log, limit=100)
        }


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(AuditLog(f"sqlite:///{tmp_path / 'audit.sqlite'}"))


def test_every_event_of_a_burst_names_its_run_and_the_first_event(story: Story) -> None:
    for name in ("a", "b"):
        story.hear(name, "drain")
    story.start("a")
    for name in ("c", "d"):
        story.hear(name, "drain")
    assert story.started() == {
        "a": [("drain-for-a", None)],
        "b": [("drain-for-a", "a")],
        "c": [],
        "d": [],
    }, "c and d settle still"
    story.start("c", state="skipped")
    assert story.started()["d"] == [("skipped", "c")]
    assert story.started()["b"] == [("drain-for-a", "a")]


def test_an_event_heard_before_the_desk_wrote_of_the_burst_before_it_belongs_to_its_own(story: Story) -> None:
    story.hear("a", "drain")
    story.hear("b", "drain")
    story.start("a")
    story.start("b")
    assert story.started() == {"a": [("drain-for-a", None)], "b": [("drain-for-b", None)]}


def test_policies_are_kept_apart_and_what_nobody_wants_started_nothing(story: Story) -> None:
    story.hear("a", "drain", "other")
    story.hear("b", "other")
    story.hear("c")
    story.start("a")
    story.start("a", policy="other")
    assert story.started() == {
        "a": [("drain-for-a", None), ("other-for-a", None)],
        "b": [("other-for-a", "a")],
        "c": [],
    }


def test_an_event_whose_key_ends_like_anothers_shows_its_own_start(story: Story) -> None:
    story.hear("1", "drain", source="test")
    story.start("1", source="test")
    story.hear("1", "drain", source="x/event/test")
    story.start("1", source="x/event/test")
    [one] = find_event(story.log, "x/event/test/1")
    assert [start["run"] for start in one["starts"]] == ["drain-for-1"]
    assert len(find_event(story.log, "1")) == 2


def test_a_replay_says_the_same_under_a_new_id_with_who_and_why(story: Story) -> None:
    story.hear("a", "drain")
    [old] = find_event(story.log, "test/a")
    first, second = (replayed(old, actor="ann", reason="again") for _ in range(2))
    assert len({first.key, second.key, "event/test/a"}) == 3
    assert (first.source, first.type, first.data) == ("test", "t", None)
    assert first.attributes == {"replayof": "a", "replayedby": "ann", "replayreason": "again"}
