"""What records say of the storage: manifests, outcomes and policies are still the ones of the digests in the chain."""

import hashlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from temporalio.exceptions import ApplicationError

from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from activities.ledger.records import Stored
from activities.manifests import HEAD, INDEX, file_digest, head_digest, open_afresh, read_head, read_rows
from activities.storage import Missing, Storage
from workflows.payload import Payload

_PAGE = 1000
_CHUNK = 1 << 20
_EVENTS = (Event.POLICY_APPLIED, Event.PLAN_MADE, Event.ROUND_STARTED, Event.RUN_ENDED)


class Damage(Payload):
    """Something in the storage that is not what a record says; `name` is the file in it."""

    seq: int
    run: str | None
    name: str
    why: str


class Fault(NamedTuple):
    """A file in the storage, and what is wrong with it."""

    name: str
    why: str


class Evidence:
    """Holds what the storage has against the records; what several records name is looked at once."""

    def __init__(self, log: AuditLog, storage: Storage, tell: Callable[[int], None] = lambda files: None) -> None:
        self.files = 0
        self._log = log
        self._storage = storage
        self._tell = tell
        self._seen: dict[tuple[str, str, str], Fault | None] = {}

    def damages(self) -> Iterator[Damage]:
        """Give everything that is missing or changed, in the order of the records."""
        for record in self._records():
            try:
                fault = self._fault(record)
            except (LookupError, TypeError, ValueError) as error:  # a forged record may name anything
                fault = Fault(f"record {record.seq}", f"changed: it names nothing that can be looked at: {error!r}")
            if fault is not None:
                yield Damage(seq=record.seq, run=record.run, name=fault.name, why=fault.why)

    def _records(self) -> Iterator[Stored]:
        for event in _EVENTS:
            after = 0
            while records := self._log.records(event=event, after=after, limit=_PAGE):
                yield from records
                after = records[-1].seq

    def _fault(self, record: Stored) -> Fault | None:
        body = record.body
        if record.event == Event.POLICY_APPLIED:
            return self._once(self._file_fault, str(body["source"]), str(body["source_digest"]), "")
        if record.event == Event.RUN_ENDED:
            digest = body.get("outcomes_digest")
            name = f"runs/{record.run}/outcomes.parquet"
            return None if digest is None else self._once(self._file_fault, name, str(digest), "")
        list_digest, head = str(body.get("digest") or ""), str(body.get("head_sha256") or "")
        if not body.get("files"):  # A round that had nothing to do has no manifest.
            return None
        return self._once(self._manifest_fault, str(body["manifest"]), list_digest, head)

    def _once(self, look: Callable[[str, str, str], Fault | None], name: str, digest: str, head: str) -> Fault | None:
        seen = (name, digest, head)
        if seen not in self._seen:
            self._seen[seen] = look(name, digest, head)
        return self._seen[seen]

    def _file_fault(self, name: str, digest: str, _: str = "") -> Fault | None:
        self.files += 1
        self._tell(self.files)
        try:
            found = stored_digest(self._storage, name)
        except Missing:
            return Fault(name, "missing: the storage has it no more")
        return None if found == digest else Fault(name, f"changed: its SHA-256 is {found}, recorded was {digest}")

    def _manifest_fault(self, name: str, digest: str, head_sha256: str) -> Fault | None:
        head_name = f"{name}/{HEAD}"
        try:
            if head_sha256 and (found := head_digest(self._storage, name)) != head_sha256:
                return Fault(head_name, f"changed: its SHA-256 is {found}, recorded was {head_sha256}")
            head = read_head(self._storage, name)
        except ApplicationError as error:
            return Fault(head_name, _said(error, head_name))
        if digest and head.digest != digest:
            return Fault(head_name, f"changed: it is the list {head.digest}, recorded was {digest}")
        for part in head.parts:
            fault = self._file_fault(f"{name}/{part.name}", part.sha256)
            if fault is not None:
                return Fault(fault.name, fault.why.replace("recorded was", "the manifest's head says"))
        fault = self._file_fault(f"{name}/{INDEX}", head.index_sha256)
        if fault is not None:
            return fault
        return None if head_sha256 else self._list_fault(name)

    def _list_fault(self, name: str) -> Fault | None:
        """Look at every batch: a record without the digest of the head binds the list of files alone."""
        try:
            opened = open_afresh(self._storage, name)
            for number in range(opened.head.batches):
                read_rows(self._storage, name, number)
        except ApplicationError as error:
            return Fault(name, _said(error, name))
        return None


def stored_digest(storage: Storage, name: str) -> str:
    """Give the SHA-256 of what is stored under a name, without holding it in memory; raises Missing."""
    local = storage.local_path(name)
    if local is not None:
        try:
            return file_digest(local)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise Missing(name) from error
    digest = hashlib.sha256()
    reader = storage.reader(name)
    try:
        while some := reader.read(_CHUNK):
            digest.update(some)
    finally:
        reader.close()
    return digest.hexdigest()


def _said(error: ApplicationError, name: str) -> str:
    """Say what an error of reading says, without the name that the fault has already."""
    text = error.message.removeprefix(f"{name}: ").removeprefix(f"{name}/")
    return f"missing: {text}" if isinstance(error.__cause__, Missing) else f"changed: {text}"
