"""How a rule of the fault model changes one answer, before the work and after it."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from orchestrator.localhub.call import Reply
from orchestrator.localhub.faults import Faults, Rule
from orchestrator.localhub.hub import LocalHub

_HTML = b"<html><head><title>502</title></head><body><h1>Bad gateway</h1><p>This is not the answer.</p></body></html>"


class Cut(Exception):
    """The connection is cut now: nothing is answered."""


@dataclass
class Wire:
    """An answer as bytes, and how much of it is really sent."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    send_only: int | None = None

    @classmethod
    def of(cls, reply: Reply) -> "Wire":
        """Write a reply as JSON in ASCII, so that any name survives."""
        body = b"" if reply.content is None else json.dumps(reply.content, separators=(",", ":")).encode("ascii")
        return cls(reply.status, body, {"content-type": "application/json"} | reply.headers)


async def before(hub: LocalHub, rules: list[Rule]) -> Wire | None:
    """Do what happens before any work; give an answer when the work is not to be done."""
    if hub.faults.away:
        return _outage(hub.faults)
    for rule in rules:
        action = rule.action
        if rule.kind == "outage":
            hub.faults.begin_outage(float(action.get("seconds", 5)), action.get("status"))
            return _outage(hub.faults)
        if rule.kind == "delay" and action.get("when", "before") == "before":
            await asyncio.sleep(float(action.get("seconds", 1)))
        elif rule.kind == "drop_before":
            raise Cut
        elif rule.kind == "token_expired":
            hub.auth.expire_tokens("access", *(["refresh"] if action.get("refresh") else []))
            return expired(hub)
        elif rule.kind == "status" and action.get("when", "before") == "before":
            return _status(action)
        elif rule.kind == "malformed" and action.get("when", "after") == "before":
            return Wire(200, _HTML, {"content-type": "text/html"})
    return None


async def after(rules: list[Rule], wire: Wire) -> Wire:
    """Do what happens when the work is done."""
    for rule in rules:
        action = rule.action
        if rule.kind == "delay" and action.get("when") == "after":
            await asyncio.sleep(float(action.get("seconds", 1)))
        elif rule.kind == "drop_after":
            raise Cut
        elif rule.kind == "status" and action.get("when") == "after":
            return _status(action)
        elif rule.kind == "malformed":
            return Wire(200, _HTML, {"content-type": "text/html"})
        elif rule.kind == "truncated":
            wire.send_only = len(wire.body) // 2
        elif rule.kind == "progress_back":
            wire.body = _fallen_back(wire.body, float(action.get("by", 10)))
    return wire


def expired(hub: LocalHub) -> Wire:
    """Give the answer to an expired token."""
    body = {"detail": "Given token not valid for any token type", "code": "token_not_valid"}
    return Wire.of(Reply(body, hub.dialect.expired_status))


def _outage(faults: Faults) -> Wire:
    if faults.outage_status is None:
        raise Cut
    return _status({"status": faults.outage_status})


def _status(action: dict[str, Any]) -> Wire:
    headers = {"retry-after": str(action["retry_after"])} if "retry_after" in action else {}
    status = int(action.get("status", 503))
    return Wire.of(Reply({"detail": f"a rehearsed {status}"}, status, headers))


def _fallen_back(body: bytes, by: float) -> bytes:
    """Lower every progress in a body."""
    try:
        content = json.loads(body)
    except ValueError:
        return body
    return json.dumps(_lower(content, by)).encode("ascii")


def _lower(content: Any, by: float) -> Any:
    if isinstance(content, dict):
        return {
            key: _lowered(value, by) if key in ("progress", "percentage") else _lower(value, by)
            for key, value in content.items()
        }
    if isinstance(content, list):
        return [_lower(value, by) for value in content]
    return _lowered(content, by) if isinstance(content, str) and content.endswith("%") else content


def _lowered(value: Any, by: float) -> Any:
    if isinstance(value, str):
        return f"{max(float(value.rstrip('%')) - by, 0):g}" + ("%" if value.endswith("%") else "")
    return max(value - by, 0) if isinstance(value, (int, float)) else value
