"""The list of events agrees with what the code writes."""

import re
from pathlib import Path

from activities.ledger.events import BODY, Event

ROOT = Path(__file__).parents[2]
# A template of a page, such as "run.html", is none.
TOLD = re.compile(r'"(?![a-z]+\.html")((?:run|plan|approval|round|stage|files|job|window|breaker)\.[a-z_]+)"')
BY_NAME = re.compile(r"\bEvent\.([A-Z_]+)\b")


def test_every_event_documents_its_body() -> None:
    assert set(BODY) == set(Event)
    assert all(fields and all(fields.values()) for fields in BODY.values())


def test_every_event_that_the_code_names_is_in_the_list() -> None:
    sources = [file for room in ("workflows", "activities", "orchestrator") for file in (ROOT / room).rglob("*.py")]
    for other in ("activities/ledger/events.py",):  # Keys that look like events; the list itself.
        sources.remove(ROOT / other)
    texts = [source.read_text() for source in sources]
    named = {event for text in texts for event in TOLD.findall(text)}
    named |= {str(Event[name]) for text in texts for name in BY_NAME.findall(text) if name in Event.__members__}
    assert "run.started" in named
    assert named == set(Event)
