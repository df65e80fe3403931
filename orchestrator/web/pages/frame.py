"""The frame around every page: who looks, what is held, whether the audit is whole, and the way to all other pages."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from activities.holds import Hold, Holds
from activities.ledger.records import AuditError
from orchestrator.roles import Right, who_may
from orchestrator.web.access import Caller
from orchestrator.web.pages.verification import Badge, Verification
from orchestrator.web.pages.words import FILTERS

TEMPLATES = Path(__file__).parent.parent / "templates"
STATIC = Path(__file__).parent.parent / "static"

PAGES = (
    ("/", "overview", "Overview"),
    ("/runs", "runs", "Runs"),
    ("/plans", "plans", "Plans"),
    ("/policies", "policies", "Policies"),
    ("/pools", "pools", "Pools"),
    ("/events", "events", "Events"),
    ("/audit", "audit", "Audit"),
)
"""The way around: address, name, title."""

DONE = {
    "paused": "Paused. Jobs in flight end, nothing more begins.",
    "resumed": "Resumed.",
    "cancelled": "The run is being cancelled. Every file is still accounted for.",
    "limits": "The new limits hold from the next batch on.",
    "approved": "Approved. The run does exactly this plan.",
    "rejected": "Rejected. The run ends refused, and nothing has moved.",
    "skipped": "The stage is left out.",
    "held": "The policy starts nothing until it is resumed.",
    "released": "The policy starts again.",
    "verified": "All of it was looked at.",
}
"""What a page says after an action, by the word in its address."""


@dataclass
class Refused(Exception):
    """A page cannot be shown, or an action not be done: the title, why, and where to go on."""

    status: int
    title: str
    why: str
    back: str = "/"
    back_title: str = "Back to the overview"


class Frame:
    """Shows templates inside the frame."""

    def __init__(self) -> None:
        self.holds: Holds | None = None
        self.verification: Verification | None = None
        self._templates = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters.update(FILTERS)
        self._templates.globals.update(product=version("tiering-orchestrator"), Right=Right, abs=abs)

    async def page(self, request: Request, template: str, /, status: int = 200, **values: Any) -> HTMLResponse:
        """Show a page in the frame."""
        text = self._templates.get_template(template).render(
            pages=PAGES,
            visitor=visitor(request),
            address=request.url.path,
            holds=await self._standing() if visitor(request) is not None else [],
            badge=self.badge,
            now=datetime.now(UTC),
            said=DONE.get(request.query_params.get("done", "")),
            **values,
        )
        return HTMLResponse(text, status, headers={"Cache-Control": "no-store"})

    async def part(self, request: Request, template: str, /, **values: Any) -> HTMLResponse:
        """Show a part of a page, for a page that keeps it fresh."""
        text = self._templates.get_template(template).render(
            visitor=visitor(request), now=datetime.now(UTC), badge=self.badge, **values
        )
        return HTMLResponse(text, headers={"Cache-Control": "no-store"})

    async def refused(self, request: Request, refused: Refused) -> HTMLResponse:
        """Show why something cannot be shown or done, and the way out."""
        return await self.page(request, "refused.html", refused.status, refused=refused)

    @property
    def badge(self) -> Badge:
        """What is known of the audit."""
        return Badge() if self.verification is None else self.verification.badge

    async def _standing(self) -> list[Hold]:
        try:
            return [] if self.holds is None else await asyncio.to_thread(self.holds.standing)
        except AuditError:
            return []


def visitor(request: Request) -> Caller | None:
    """Give whoever looks; nobody on the page of the sign-in."""
    found: Caller | None = getattr(request.state, "caller", None)
    return found


def who(request: Request, right: Right) -> str:
    """Give the name, for the audit, of whoever may do this. Raises Refused for anybody else."""
    caller = visitor(request)
    if caller is None or not caller.may(right):
        role = "nobody" if caller is None else str(caller.role)
        raise Refused(403, "That is not yours to do", f"It needs the role {who_may(right)}; you are {role} here.")
    return caller.actor


def done(address: str, word: str) -> Response:
    """Go on to a page that says what was done."""
    joint = "&" if "?" in address else "?"
    return RedirectResponse(f"{address}{joint}done={word}", 303)
