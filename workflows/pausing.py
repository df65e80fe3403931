"""Who pauses a run: a set of people and freezes, each with its reason; the run goes on when the set is empty."""

from datetime import datetime

from workflows.run import Pauser, Pausing, Resuming


class Pausers:
    """Takes pauses and lifts them; a later word of the same person or freeze takes the place of the earlier one."""

    def __init__(self, standing: tuple[Pauser, ...] = ()) -> None:
        self._standing = {_key(one): one for one in standing}

    def __bool__(self) -> bool:
        return bool(self._standing)

    @property
    def standing(self) -> tuple[Pauser, ...]:
        """Everybody who pauses the run, first who began."""
        return tuple(self._standing.values())

    @property
    def names(self) -> str | None:
        """Who they are, in a few words; None when there is nobody."""
        return ", ".join(one.name for one in self.standing) or None

    def add(self, pausing: Pausing, now: datetime) -> bool:
        """Take a pause; False when nothing new was said."""
        pauser = Pauser(
            actor=pausing.actor, reason=pausing.reason, since=now, freeze=pausing.freeze, until=pausing.until
        )
        before = self._standing.get(_key(pauser))
        if before is not None and pauser.reason in ("", before.reason) and pauser.until == before.until:
            return False
        self._standing.pop(_key(pauser), None)
        self._standing[_key(pauser)] = pauser
        return True

    def drop(self, pauser: Pauser) -> bool:
        """Lift one pause, if it still stands as it was said."""
        if self._standing.get(_key(pauser)) != pauser:
            return False
        del self._standing[_key(pauser)]
        return True

    def lift(self, resuming: Resuming) -> tuple[Pauser, ...]:
        """Lift what a word of resuming is meant for, and give it."""
        lifted = tuple(one for one in self.standing if _is_meant(resuming, one))
        for one in lifted:
            del self._standing[_key(one)]
        return lifted


def _is_meant(resuming: Resuming, pauser: Pauser) -> bool:
    return resuming.people if pauser.freeze is None else pauser.freeze in resuming.freezes


def _key(pauser: Pauser) -> str | int:
    return pauser.actor if pauser.freeze is None else pauser.freeze
