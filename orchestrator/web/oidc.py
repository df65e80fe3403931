"""Bearer tokens of an OIDC issuer: PyJWT checks signature, issuer, audience and times, with the issuer's own keys.

Only asymmetric algorithms count. Whoever the person claim names is the person; the role claim, or the groups that the
settings map, says the role, and without one nobody comes in. The issuer's keys are read again when a token names one
that is not known, but not more than once in `ASK_AGAIN` seconds, whatever is sent.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final

import httpx
import jwt
import structlog

from orchestrator.roles import Role, roles_of_groups
from orchestrator.settings import Settings
from orchestrator.tokens import PERSON

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
ASK_AGAIN: Final = 30.0
KEYS_FOR: Final = 3600.0
LEEWAY: Final = 30
LONGEST: Final = 16_384
_WITHIN = 5.0
_MOST_BYTES = 1 << 20
_log = structlog.get_logger(__name__)


class BadBearer(Exception):
    """The token is not to be believed; the text says why, and holds nothing of it."""


class IssuerAway(Exception):
    """The issuer's keys cannot be read now: try again in a while."""


@dataclass(frozen=True)
class Bearer:
    """Whom a token speaks for, in which role, until when."""

    person: str
    role: Role
    expires: datetime


class Issuer:
    """The issuer of the settings and its keys; safe to use from many threads."""

    def __init__(self, settings: Settings) -> None:
        assert settings.oidc_issuer is not None and settings.oidc_audience is not None
        self._issuer = settings.oidc_issuer
        self._audience = settings.oidc_audience
        self._person = settings.oidc_person_claim
        self._role = settings.oidc_role_claim
        self._groups = roles_of_groups(settings.oidc_roles) or {str(role): role for role in Role}
        self._lock = Lock()
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._read = float("-inf")
        self._tried = float("-inf")

    def read(self, text: str) -> Bearer:
        """Read a token. Raises BadBearer and IssuerAway."""
        try:
            header = jwt.get_unverified_header(text)
            if header.get("alg") not in ALGORITHMS:
                raise BadBearer("its algorithm is not one of the asymmetric ones that count")
            key = self._key(header.get("kid"))
            claims = jwt.decode(
                text,
                key.key,
                algorithms=[str(header["alg"])],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise BadBearer("it has expired") from None
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise BadBearer(f"it is not one of this issuer for us ({type(error).__name__})") from None
        return Bearer(self._person_of(claims), self._role_of(claims), _moment(claims["exp"]))

    def _person_of(self, claims: Mapping[str, Any]) -> str:
        person = _inside(claims, self._person)
        if not isinstance(person, str) or not PERSON.fullmatch(person):
            raise BadBearer(f"its claim `{self._person}` names no person")
        return person

    def _role_of(self, claims: Mapping[str, Any]) -> Role:
        said = _inside(claims, self._role)
        words = said.split() if isinstance(said, str) else said if isinstance(said, list) else []
        found = {self._groups[word] for word in words if isinstance(word, str) and word in self._groups}
        if not found:
            raise BadBearer(f"its claim `{self._role}` holds no role that is known here")
        if found >= {Role.OPERATOR, Role.APPROVER} and Role.ADMIN not in found:
            raise BadBearer("it has the roles operator and approver, which no one person may have together")
        return next(role for role in (Role.ADMIN, Role.OPERATOR, Role.APPROVER, Role.VIEWER) if role in found)

    def _key(self, kid: Any) -> jwt.PyJWK:
        name = kid if isinstance(kid, str) else None
        with self._lock:
            now = time.monotonic()
            stale = now - self._read > KEYS_FOR
            if (stale or self._find(name) is None) and now - self._tried > ASK_AGAIN:
                self._tried = now
                self._ask(now)
            found = self._find(name)
            if found is None and not self._keys:
                raise IssuerAway("the issuer's keys cannot be read now")
        if found is None:
            raise BadBearer("its key is not one of the issuer's")
        return found

    def _find(self, name: str | None) -> jwt.PyJWK | None:
        if name is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(name)

    def _ask(self, now: float) -> None:
        """Read the keys anew; those that are known stay when the issuer is away."""
        try:
            about = _fetched(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            if about.get("issuer") != self._issuer:
                raise ValueError("it says that it is another issuer")
            self._keys = dict(_keys_in(_fetched(str(about["jwks_uri"]))))
            self._read = now
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError) as error:
            _log.warning("the OIDC issuer's keys cannot be read", issuer=self._issuer, error=str(error))


def _keys_in(document: Mapping[str, Any]) -> Iterator[tuple[str | None, jwt.PyJWK]]:
    """Give the keys that sign, by their id; what this library does not know is passed over."""
    for one in document.get("keys", []):
        if one.get("use", "sig") != "sig" or one.get("kty") == "oct":
            continue
        try:
            yield one.get("kid"), jwt.PyJWK(one)
        except jwt.PyJWTError:
            continue


def _fetched(url: str) -> dict[str, Any]:
    answer = httpx.get(url, timeout=_WITHIN, follow_redirects=False)
    answer.raise_for_status()
    found = answer.json() if len(answer.content) <= _MOST_BYTES else None
    if not isinstance(found, dict):
        raise ValueError(f"{url} is no document of an issuer")
    return found


def _inside(claims: Mapping[str, Any], place: str) -> Any:
    """Find a claim, whole name first: names may hold dots and slashes (`https://...`), or lead into objects."""
    if place in claims:
        return claims[place]
    found: Any = claims
    for word in place.split("."):
        found = found.get(word) if isinstance(found, Mapping) else None
    return found


def _moment(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        raise BadBearer("its time is out of range") from None
