"""Applied policies as activities see them: which version is the newest, and the policy of it."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from activities.audit import Audit, Event
from activities.storage import Exists, Missing, Storage
from workflows.policy import Policy


class Unreadable(Exception):
    """The document of an applied version is lost, or written by another version of this program."""


@dataclass(frozen=True)
class Newest:
    """The newest version of a policy; without a policy it was removed."""

    number: int
    policy: Policy | None


@dataclass
class AppliedPolicies:
    """Reads what `apply` wrote: a record a version in the audit, the policy in the storage."""

    audit: Audit
    storage: Storage

    async def after(self, policy: str, version: int) -> Newest | None:
        """Give the newest version after this one, or its removal, whatever was applied later; None when it is it.

        May raise AuditUnavailable, and Unreadable.
        """
        newest = None
        while (record := await self.audit.find(version_key(policy, version + 1))) is not None:
            newest, version = record, version + 1
            if record.event == Event.POLICY_REMOVED:
                return Newest(version, None)
        if newest is None:
            return None
        try:
            return Newest(version, await self.read(newest.body["policy_digest"]))
        except (Missing, ValueError) as error:
            raise Unreadable(f"version {version} of policy {policy} cannot be read: {_first_line(error)}") from error

    async def read(self, digest: str) -> Policy:
        """Read an applied policy by its digest."""
        return Policy.model_validate_json(await asyncio.to_thread(self.storage.get, policy_place(digest)))


def keep_policy(storage: Storage, policy: Policy) -> None:
    """Keep a policy where it is read again when something starts it."""
    with suppress(Exists):
        storage.put_new(policy_place(policy.digest), policy.model_dump_json(by_alias=True).encode())


def version_key(policy: str, version: int) -> str:
    """Name the audit's record of a version: a number is taken once."""
    return f"policy/{policy}/{version}"


def policy_place(digest: str) -> str:
    """Name where an applied policy lies, as it is read again when something starts it."""
    return f"applied/{digest}.json"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
