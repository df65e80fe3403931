"""Signatures of events as Standard Webhooks has them: HMAC-SHA-256 over id, time and body, in `webhook-` headers."""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence

TOLERANCE = 300
"""Seconds that the time of a signature may be off; a repeat within them is known by its event's id."""

_PREFIX = "whsec_"


class Unsigned(Exception):
    """The signature is missing, wrong or stale; `reason` is a word for the counter."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def keys_of(text: str) -> list[bytes]:
    """Read secrets that stand apart by blanks, commas or lines; raises ValueError for one that is too weak."""
    keys = []
    for one in text.replace(",", " ").split():
        try:
            key = base64.b64decode(one.removeprefix(_PREFIX), validate=True) if _PREFIX in one[:6] else one.encode()
        except ValueError:
            raise ValueError("a secret that begins with whsec_ goes on in base64") from None
        if len(key) < 16:
            raise ValueError("a secret has less than 16 bytes: make one with `openssl rand -base64 32`")
        keys.append(key)
    return keys


def sign(key: bytes, message: str, at: int, body: bytes) -> str:
    """Give the signature of a message."""
    content = f"{message}.{at}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def signed_headers(key: bytes, body: bytes, message: str | None = None) -> dict[str, str]:
    """Give the headers that sign a body now."""
    message, at = message or f"msg_{secrets.token_hex(12)}", int(time.time())
    return {"webhook-id": message, "webhook-timestamp": str(at), "webhook-signature": sign(key, message, at, body)}


def verify(keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: float) -> str:
    """Give the message's id when one of the keys has signed it lately; raises Unsigned."""
    message, stamp, given = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not (message and stamp and given):
        raise Unsigned("unsigned", "The headers webhook-id, webhook-timestamp and webhook-signature are needed.")
    if not stamp.isascii() or not stamp.isdecimal() or len(stamp) > 12:
        raise Unsigned("malformed", "webhook-timestamp is no number of seconds since 1970.")
    expected = [sign(key, message, int(stamp), body).encode() for key in keys]
    one_is = [hmac.compare_digest(right, one.encode()) for right in expected for one in given.split()]
    if not any(one_is):
        raise Unsigned(
            "wrong_signature", "None of the signatures was made with a secret of ours over this id, time and body."
        )
    if abs(now - int(stamp)) > TOLERANCE:
        raise Unsigned("stale", f"The message was signed more than {TOLERANCE} s ago, or in the future: sign it anew.")
    return message


def attributes_digest(headers: Iterable[tuple[str, str]]) -> str:
    """Give the `webhook-id` of a binary mode message: it covers the ce- headers and the content type."""
    covered = sorted((name.lower(), value) for name, value in headers if name.lower().startswith("ce-"))
    return hashlib.sha256("".join(f"{name}:{value}\n" for name, value in covered).encode()).hexdigest()
