"""What others wrote in a notice calls nobody in a chat."""

from datetime import UTC, datetime

from activities.notices.notice import Kind, Notice, Urgency
from activities.notices.wording import worded

AT = datetime(2026, 1, 1, tzinfo=UTC)
CALLS = "/a/<!channel>/<@U12345>/<#C1>/@everyone @Here,@channel @all"


def a_notice(text: str, group: str = "g") -> Notice:
    return Notice(key=text, kind=Kind.FAILED, urgency=Urgency.URGENT, group=group, title=text, text=text, at=AT)


def test_a_name_that_looks_like_a_call_to_everybody_calls_nobody() -> None:
    for notices in ([a_notice(CALLS)], [a_notice(CALLS)] * 2, [a_notice(CALLS), a_notice(CALLS, "h")]):
        message = worded(notices)
        for said in (message.title, message.text):
            assert not any(call in said for call in ("<!", "<@", "<#", "@everyone", "@Here", "@channel", "@all"))
        assert CALLS in message.text.replace("\N{ZERO WIDTH SPACE}", ""), "it still reads as it was written"


def test_the_names_of_people_and_hosts_stay_as_they_are() -> None:
    said = "ann@api approved 1 < 2 of <b> at allhosts@example, room@host"
    assert said in worded([a_notice(said)]).text
