"""Errors as people and programs read them: problem documents (RFC 9457), one place that turns errors into them."""

import secrets
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi.exceptions import HTTPException as FastApiError
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from activities.errors import HubError
from activities.holds import BadNote
from activities.ledger.records import AuditError, AuditUnavailable
from activities.manifests import ManifestDamaged
from activities.storage import Missing
from orchestrator.applied import NoWorker
from orchestrator.catalog import PolicyError
from orchestrator.holding import HoldError
from orchestrator.outcome_files import NoOutcomes
from orchestrator.reporting.report import NoStory
from orchestrator.runs import NoSuchRun, RunError, RunOver
from orchestrator.temporal import TemporalUnreachable
from orchestrator.tokens import TokenError
from orchestrator.versions import VersionError

MEDIA_TYPE: Final = "application/problem+json"
TRY_AGAIN: Final = "5"
_MOST_MISTAKES = 20
_MOST_TEXT = 500
_log = structlog.get_logger(__name__)


class Mistake(BaseModel):
    """One thing that is wrong with a request, and where."""

    where: str = Field(description="The place: `body.reason`, `query.limit`, `path.run`.")
    text: str


class ProblemDocument(BaseModel):
    """What went wrong, and what the caller can do (RFC 9457)."""

    type: str = Field(description="Which kind of problem, `urn:tiering:problem:...`; stable, for programs.")
    title: str
    status: int
    detail: str = Field(description="What happened and what to do, in a sentence.")
    instance: str | None = Field(None, description="The id of this very problem, which the server's log names too.")
    mistakes: list[Mistake] | None = None


class Problem(FastApiError):
    """Ends a request with a problem document; `kind` is the last word of its type.

    It is one of the framework's own errors, so that it comes through unchanged while a body is read.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        mistakes: Iterable[Mistake] = (),
        instance: str | None = None,
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.status = status
        self.kind = kind
        self.mistakes = list(mistakes)
        self.instance = instance

    def answer(self) -> Response:
        """Write it."""
        document = ProblemDocument(
            type=f"urn:tiering:problem:{self.kind}",
            title=self.kind.replace("-", " ").capitalize(),
            status=self.status,
            detail=str(self.detail),
            instance=self.instance,
            mistakes=self.mistakes or None,
        )
        body = document.model_dump(exclude_none=True)
        return JSONResponse(body, self.status, self.headers, media_type=MEDIA_TYPE)


def unknown(what: str) -> Problem:
    """Say that there is no such thing."""
    return Problem(404, "not-found", what)


def away(text: str) -> Problem:
    """Say that something which this needs does not answer now."""
    return Problem(503, "unavailable", text, headers={"Retry-After": TRY_AGAIN})


async def on_problem(request: Request, error: Exception) -> Response:
    """Answer with the problem that was raised."""
    assert isinstance(error, Problem)
    return error.answer()


async def on_wrong_request(request: Request, error: Exception) -> Response:
    """Say everything that is wrong with a request; never what was sent, which may be a secret."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    mistakes = [
        Mistake(where=".".join(str(part) for part in one["loc"])[:_MOST_TEXT], text=_said(one))
        for one in found[:_MOST_MISTAKES]
    ]
    if found and found[0]["type"] == "json_invalid":
        return Problem(400, "malformed", "The body is no JSON.", mistakes=mistakes).answer()
    text = "The request cannot be taken as it is: `mistakes` says where and why."
    return Problem(422, "invalid", text, mistakes=mistakes).answer()


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what the framework refuses: no such place, no such method, a body that cannot be read."""
    assert isinstance(error, HTTPException)
    kinds = {404: "not-found", 405: "no-such-method", 413: "too-large"}
    texts = {
        404: "There is nothing here: /api/v1/openapi.json lists what there is.",
        405: "This method is not known here; `Allow` names those that are.",
    }
    kind = kinds.get(error.status_code, HTTPStatus(error.status_code).phrase.lower().replace(" ", "-"))
    text = texts.get(error.status_code, str(error.detail))
    return Problem(error.status_code, kind, text, headers=error.headers).answer()


async def on_error(request: Request, error: Exception) -> Response:
    """Answer what our own modules raise; what nobody foresaw gets an id, and stands in the log with it."""
    return problem_of(error, request).answer()


def problem_of(error: Exception, request: Request) -> Problem:
    """Give the problem that an error is."""
    if isinstance(error, Problem):
        return error
    for kind, status, word in _KNOWN:
        if isinstance(error, kind):
            text = _plain(str(error)) or word
            return away(text) if status == 503 else Problem(status, word, text)
    found = _of_temporal(error)
    if found is not None:
        return found
    instance = f"urn:tiering:incident:{secrets.token_hex(8)}"
    _log.error("unforeseen error", incident=instance, method=request.method, path=request.url.path, exc_info=error)
    text = "Something failed that nobody foresaw. The server's log names this problem by its `instance`."
    return Problem(500, "unforeseen", text, instance=instance)


_KNOWN: Final[tuple[tuple[type[BaseException], int, str], ...]] = (
    (NoSuchRun, 404, "not-found"),
    (RunOver, 409, "run-over"),
    (RunError, 409, "conflict"),
    (HoldError, 409, "conflict"),
    (BadNote, 422, "invalid"),
    (TokenError, 422, "invalid"),
    (VersionError, 409, "conflict"),
    (PolicyError, 409, "wrong-policy"),
    (NoOutcomes, 404, "not-found"),
    (NoStory, 404, "not-found"),
    (ManifestDamaged, 409, "damaged"),
    (Missing, 409, "damaged"),
    (TemporalUnreachable, 503, "unavailable"),
    (NoWorker, 503, "unavailable"),
    (AuditUnavailable, 503, "unavailable"),
    (AuditError, 503, "unavailable"),
    (HubError, 503, "unavailable"),
    (TimeoutError, 503, "unavailable"),
)


def _of_temporal(error: Exception) -> Problem | None:
    from temporalio.service import RPCError, RPCStatusCode

    if not isinstance(error, RPCError):
        return None
    if error.status is RPCStatusCode.NOT_FOUND:
        return unknown("Temporal knows nothing of this name.")
    if error.status is RPCStatusCode.INVALID_ARGUMENT:
        return Problem(422, "invalid", f"Temporal does not take this: {_plain(error.message)}")
    return away("Temporal does not answer now: try again in a while.")


def _plain(text: str) -> str:
    return text.strip()[:_MOST_TEXT]


def _said(one: Mapping[str, Any]) -> str:
    return str(one["msg"]).removeprefix("Value error, ")[:_MOST_TEXT]


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare the problems that a route may answer with, for the OpenAPI document."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    return {status: {"description": _DESCRIPTIONS[status], "content": content} for status in statuses}


_DESCRIPTIONS: Final = {
    400: "The body is no JSON, or was cut off.",
    401: "No token, or one that is wrong, expired or revoked.",
    403: "The token's role does not allow this, or another site's page asked for it.",
    404: "There is no such thing.",
    405: "The method is not known here.",
    408: "The body did not come in time.",
    409: "It cannot be done as things stand now; the text says why.",
    413: "The body is too large.",
    422: "The request cannot be taken as it is; `mistakes` says where and why.",
    429: "Too many failed logins, or too many live connections: try again after `Retry-After` seconds.",
    500: "Something failed that nobody foresaw; the log has it by `instance`.",
    503: "What this needs does not answer now: try again after `Retry-After` seconds.",
}
