"""Reads the applied policies again and again: a version never changes, so each is read once."""

from collections import OrderedDict
from threading import Lock
from typing import Final

from orchestrator.catalog import PolicyError
from orchestrator.versions import Version, VersionError, Versions
from workflows.policy import Policy

_MOST: Final = 5_000


class AppliedReader:
    """The policies of versions by their digest; safe to use from many threads."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self._lock = Lock()
        self._known: OrderedDict[str, Policy] = OrderedDict()

    def policy(self, version: Version) -> Policy | None:
        """Give the policy of a version; None where its document cannot be read."""
        digest = version.digest or ""
        with self._lock:
            found = self._known.get(digest)
        if found is not None:
            return found
        try:
            found = self._versions.policy(version)
        except (VersionError, PolicyError):
            return None
        self.keep(found)
        return found

    def keep(self, policy: Policy) -> None:
        """Take a policy that somebody has read anyway."""
        with self._lock:
            self._known[policy.digest] = policy
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
