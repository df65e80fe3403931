"""Signed checkpoints: at a time the chain had so many records and this last hash, so that cutting its end off shows.

They lie in the storage, apart from the audit's database: `audit/checkpoints/<sequence>-<hash>.json`, written once.
"""

import base64
import binascii
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

import rfc8785

from activities.ledger.records import timestamp
from activities.ledger.signing import PublicKey, SigningKey
from activities.storage import Exists, Missing, Storage
from workflows.payload import Payload

CHECKPOINT = "orchestrator.checkpoint/1"
FOLDER = "audit/checkpoints"
_READERS = 8


class Checkpoint(Payload):
    """What was signed: the record `seq` has the hash `hash`; `key` names the public key, `signature` is base64."""

    format: str = CHECKPOINT
    seq: int
    hash: str
    at: str
    key: str
    signature: str = ""

    def message(self) -> bytes:
        """Give the bytes that are signed: the canonical form (RFC 8785) of everything but the signature."""
        return rfc8785.dumps(self.model_dump(exclude={"signature"}))

    def line(self) -> str:
        """Write it as one line of JSON in the canonical form."""
        return rfc8785.dumps(self.model_dump()).decode()

    def trouble(self, keys: Sequence[PublicKey]) -> str | None:
        """Say why nothing can be concluded from it; None when one of the keys signed exactly this."""
        if self.format != CHECKPOINT:
            return f"its format is {self.format}, this version reads {CHECKPOINT}"
        key = next((one for one in keys if one.name == self.key), None)
        if key is None:
            return f"it is signed by the key {self.key}, whose public key is not in ORCHESTRATOR_AUDIT_PUBLIC_KEYS"
        try:
            signature = base64.b64decode(self.signature, validate=True)
        except (ValueError, binascii.Error):
            return "its signature is not base64"
        return None if key.verifies(self.message(), signature) else "its signature is not that of what it says"


def signed(key: SigningKey, seq: int, digest: str, now: datetime | None = None) -> Checkpoint:
    """Sign that the record `seq` has this hash."""
    at = timestamp(now or datetime.now(UTC))
    bare = Checkpoint(seq=seq, hash=digest, at=at, key=key.public.name)
    return bare.model_copy(update={"signature": base64.b64encode(key.sign(bare.message())).decode()})


def keep_checkpoint(storage: Storage, checkpoint: Checkpoint) -> str:
    """Write a checkpoint into the storage unless one of this record is there; give its name."""
    name = f"{FOLDER}/{checkpoint.seq:012d}-{checkpoint.hash[:16]}.json"
    with suppress(Exists):
        storage.put_new(name, checkpoint.line().encode() + b"\n")
    return name


def read_checkpoints(storage: Storage) -> Iterator[tuple[str, Checkpoint | None]]:
    """Give every checkpoint with its name, in the order of their records; None for what cannot be read."""

    def read(name: str) -> Checkpoint | None:
        try:
            return Checkpoint.model_validate_json(storage.get(name))
        except (Missing, ValueError):
            return None

    names = storage.list(FOLDER)
    with ThreadPoolExecutor(_READERS, thread_name_prefix="checkpoints") as readers:
        yield from zip(names, readers.map(read, names), strict=True)


def newest_seq(storage: Storage) -> int:
    """Give the sequence that the newest checkpoint says, 0 where there is none; its signature is not looked at."""
    names = storage.list(FOLDER)
    number = names[-1].rpartition("/")[2].partition("-")[0] if names else ""
    return int(number) if number.isdecimal() else 0
