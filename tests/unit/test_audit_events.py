"""The list of events agrees with what the code writes."""

import re
from pathlib import Path

from activities.ledger.events import BODY, Event

ROOT = Path(__file__).parents[2]
TOLD = re.compile(r'"((?:run|plan|approval|round|files|job)\.[a-z_]+)"')


def test_every_event_documents_its_body() -> None:
    assert set(BODY) == set(Event)
    assert all(fields and all(fields.values()) for fields in BODY.values())


def test_every_event_that_the_code_names_is_in_the_list() -> None:
    sources = [*(ROOT / "workflows").rglob("*.py"), *(ROOT / "activities").rglob("*.py")]
    sources.remove(ROOT / "workflows" / "unready.py")  # Its keys look like events.
    named = {event for source in sources for event in TOLD.findall(source.read_text())}
    assert "run.started" in named
    assert named == set(Event)
