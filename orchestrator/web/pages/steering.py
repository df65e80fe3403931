"""What people do on the pages: each form is a POST that works without a script, and leads back to where it was."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from activities.holds import BadNote
from activities.ledger.records import AuditUnavailable
from orchestrator import runs
from orchestrator.applied import NoWorker
from orchestrator.holding import HoldError, pause_policy, resume_policy, resume_run
from orchestrator.roles import Right
from orchestrator.run_pages import known_run
from orchestrator.runs import NoSuchRun, RunError, RunOver
from orchestrator.web.pages.frame import Frame, Refused, done, who
from orchestrator.web.pages.live import Live
from workflows.run import NewLimits, RunStatus
from workflows.running import Rate
from workflows.units import parse_duration

ANSWERED_WITHIN = 30.0

MOST_BYTES = 64 << 10
Form = Mapping[str, str]
Act = Callable[[str, str, Form], Awaitable[RunStatus]]
"""Does something to a run on behalf of a person."""


class Steering:
    """The forms of the run page and of the policy page."""

    def __init__(self, frame: Frame, live: Live) -> None:
        self._frame = frame
        self._live = live

    @property
    def acts(self) -> dict[str, tuple[Right, str, Act]]:
        """Every act by its address: who may, the word that says it was done, and what does it."""
        return {
            "pause": (Right.STEER, "paused", self._pause),
            "resume": (Right.STEER, "resumed", self._resume),
            "cancel": (Right.STEER, "cancelled", self._cancel),
            "limits": (Right.STEER, "limits", self._limits),
            "skip-stage": (Right.STEER, "skipped", self._skip),
            "approve": (Right.APPROVE, "approved", self._approve),
            "reject": (Right.APPROVE, "rejected", self._reject),
        }

    async def act(self, request: Request) -> Response:
        """Do what a form of the run page asks for."""
        run, act = request.path_params["run"], request.path_params["act"]
        if act not in self.acts:
            raise Refused(404, "No such action", f"A run knows no action {act}.", f"/runs/{run}", "Back to the run")
        right, word, does = self.acts[act]
        actor, form = who(request, right), await read_form(request)
        back = f"/runs/{run}"
        try:
            async with asyncio.timeout(ANSWERED_WITHIN):
                engine = self._live.engine
                await known_run(engine.client, engine.settings.task_queue, run)
                await does(run, actor, form)
        except NoSuchRun as error:
            raise Refused(404, "No such run", str(error), "/runs", "All runs") from error
        except RunOver as error:
            raise Refused(409, "The run has ended", str(error), back, "Back to the run") from error
        except (RunError, BadNote, ValueError) as error:
            raise Refused(409, "That was not done", _said(error), back, "Back to the run") from error
        except TimeoutError as error:
            why = "No worker answered in time. It may still happen: look at the run again in a moment."
            raise Refused(503, "No answer", why, back, "Back to the run") from error
        finally:
            self._live.changed(run)
        return done(back, word)

    async def hold(self, request: Request) -> Response:
        """Pause a policy, or let it start again."""
        policy, actor, form = request.path_params["policy"], who(request, Right.STEER), await read_form(request)
        back, engine = f"/policies/{policy}", self._live.engine
        is_pause = request.url.path.endswith("/pause")
        try:
            async with asyncio.timeout(ANSWERED_WITHIN):
                if is_pause:
                    key = secrets.token_hex(8)
                    await pause_policy(engine, policy, actor=actor, reason=_reason(form), key=key)
                else:
                    await resume_policy(engine, policy, actor=actor, reason=_reason(form))
        except (HoldError, BadNote, ValueError) as error:
            raise Refused(409, "That was not done", _said(error), back, "Back to the policy") from error
        except (NoWorker, AuditUnavailable, TimeoutError) as error:
            raise Refused(503, "No answer", str(error) or "Nobody answered.", back, "Back to the policy") from error
        return done(back, "held" if is_pause else "released")

    async def _pause(self, run: str, actor: str, form: Form) -> RunStatus:
        text, until = _text(form, "for"), None
        if text:
            length: timedelta = parse_duration(text)
            until = datetime.now(UTC) + length
        return await runs.pause(self._live.engine.client, run, actor=actor, reason=_reason(form), until=until)

    async def _resume(self, run: str, actor: str, form: Form) -> RunStatus:
        engine = self._live.engine
        return await resume_run(engine.client, engine.holds, run, actor=actor, reason=_text(form, "reason"))

    async def _cancel(self, run: str, actor: str, form: Form) -> RunStatus:
        keep = _text(form, "keep_jobs") == "yes"
        return await runs.cancel(self._live.engine.client, run, actor=actor, reason=_reason(form), keep_jobs=keep)

    async def _limits(self, run: str, actor: str, form: Form) -> RunStatus:
        concurrency, window = _text(form, "concurrency"), _text(form, "window")
        given = {name: _text(form, name).replace(",", "") for name in ("files", "bytes", "jobs")}
        rate = {f"{name}_per_minute": text if name == "bytes" else int(text) for name, text in given.items() if text}
        limits = NewLimits(
            actor=actor,
            reason=_reason(form),
            concurrency=int(concurrency) if concurrency else None,
            rate=Rate.model_validate(rate) if rate else None,
            rate_off=_text(form, "rate_off") == "yes",
            window={"on": True, "off": False}.get(window),
        )
        return await runs.set_limits(self._live.engine.client, run, limits)

    async def _skip(self, run: str, actor: str, form: Form) -> RunStatus:
        number = _text(form, "number")
        return await runs.skip_stage(
            self._live.engine.client, run, actor=actor, reason=_reason(form), number=int(number) if number else None
        )

    async def _approve(self, run: str, actor: str, form: Form) -> RunStatus:
        if _text(form, "agreed") != "yes":
            raise RunError("nothing was approved: tick the box beside the digest")
        return await self._decide(run, actor, form, approved=True)

    async def _reject(self, run: str, actor: str, form: Form) -> RunStatus:
        _reason(form)
        return await self._decide(run, actor, form, approved=False)

    async def _decide(self, run: str, actor: str, form: Form, *, approved: bool) -> RunStatus:
        digest, reason = _text(form, "digest"), _text(form, "reason")
        return await runs.decide(
            self._live.engine.client, run, actor=actor, reason=reason, digest=digest, approved=approved
        )


async def read_form(request: Request) -> Form:
    """Read what a form says; raises Refused for what no form of ours sends."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise Refused(413, "Too much", "That is more than any form here holds.")
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=50, errors="strict"))
    except ValueError as error:
        raise Refused(400, "That is no form", "What was sent cannot be read as a form.") from error


def _text(form: Form, name: str) -> str:
    return form.get(name, "").strip()


def _reason(form: Form) -> str:
    text = _text(form, "reason")
    if not text:
        raise RunError("say why: the audit keeps your reason beside your name")
    return text


def _said(error: Exception) -> str:
    errors = getattr(error, "errors", None)
    if callable(errors):
        first = errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}"
    return str(error)
