"""`POST /events` over real HTTP: what is taken, what is refused and in which words; a refusal leaves no trace."""

import asyncio
import base64
import contextlib
import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.routes import router
from orchestrator.services import Service, free_port
from orchestrator.settings import load_settings
from orchestrator.temporal import connect
from orchestrator.web.signature import attributes_digest, sign, signed_headers
from tests.machine import Process, temporal_process
from workflows.events import CloudEvent, Telling

SECRET = b"a_secret_of_thirty-two_bytes_ok"
NEWER = b"another_secret_of_enough_bytes!"
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


class Door(NamedTuple):
    """A door as a process, and what was taken through it."""

    url: str
    queue: str
    temporal: str

    def post(self, body: bytes, kind: str = STRUCTURED, **headers: str) -> httpx.Response:
        return httpx.post(self.url, content=body, headers={"content-type": kind, **headers}, timeout=30)

    def signed(self, told: Any, kind: str = STRUCTURED) -> httpx.Response:
        body = told if isinstance(told, bytes) else json.dumps(told).encode()
        return self.post(body, kind, **signed_headers(SECRET, body))

    def counter(self, name: str) -> float:
        lines = httpx.get(self.url.replace("/events", "/metrics")).text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    def taken(self) -> list[CloudEvent]:
        """What waits for the router in Temporal; no worker is there to hear it."""
        return asyncio.run(self._taken())

    async def _taken(self) -> list[CloudEvent]:
        client = await connect(load_settings(temporal_address=self.temporal))
        try:
            history = await router(client, self.queue).fetch_history()
        except RPCError as error:
            assert error.status is RPCStatusCode.NOT_FOUND
            return []
        payloads = [
            event.workflow_execution_signaled_event_attributes.input.payloads[0].data
            for event in history.events
            if event.HasField("workflow_execution_signaled_event_attributes")
        ]
        return [event for payload in payloads for event in Telling.model_validate_json(payload).events]


@contextlib.contextmanager
def a_door(folder: Path, *, temporal: str, secrets: str | None, queue: str) -> Iterator[Door]:
    port = free_port()
    environment = {
        "ORCHESTRATOR_STATE_DIR": str(folder / "state"),
        "ORCHESTRATOR_LOG_LEVEL": "error",
        "ORCHESTRATOR_TASK_QUEUE": queue,
        "TEMPORAL_ADDRESS": temporal,
        **({} if secrets is None else {"ORCHESTRATOR_EVENT_SECRETS": secrets}),
    }
    command = [sys.executable, "-P", "-m", "orchestrator", "serve", "--port", str(port)]
    door = Process(Service("the door", command, folder / f"{queue}.log", "", environment, port))
    try:
        yield Door(f"http://127.0.0.1:{port}/events", queue, temporal)
    finally:
        door.stop()


@pytest.fixture(scope="module")
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    server = temporal_process(tmp_path_factory.mktemp("temporal"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, temporal: Process) -> Iterator[Door]:
    """A door through which nothing was ever taken."""
    folder = tmp_path_factory.mktemp("strict")
    with a_door(folder, temporal=temporal.address, secrets=SECRET.decode(), queue="strict") as door:
        yield door


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, temporal: Process) -> Iterator[Door]:
    """A door in the midst of a change of secrets."""
    folder = tmp_path_factory.mktemp("door")
    secrets = f"{SECRET.decode()} whsec_{base64.b64encode(NEWER).decode()}"
    with a_door(folder, temporal=temporal.address, secrets=secrets, queue="door") as here:
        yield here


