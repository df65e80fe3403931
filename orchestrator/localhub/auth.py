"""Who may ask: client keys, kept as hashes, and JSON web tokens with a short life."""

import hashlib
import math
import os
import secrets
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from orchestrator.localhub.clock import now_us
from orchestrator.localhub.config import LocalHubConfig
from orchestrator.localhub.store import Store

ADMIN = "admin"
_ALGORITHM = "HS256"
_ROUNDS = {"n": 2**14, "r": 8, "p": 1}


@dataclass(frozen=True)
class Identity:
    """The one who asks: a user, and the client key that was shown, if it was one."""

    username: str
    clientkey: int | None = None


class Unauthorized(Exception):
    """The request shows no credentials that hold; `expired` when they held once."""

    def __init__(self, message: str, *, expired: bool = False) -> None:
        super().__init__(message)
        self.expired = expired


class Auth:
    """The doorkeeper."""

    def __init__(self, store: Store, config: LocalHubConfig) -> None:
        self._store = store
        self._lifetimes = {"access": config.access_lifetime, "refresh": config.refresh_lifetime}
        self._secret = _kept_secret(config.state / "token.secret")
        self._epochs = {kind: self._epoch(kind) for kind in self._lifetimes}
        self._known: dict[bytes, Identity] = {}
        self._admit_administrator(config)

    def identify(self, header: str | None) -> Identity:
        """Say who sends an Authorization header; raise Unauthorized."""
        scheme, _, credential = (header or "").partition(" ")
        if scheme == "Api-Key" and credential:
            return self._by_key(credential.strip())
        if scheme == "Bearer" and credential:
            return Identity(self._read(credential.strip(), "access")["sub"])
        raise Unauthorized("Authentication credentials were not provided.")

    def log_in(self, username: str, password: str) -> dict[str, str]:
        """Give a pair of tokens for a user; raise Unauthorized."""
        row = self._store.read().execute("SELECT * FROM users WHERE username = ?", (username,)).fetchone()
        if row is None or not secrets.compare_digest(row["digest"], _stretch(password, row["salt"])):
            raise Unauthorized("No active account found with the given credentials")
        return {kind: self._issue(username, kind) for kind in self._lifetimes}

    def refresh(self, token: str) -> str:
        """Give a new access token for a refresh token; raise Unauthorized."""
        return self._issue(self._read(token, "refresh")["sub"], "access")

    def verify(self, token: str, kind: str) -> None:
        """Raise Unauthorized when the token does not hold."""
        self._read(token, kind)

    def expire_tokens(self, *kinds: str) -> None:
        """Make every token of these kinds that was given so far an expired one."""
        with self._store.write() as database:
            for kind in kinds:
                self._epochs[kind] += 1
                values = (f"epoch.{kind}", str(self._epochs[kind]))
                database.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", values)

    def list_keys(self) -> list[sqlite3.Row]:
        """Give all client keys, without the keys themselves."""
        return self._store.read().execute("SELECT id, name, user FROM clientkeys ORDER BY id").fetchall()

    def make_key(self, name: str, user: str, key: str | None = None) -> tuple[int, str]:
        """Make a client key; give its number and, this once, the key."""
        key = key or f"{secrets.token_urlsafe(6)}.{secrets.token_urlsafe(24)}"
        with self._store.write() as database:
            row = database.execute(
                "INSERT INTO clientkeys (name, user, digest) VALUES (?, ?, ?) RETURNING id", (name, user, _digest(key))
            ).fetchone()
        return int(row[0]), key

    def rename_key(self, number: int, name: str) -> bool:
        """Give a client key another name; False when there is none."""
        with self._store.write() as database:
            return database.execute("UPDATE clientkeys SET name = ? WHERE id = ?", (name, number)).rowcount > 0

    def revoke_key(self, number: int) -> bool:
        """Make a client key worthless; False when there is none."""
        with self._store.write() as database:
            gone = database.execute("DELETE FROM clientkeys WHERE id = ?", (number,)).rowcount > 0
        self._known.clear()
        return gone

    def _by_key(self, key: str) -> Identity:
        digest = _digest(key)
        known = self._known.get(digest)
        if known is not None:
            return known
        row = self._store.read().execute("SELECT id, user FROM clientkeys WHERE digest = ?", (digest,)).fetchone()
        if row is None:
            raise Unauthorized("Invalid API key.")
        self._known[digest] = Identity(row["user"], row["id"])
        return self._known[digest]

    def _issue(self, username: str, kind: str) -> str:
        now = time.time()
        ends = math.ceil(now + self._lifetimes[kind].total_seconds())  # whole seconds: rather late than early
        claims = {"sub": username, "token_type": kind, "iat": int(now), "exp": ends, "epoch": self._epochs[kind]}
        return jwt.encode(claims | {"jti": secrets.token_hex(8)}, self._secret, _ALGORITHM)

    def _read(self, token: str, kind: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(token, self._secret, [_ALGORITHM])
        except jwt.ExpiredSignatureError as error:
            raise Unauthorized("Token is invalid or expired", expired=True) from error
        except jwt.InvalidTokenError as error:
            raise Unauthorized("Token is invalid or expired") from error
        if claims.get("token_type") != kind:
            raise Unauthorized("Token has wrong type")
        if claims.get("epoch") != self._epochs[kind]:
            raise Unauthorized("Token is invalid or expired", expired=True)
        return claims

    def _epoch(self, kind: str) -> int:
        row = self._store.read().execute("SELECT value FROM meta WHERE key = ?", (f"epoch.{kind}",)).fetchone()
        return int(row["value"]) if row else 0

    def _admit_administrator(self, config: LocalHubConfig) -> None:
        key, password = _kept_secret(config.key_file).decode(), _kept_secret(config.password_file).decode()
        if self._store.read().execute("SELECT 1 FROM clientkeys WHERE digest = ?", (_digest(key),)).fetchone() is None:
            self.make_key("administrator", ADMIN, key)
        salt = secrets.token_bytes(16)
        with self._store.write() as database:
            database.execute(
                "INSERT INTO users (username, salt, digest, joined) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (username) DO UPDATE SET salt = excluded.salt, digest = excluded.digest",
                (ADMIN, salt, _stretch(password, salt), now_us()),
            )


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _stretch(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode("utf-8", "surrogatepass"), salt=salt, **_ROUNDS)


def _kept_secret(path: Path) -> bytes:
    """Read a secret from a file that only its owner can read; make one at the first time."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    return path.read_bytes().strip()
