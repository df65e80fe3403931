"""A scheduled start: what a Temporal Schedule of ours carries, from the moment that it was applied."""

from datetime import datetime, timedelta
from hashlib import sha256

import rfc8785

from workflows.ids import fire_id, schedule_id
from workflows.payload import Payload
from workflows.policy import Policy
from workflows.starts import Overlap
from workflows.triggers import Schedule


class ScheduledStart(Payload):
    """One schedule trigger of a policy at one site; the policy is whole as it was applied, narrowed to the site."""

    policy: Policy
    version: int
    trigger: int

    @property
    def schedule(self) -> Schedule:
        """The trigger itself."""
        schedule = self.policy.triggers[self.trigger].schedule
        assert schedule is not None, "the trigger of a scheduled start is a schedule"
        return schedule

    @property
    def site(self) -> str:
        """The site of its runs."""
        return self.policy.one_site

    @property
    def overlap(self) -> Overlap:
        """What a start does while an earlier run of the policy is open."""
        return self.schedule.overlap

    @property
    def jitter(self) -> timedelta:
        """The most by which the engine delays a start."""
        return self.schedule.jitter

    @property
    def text(self) -> str:
        """The trigger in words."""
        return f"schedule {self.schedule.cron} {self.schedule.timezone}"

    @property
    def key(self) -> str:
        """The trigger by what it says: it is the same wherever it stands among the policy's triggers.

        What has its default is left out, so that a trigger keeps its key when the language gains a word.
        """
        said = self.schedule.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
        return sha256(rfc8785.dumps(said)).hexdigest()[:16]

    def id_in(self, queue: str) -> str:
        """Give the id of its Schedule in an installation."""
        return schedule_id(queue, self.policy.name, self.site, self.key)

    def fire_in(self, queue: str) -> str:
        """Give the beginning of the ids of what its Schedule starts."""
        return fire_id(queue, self.policy.name, self.site, self.key)

    @property
    def patience(self) -> timedelta:
        """How long any schedule of the policy may still make up for a start."""
        return max(one.schedule.catch_up for one in self.policy.triggers if one.schedule is not None)

    @property
    def starts(self) -> str:
        """The beginning of the keys of its starts: two schedules of a policy at one moment and site mean one start."""
        return starts_of(self.policy.name, self.site)

    def key_at(self, meant: datetime) -> str:
        """Give the key of the start that a fire time means, whoever tells of it."""
        return key_at(self.starts, meant)


def starts_of(policy: str, site: str, kind: str = "schedule") -> str:
    """Give the beginning of the keys of a policy's starts at a site, by the clock or by a backfill."""
    return f"{policy}/{site}/{kind}"


def key_at(starts: str, meant: datetime) -> str:
    """Give the key of the start that a fire time means, by the beginning of the starts' keys."""
    return f"{starts}/{meant:%Y-%m-%dT%H:%M:%SZ}"


class Keep(Payload):
    """How far the last look at the Schedules has come; nothing before the first one."""

    looked: datetime | None


class KeeperStatus(Payload):
    """When the keeper of the Schedules looked last, and what it could not renew."""

    looked: datetime | None
    running_out: tuple[str, ...] = ()
