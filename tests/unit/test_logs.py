"""Logs are structured and hold no credentials."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from orchestrator.logs import configure_logs
from orchestrator.settings import load_settings

SECRET = "k-5up3r-s3cret"
TOKEN = "tiering_0123456789ab_" + "q7-_" * 10 + "abc"


@pytest.fixture(params=["json", "console"])
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    handlers, level = logging.root.handlers[:], logging.root.level
    audit = "postgresql://audit:pa55word@db/audit"
    configure_logs(load_settings(hub_key=SECRET, audit_url=audit, log_format=request.param))
    request.addfinalizer(
        lambda: (logging.root.handlers.__setitem__(slice(None), handlers), logging.root.setLevel(level))
    )
    return stream


def test_no_log_line_holds_a_credential(written: io.StringIO) -> None:
    log = structlog.get_logger("test")
    log.info(f"sent {SECRET}", headers={"Authorization": f"Api-Key {SECRET}"}, nested=[{"password": "x7y8z9"}])
    logging.getLogger("library").warning("cannot reach %s", "postgresql://audit:pa55word@db/audit")
    try:
        raise RuntimeError(f"refused with {SECRET} and Bearer abc.def.ghi, and {TOKEN}")
    except RuntimeError:
        log.exception("it failed")
    text = written.getvalue()
    assert "it failed" in text
    assert "Traceback" in text
    assert not [word for word in (SECRET, "pa55word", "x7y8z9", "abc.def.ghi", TOKEN[-20:]) if word in text]


def test_json_lines_carry_run_and_job(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logs(load_settings(log_format="json"))
    with structlog.contextvars.bound_contextvars(run="r-1", job=17):
        logging.getLogger("library").warning("slow", extra={"color_message": "\x1b[1mslow\x1b[0m"})
    line = json.loads(stream.getvalue())
    assert "\\u001b" not in stream.getvalue()
    assert (line["run"], line["job"], line["message"], line["level"]) == ("r-1", 17, "slow", "warning")
