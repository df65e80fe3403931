"""The words of one message: a single notice as it is, many as their number and what they have in common."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from activities.notices.notice import Notice, Urgency
from activities.notices.telling import LONGEST_TITLE, one_line

NAMED = 5
LINES = 20


class Message(NamedTuple):
    """What a target gets; `html` stands instead of `text` where it can be shown."""

    title: str
    text: str
    urgency: Urgency
    html: str | None = None


def worded(notices: Sequence[Notice]) -> Message:
    """Put notices into one message; there is at least one. What others wrote in it calls nobody."""
    found = _worded(notices)
    return found._replace(title=_calling_nobody(found.title), text=_calling_nobody(found.text))


def _worded(notices: Sequence[Notice]) -> Message:
    urgency = max((one.urgency for one in notices), key=list(Urgency).index)
    groups = Counter(one.group for one in notices)
    if len(notices) == 1:
        only = notices[0]
        return Message(only.title, f"{only.text}\n{_at(only)}", urgency, only.html)
    newest = max(notices, key=lambda one: one.at)
    if len(groups) == 1:
        return Message(one_line(f"{len(notices):,} × {newest.title}", LONGEST_TITLE), _alike(notices, newest), urgency)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in Counter(one.kind for one in notices).most_common())
    return Message(f"{len(notices):,} notices: {kinds}", _mixed(notices, groups), urgency)


def _alike(notices: Sequence[Notice], newest: Notice) -> str:
    first = min(notices, key=lambda one: one.at)
    runs = list(dict.fromkeys(one.run for one in notices if one.run is not None))
    more = f" and {len(runs) - NAMED:,} more" if len(runs) > NAMED else ""
    named = f"\nRuns: {', '.join(runs[:NAMED])}{more}" if runs else ""
    return f"{len(notices):,} times from {_moment(first)} to {_moment(newest)}; the last one:\n{newest.text}{named}"


def _mixed(notices: Sequence[Notice], groups: Counter[str]) -> str:
    last = {one.group: one for one in sorted(notices, key=lambda one: one.at)}
    lines = [
        f"{count:,} × {last[group].title} (last {_moment(last[group])})" for group, count in groups.most_common(LINES)
    ]
    rest = sum(count for _, count in groups.most_common()[LINES:])
    return "\n".join([*lines, *([f"and {rest:,} more of {len(groups) - LINES:,} kinds"] if rest else [])])


def _calling_nobody(text: str) -> str:
    """Break what chats take for a call to everybody or to a person; the name of a file may look like one."""
    return _CALL.sub("\\g<0>\N{ZERO WIDTH SPACE}", text)


_CALL = re.compile(r"@(?=(?:everyone|here|channel|all|room)\b)|<(?=[!@#])", re.IGNORECASE)


def _at(notice: Notice) -> str:
    return f"At {_moment(notice)}."


def _moment(notice: Notice) -> str:
    return f"{notice.at:%Y-%m-%d %H:%M:%S} UTC"
