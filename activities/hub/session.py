"""Who we are to the Hub: the secret of each request, renewed once for everybody when it no longer counts."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import SecretStr

from activities.errors import AuthError, ContractError, Permanent
from activities.hub.credentials import ApiKey, Credentials, Password

#: Sends a body to one of the Hub's token endpoints and gives back the JSON answer.
Exchange = Callable[[str, dict[str, str]], Awaitable[Any]]

_LOGIN = "/auth/token/"
_REFRESH = "/auth/token/refresh/"
#: A refused login is not tried again for so many seconds, lest many callers lock the account.
_REFUSED_FOR = 10.0


@dataclass(frozen=True)
class Proof:
    """The value of one `Authorization` header; `number` grows with every renewal."""

    secret: SecretStr = field(repr=False)
    number: int = 0


class Session(Protocol):
    """Gives the current proof and, if there is a way, a newer one."""

    async def current(self) -> Proof:
        """The proof to send now."""

    async def renewed(self, stale: Proof, *, login: bool) -> Proof | None:
        """A newer proof than the refused one (with `login`, not by a mere refresh); None if there is no way."""

    def hidden(self, text: str) -> str:
        """The text with every secret of this session blotted out."""


def session_for(credentials: Credentials, exchange: Exchange) -> Session:
    """The session that fits the credentials."""
    if isinstance(credentials, ApiKey):
        return KeySession(credentials)
    return TokenSession(credentials, exchange)


class KeySession:
    """A client key: always the same, never renewed."""

    def __init__(self, key: ApiKey) -> None:
        self._key = key.key
        self._proof = Proof(SecretStr(f"Api-Key {key.key.get_secret_value()}"))

    async def current(self) -> Proof:
        """The key."""
        return self._proof

    async def renewed(self, stale: Proof, *, login: bool) -> Proof | None:
        """None: a key does not expire."""
        return None

    def hidden(self, text: str) -> str:
        """The text without the key."""
        return _blotted(text, [self._key])


class TokenSession:
    """A user's tokens: refreshed while that works, else by a new login; one renewal at a time serves all callers."""

    def __init__(self, account: Password, exchange: Exchange) -> None:
        self._account = account
        self._exchange = exchange
        self._lock = asyncio.Lock()
        self._proof: Proof | None = None
        self._refresh: SecretStr | None = None
        self._secrets: deque[SecretStr] = deque(maxlen=8)
        self._refused_at: float | None = None

    async def current(self) -> Proof:
        """The access token, after a login if there is none yet."""
        if self._proof is not None:
            return self._proof
        async with self._lock:
            return self._proof or await self._logged_in(1)

    async def renewed(self, stale: Proof, *, login: bool) -> Proof | None:
        """A newer access token: one that another caller got meanwhile, else by refresh, else by login."""
        async with self._lock:
            if self._proof is not None and self._proof.number > stale.number:
                return self._proof
            refreshed = None if login else await self._refreshed(stale.number + 1)
            return refreshed or await self._logged_in(stale.number + 1)

    def hidden(self, text: str) -> str:
        """The text without the password and the last tokens."""
        return _blotted(text, [self._account.password, *self._secrets])

    async def _refreshed(self, number: int) -> Proof | None:
        if self._refresh is None:
            return None
        try:
            answer = await self._exchange(_REFRESH, {"refresh": self._refresh.get_secret_value()})
            return self._kept(answer, number)
        except Permanent:
            self._refresh = None
            return None

    async def _logged_in(self, number: int) -> Proof:
        if self._refused_at is not None and time.monotonic() - self._refused_at < _REFUSED_FOR:
            raise self._refusal()
        body = {"username": self._account.username, "password": self._account.password.get_secret_value()}
        try:
            proof = self._kept(await self._exchange(_LOGIN, body), number)
        except Permanent as error:
            if error.status not in (400, 401, 403):
                raise
        else:
            self._refused_at = None
            return proof
        self._refused_at = time.monotonic()
        raise self._refusal()

    def _kept(self, answer: Any, number: int) -> Proof:
        access = answer.get("access") if isinstance(answer, dict) else None
        if not isinstance(access, str) or not access:
            raise ContractError(f"POST {_LOGIN}: the answer has no token in field 'access'", operation=f"POST {_LOGIN}")
        refresh = answer.get("refresh")
        if isinstance(refresh, str) and refresh:
            self._refresh = SecretStr(refresh)
            self._secrets.append(self._refresh)
        self._secrets.append(SecretStr(access))
        self._proof = Proof(SecretStr(f"Bearer {access}"), number)
        return self._proof

    def _refusal(self) -> AuthError:
        return AuthError(
            f"POST {_LOGIN}: the Hub refuses the login of {self._account.username!r}: check user name and password",
            operation=f"POST {_LOGIN}",
            status=401,
        )


def _blotted(text: str, secrets: list[SecretStr]) -> str:
    for secret in secrets:
        plain = secret.get_secret_value()
        if len(plain) >= 3:
            text = text.replace(plain, "[hidden]")
    return text
