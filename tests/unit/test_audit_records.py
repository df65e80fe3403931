"""What an audit record may hold, and that its hash is that of its canonical form."""

import hashlib
import json
import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from activities.ledger.events import Event
from activities.ledger.records import (
    GENESIS,
    MAX_BODY,
    AuditRecord,
    BadRecord,
    canonical,
    chained_hash,
    check_names,
    record_key,
    timestamp,
)

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(actor=texts, run=st.none() | texts, key=texts, body=st.dictionaries(texts, values, max_size=4))
def test_the_hash_is_that_of_the_canonical_form_of_the_record(
    actor: str, run: str | None, key: str, body: dict[str, object]
) -> None:
    text = canonical(body)
    fields = {"seq": 7, "at": "2026-01-02T03:04:05.000006Z", "actor": actor, "run": run, "event": "a.b", "key": key}
    whole = rfc8785.dumps({**fields, "body": json.loads(text), "prev_hash": GENESIS})
    found = chained_hash(
        seq=7, at=str(fields["at"]), actor=actor, run=run, event="a.b", key=key, body=text, prev_hash=GENESIS
    )
    assert found == hashlib.sha256(whole).hexdigest()


@given(st.dictionaries(texts, values, max_size=5))
def test_a_body_read_back_has_the_same_canonical_form(body: dict[str, object]) -> None:
    assert canonical(json.loads(canonical(body))) == canonical(body)


def test_an_integer_too_large_for_exact_json_is_kept_as_decimal_text() -> None:
    assert canonical({"bytes": 2**60, "files": 2**53 - 1}) == '{"bytes":"1152921504606846976","files":9007199254740991}'


def _nested(depth: int) -> dict[str, object]:
    body: dict[str, object] = {}
    for _ in range(depth):
        body = {"a": body}
    return body


@pytest.mark.parametrize(
    "body",
    [
        {"a": math.nan},
        {"a": math.inf},
        {"a": [-math.inf]},
        {"a": "half of a character: \ud800"},
        {"\udfff": 1},
        {"a": datetime.now(UTC)},
        {"a": b"bytes"},
        {"a": {1: 2}},
        {"a": {1, 2}},
        _nested(100_000),
        {"a": "x" * MAX_BODY},
    ],
    ids=["nan", "inf", "-inf", "surrogate", "surrogate name", "time", "bytes", "number name", "set", "deep", "huge"],
)
def test_a_body_that_is_no_json_or_too_large_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(BadRecord):
        canonical(body)


def test_a_huge_body_is_refused_with_its_size_and_the_limit() -> None:
    with pytest.raises(BadRecord, match=f"{MAX_BODY + 8} bytes, more than the {MAX_BODY}"):
        canonical({"a": "x" * MAX_BODY})


@pytest.mark.parametrize("value", ["", "x" * 513, "a\x00b", "line\nbreak", "\udcff"])
@pytest.mark.parametrize("field", ["event", "actor", "key", "run"])
def test_a_name_that_no_database_keeps_is_refused(field: str, value: str) -> None:
    record = AuditRecord(event="a.b", actor="me", run="r", key="k").model_copy(update={field: value})
    with pytest.raises(BadRecord, match=field):
        check_names(record)


def test_nan_survives_the_way_into_an_activity_so_that_it_is_refused_there() -> None:
    from temporalio.contrib.pydantic import pydantic_data_converter

    record = AuditRecord(event="a.b", actor="me", key="k", body={"a": math.nan})
    payload = pydantic_data_converter.payload_converter.to_payloads([record])
    (arrived,) = pydantic_data_converter.payload_converter.from_payloads(payload, [AuditRecord])
    with pytest.raises(BadRecord):
        canonical(arrived.body)


def test_a_key_names_run_event_and_parts() -> None:
    assert record_key("r1", Event.JOB_ENDED, 2, 17) == "r1/job.ended/2/17"


def test_a_time_is_utc_with_microseconds_always() -> None:
    moment = datetime(2026, 5, 1, 12, 0, tzinfo=timezone(timedelta(hours=2)))
    assert timestamp(moment) == "2026-05-01T10:00:00.000000Z"
