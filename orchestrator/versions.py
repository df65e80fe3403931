"""The applied versions of policies: numbered, immutable, content-addressed; the audit says who applied them."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from activities.applied_policies import policy_place, version_key
from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from activities.ledger.records import AuditRecord, Stored
from activities.storage import Exists, Missing, Storage, open_storage
from orchestrator.catalog import LoadedPolicy, load_policy
from orchestrator.settings import Settings
from workflows.policy import Policy
from workflows.promises import promises

_PAGE = 1000


class VersionError(Exception):
    """A version is not there, or somebody was faster; the text says what to do."""


@dataclass(frozen=True)
class Version:
    """One change of an applied policy; without a digest it is the removal of the policy."""

    policy: str
    number: int
    digest: str | None
    source: str | None
    source_digest: str | None
    actor: str
    at: datetime
    reason: str

    @property
    def removed(self) -> bool:
        """Whether the policy was removed by this change."""
        return self.digest is None


class Versions:
    """Reads and writes versions; a number is taken once, whoever asks for it at the same time.

    Every call may raise AuditUnavailable (try again) or WrongDatabase (fix it).
    """

    def __init__(self, log: AuditLog, storage: Storage) -> None:
        self._log = log
        self._storage = storage

    def current(self) -> dict[str, Version]:
        """Give the newest version of every policy that is applied, by name."""
        return {name: version for name, version in self.latest().items() if not version.removed}

    def latest(self) -> dict[str, Version]:
        """Give the last change of every policy that was ever applied, by name; removals included."""
        return dict(sorted({version.policy: version for version in self._all()}.items()))

    def history(self, policy: str) -> list[Version]:
        """Give all changes of a policy, the oldest first."""
        return [version for version in self._all() if version.policy == policy]

    def newest(self, policy: str) -> Version | None:
        """Give the last change of a policy, a removal included."""
        return self.latest().get(policy)

    def change(self, policy: str, number: int) -> Version | None:
        """Give the change of a policy with a number."""
        record = self._log.get(version_key(policy, number))
        return None if record is None else _version(record)

    def read(self, version: Version) -> bytes:
        """Give the document of a version as it was written; raises VersionError when it is not what it was."""
        if version.source is None:
            raise VersionError(f"version {version.number} of {version.policy} is its removal: there is no document")
        try:
            source = self._storage.get(version.source)
        except Missing:
            raise VersionError(
                f"the document of {version.policy} version {version.number} is not in the storage"
            ) from None
        if sha256(source).hexdigest() != version.source_digest:
            raise VersionError(f"the document of {version.policy} version {version.number} was changed in the storage")
        return source

    def policy(self, version: Version) -> Policy:
        """Read the policy of a version."""
        return load_policy(self.read(version), f"{version.policy}, version {version.number}")

    def add(self, loaded: LoadedPolicy, number: int, *, actor: str, reason: str) -> Version:
        """Write the version with this number; raises VersionError when somebody else took it."""
        policy, source = loaded.policy, loaded.source
        source_digest = sha256(source).hexdigest()
        name = f"policies/{policy.name}/{source_digest}.yaml"
        with suppress(Exists):  # The same document was applied before: content has one name.
            self._storage.put_new(name, source)
        with suppress(Exists):
            self._storage.put_new(policy_place(policy.digest), policy.model_dump_json(by_alias=True).encode())
        body = {
            "policy": policy.name,
            "version": number,
            "policy_digest": policy.digest,
            "source": name,
            "source_digest": source_digest,
            "reason": reason,
            **promises(policy),
        }
        return self._write(Event.POLICY_APPLIED, policy.name, number, actor, body)

    def remove(self, policy: str, number: int, *, actor: str, reason: str) -> Version:
        """Write the removal of a policy as the change with this number."""
        body = {"policy": policy, "version": number, "reason": reason}
        return self._write(Event.POLICY_REMOVED, policy, number, actor, body)

    def _write(self, event: Event, policy: str, number: int, actor: str, body: dict[str, object]) -> Version:
        record = AuditRecord(event=event, actor=actor, key=version_key(policy, number), body=body)
        stored = self._log.append(record)
        if not stored.same or stored.actor != actor:
            raise VersionError(
                f"{stored.actor} changed `{policy}` meanwhile (version {number}): look at the difference again"
            )
        return _version(stored)

    def _all(self) -> Iterator[Version]:
        if not self._log.is_there():
            return
        changes: list[Stored] = []
        for event in (Event.POLICY_APPLIED, Event.POLICY_REMOVED):
            after = 0
            while page := self._log.records(event=event, after=after, limit=_PAGE):
                changes += page
                after = page[-1].seq
        yield from map(_version, sorted(changes, key=lambda record: record.seq))


def applied_version(settings: Settings, policy: Policy) -> int | None:
    """Give the number under which exactly this policy is applied; None when it is not."""
    applied = newest_version(settings, policy.name)
    return applied.number if applied is not None and applied.digest == policy.digest else None


def newest_version(settings: Settings, policy: str) -> Version | None:
    """Give the version of a policy that is applied; None when none is."""
    with _versions(settings) as versions:
        newest = versions.newest(policy) if versions is not None else None
    return None if newest is None or newest.removed else newest


def ever_applied(settings: Settings) -> list[str]:
    """Name every policy that was ever applied, also those that were removed."""
    with _versions(settings) as versions:
        return [] if versions is None else list(versions.latest())


@contextmanager
def _versions(settings: Settings) -> Iterator[Versions | None]:
    """Open the versions of an installation without its engine; None where nothing was ever recorded."""
    log = AuditLog(settings.audit.get_secret_value())
    try:
        yield Versions(log, open_storage(settings.storage)) if log.is_there() else None
    finally:
        log.close()


def _version(record: Stored) -> Version:
    body = record.body
    return Version(
        policy=body["policy"],
        number=body["version"],
        digest=body.get("policy_digest"),
        source=body.get("source"),
        source_digest=body.get("source_digest"),
        actor=record.actor,
        at=datetime.fromisoformat(record.at),
        reason=body["reason"],
    )