def event(name: str = "e1", **more: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": name, "source": "test", "type": "disk.full", **more}


def text(**more: Any) -> bytes:
    return json.dumps(event(**more)).encode()


def made_at(offset: int, secret: bytes = SECRET) -> Callable[[bytes], dict[str, str]]:
    def headers(body: bytes) -> dict[str, str]:
        at = int(time.time()) + offset
        return {"webhook-id": "m", "webhook-timestamp": str(at), "webhook-signature": sign(secret, "m", at, body)}

    return headers


def without(name: str) -> Callable[[bytes], dict[str, str]]:
    return lambda body: {header: value for header, value in made_at(0)(body).items() if header != name}


class Refused(NamedTuple):
    """A message, and how it is refused; `says` is a part of the sentence."""

    body: bytes
    status: int
    title: str
    says: str
    kind: str = STRUCTURED
    headers: Callable[[bytes], dict[str, str]] = made_at(0)


GOOD = text()
NEEDED = "The headers webhook-id, webhook-timestamp and webhook-signature are needed."
WRONG = "None of the signatures was made with a secret of ours over this id, time and body."
OWN = "are this product's own: name another one."
REFUSALS = {
    "unsigned": Refused(GOOD, 401, "Unsigned", NEEDED, headers=lambda _: {}),
    "no signature": Refused(GOOD, 401, "Unsigned", NEEDED, headers=without("webhook-signature")),
    "no timestamp": Refused(GOOD, 401, "Unsigned", NEEDED, headers=without("webhook-timestamp")),
    "another secret": Refused(GOOD, 401, "Wrong signature", WRONG, headers=made_at(0, NEWER)),
    "changed later": Refused(GOOD, 401, "Wrong signature", WRONG, headers=lambda body: made_at(0)(body + b" ")),
    "moved in time": Refused(
        GOOD, 401, "Wrong signature", WRONG, headers=lambda body: made_at(-400)(body) | made_at(0)(b"")
    ),
    "old": Refused(GOOD, 401, "Stale", "signed more than 300 s ago", headers=made_at(-301)),
    "of the future": Refused(GOOD, 401, "Stale", "or in the future", headers=made_at(310)),
    "no number of seconds": Refused(
        GOOD,
        400,
        "Malformed",
        "webhook-timestamp is no number of seconds",
        headers=lambda body: made_at(0)(body) | {"webhook-timestamp": "yesterday"},
    ),
    "oversized": Refused(b"x" * 65_537, 413, "Oversized", "The body has more than 65536 bytes: send less at once."),
    "oversized batch": Refused(b" " * 1_048_577, 413, "Oversized", "more than 1048576 bytes", BATCH),
    "one large in a batch": Refused(
        json.dumps([event(), event("e2", data="x" * 65_536)]).encode(),
        413,
        "Oversized",
        "None of the 2 events was taken. Number 2: An event has at most 65536 bytes.",
        BATCH,
    ),
    "one bad in a batch": Refused(
        json.dumps([event(), event("e2"), event("")]).encode(),
        400,
        "Malformed",
        "None of the 3 events was taken. Number 3: `id` must be text of 1 to 256 characters",
        BATCH,
    ),
    "no batch": Refused(GOOD, 400, "Malformed", "A batch is a JSON array of events.", BATCH),
    "no JSON": Refused(b"{", 400, "Malformed", "The body is no JSON: Expecting property name"),
    "cut off": Refused(GOOD[:-3], 400, "Malformed", "The body is no JSON"),
    "no object": Refused(b"[]", 400, "Malformed", "An event is a JSON object."),
    "not UTF-8": Refused(GOOD.replace(b"disk", b"di\xffk"), 400, "Malformed", "The body is not in UTF-8."),
    "half a character": Refused(text(data="\ud83d"), 400, "Malformed", "half a character (a lone surrogate)"),
    "half a character in a name": Refused(text(data={"\ude00": 1}), 400, "Malformed", "half a character"),
    "a key twice": Refused(GOOD[:-1] + b', "id": "e2"}', 400, "Malformed", "An object has the same key twice."),
    "a key twice inside": Refused(
        GOOD[:-1] + b', "data": {"a": 1, "a": 2}}', 400, "Malformed", "An object has the same key twice."
    ),
    "nested": Refused(
        text(data=json.loads("[" * 33 + "]" * 33)), 400, "Malformed", "The body is nested more than 32 levels deep."
    ),
    "nested without end": Refused(b"[" * 60_000, 400, "Malformed", "nested more than 32 levels deep."),
    "not a number": Refused(GOOD[:-1] + b', "data": NaN}', 400, "Malformed", "NaN is no JSON."),
    "an endless number": Refused(GOOD[:-1] + b', "data": 1e999}', 400, "Malformed", "a number that no computer keeps"),
    "grows when kept": Refused(
        GOOD[:-1] + b', "data": [' + b",".join([b"1e20"] * 12_000) + b"]}",
        400,
        "Malformed",
        "The event cannot be kept: the body has",
    ),
    "another version": Refused(text(specversion="0.3"), 400, "Malformed", '`specversion` must be "1.0".'),
    "without an id": Refused(b'{"specversion":"1.0"}', 400, "Malformed", "`id` must be text"),
    "a control character": Refused(text(source="a\nb"), 400, "Malformed", "`source` must be text"),
    "our own source": Refused(text(source="orchestrator"), 400, "Malformed", OWN),
    "a source of the Hub": Refused(text(source="hub/alerts"), 400, "Malformed", OWN),
    "no time": Refused(text(time="yesterday"), 400, "Malformed", "`time` must be an RFC 3339 time"),
    "a bad attribute": Refused(text(**{"Not-allowed": 1}), 400, "Malformed", "'Not-allowed' is no attribute"),
    "data twice": Refused(text(data=1, data_base64="AA=="), 400, "Malformed", "exclude each other"),
    "no base64": Refused(text(data_base64="%"), 400, "Malformed", "`data_base64` is no base64."),
    "another media type": Refused(GOOD, 400, "Malformed", f"Send {STRUCTURED}", "text/xml"),
    "binary, headers not signed": Refused(
        b"{}",
        401,
        "Wrong signature",
        "In binary mode webhook-id is the SHA-256 of the sorted ce- headers",
        "application/json",
        lambda body: made_at(0)(body) | {f"ce-{name}": value for name, value in event().items()},
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_bad_message_is_refused_with_a_sentence_and_counted_and_nothing_of_it_is_taken(
    case: str, strict: Door
) -> None:
    one = REFUSALS[case]
    counter = f'orchestrator_events_refused_total{{reason="{one.title.lower().replace(" ", "_")}"}}'
    before = strict.counter(counter)
    answer = strict.post(one.body, one.kind, **one.headers(one.body))
    found = answer.json()
    assert (answer.status_code, found["status"], found["title"]) == (one.status, one.status, one.title)
    assert one.says in found["detail"]
    assert found["detail"].endswith((".", "`."))
    assert answer.headers["content-type"] == "application/problem+json"
    assert "retry-after" not in answer.headers
    assert strict.counter(counter) == before + 1
    assert strict.counter("orchestrator_events_accepted_total") == 0


def test_after_all_refusals_the_router_was_never_started(strict: Door) -> None:
    strict.post(GOOD)
    assert strict.taken() == []


def test_a_body_without_a_length_is_cut_off_where_it_becomes_too_large(strict: Door) -> None:
    host, port = strict.url.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        head = f"POST /events HTTP/1.1\r\nhost: x\r\ncontent-type: {STRUCTURED}\r\ntransfer-encoding: chunked\r\n\r\n"
        line.sendall(head.encode())
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 8 << 20:
                line.sendall(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
                sent += 0x4000
                time.sleep(0.002)
        answer = b""
        with contextlib.suppress(OSError):
            while chunk := line.recv(65_536):
                answer += chunk
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"The body has more than 65536 bytes" in answer
    assert sent < 4 << 20, "the door did not read on"


def test_a_message_whose_sender_goes_away_leaves_no_trace(strict: Door) -> None:
    host, port = strict.url.split("/")[2].split(":")
    before = strict.counter('orchestrator_events_refused_total{reason="cut_off"}')
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(b"POST /events HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n{")
    deadline = time.monotonic() + 5
    while strict.counter('orchestrator_events_refused_total{reason="cut_off"}') == before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert strict.taken() == []


def test_structured_binary_batch_and_plain_webhooks_are_taken(door: Door) -> None:
    assert door.signed(event("structured", data={"a": 1}, region="eu")).json() == {"accepted": 1}
    assert door.signed([event("b1"), event("b2")], BATCH).json() == {"accepted": 2}
    assert door.signed([], BATCH).json() == {"accepted": 0}
    headers = {"ce-specversion": "1.0", "ce-id": "bin%C3%A4ry", "ce-source": "test", "ce-type": "t"}
    signed = signed_headers(SECRET, b"hello", attributes_digest(headers.items()))
    assert door.post(b"hello", "text/plain", **headers, **signed).status_code == 202
    body = b'{"any": "thing"}'
    assert door.post(body, "application/json", **signed_headers(SECRET, body, "hook-1")).status_code == 202
    taken = {one.id: one for one in door.taken()}
    assert taken["structured"].data == {"a": 1}
    assert taken["structured"].attributes == {"region": "eu"}
    assert taken["binäry"].data == "hello"
    assert (taken["hook-1"].source, taken["hook-1"].type, taken["hook-1"].data) == (
        "webhook",
        "webhook",
        {"any": "thing"},
    )
    assert {"b1", "b2"} <= set(taken)


def test_while_secrets_change_either_one_signs_and_one_good_signature_of_two_is_enough(door: Door) -> None:
    body = text(id="rotated")
    at = int(time.time())
    for keys in ([SECRET], [NEWER], [b"a_secret_that_is_long_forgotten_", NEWER], [SECRET, NEWER]):
        signature = " ".join(sign(key, "m", at, body) for key in keys)
        headers = {"webhook-id": "m", "webhook-timestamp": str(at), "webhook-signature": signature}
        assert door.post(body, **headers).status_code == 202


def test_a_message_that_is_repeated_is_taken_again_under_the_same_id(door: Door) -> None:
    body = text(id="replayed")
    headers = signed_headers(SECRET, body)
    assert [door.post(body, **headers).status_code for _ in range(3)] == [202] * 3
    assert len({one.key for one in door.taken() if one.id == "replayed"}) == 1


def test_without_a_secret_nothing_is_taken_and_the_answer_says_what_to_set(tmp_path: Path, temporal: Process) -> None:
    with a_door(tmp_path, temporal=temporal.address, secrets=None, queue="open") as door:
        answer = door.signed(event())
        assert answer.status_code == 503
        assert answer.json()["detail"] == "Events are not taken here before ORCHESTRATOR_EVENT_SECRETS is set."
        assert door.taken() == []


@pytest.mark.long
def test_while_temporal_is_away_the_sender_is_told_to_come_back_and_then_it_is_taken(
    tmp_path: Path,
) -> None:
    server = temporal_process(tmp_path / "temporal")
    try:
        with a_door(tmp_path, temporal=server.address, secrets=SECRET.decode(), queue="away") as door:
            assert door.signed(event("before")).status_code == 202
            server.kill()
            answer = door.signed(event("patient"))
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert answer.json()["detail"].startswith("Temporal does not answer now: send the same message again")
            assert door.post(GOOD).status_code == 401, "what is refused does not depend on Temporal"
            server.start()
            assert door.signed(event("patient")).status_code == 202
            assert {one.id for one in door.taken()} == {"before", "patient"}
    finally:
        server.stop()
