"""The targets of notices: where they are sent, how fast, and which notice goes where."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from activities.notices.notice import Kind, Notice, Urgency
from workflows.fields import Duration, Name, Wait
from workflows.moments import Zone
from workflows.policy import Notify
from workflows.triggers import Schedule

Routed = Literal["succeeded", "failed", "paused", "refused", "approval", "critical", "late"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Target(_Strict):
    """One place to send to; its address holds secrets and is shown nowhere."""

    url: SecretStr = Field(description="The target's address, as Apprise writes it.")
    at_most: int = Field(60, ge=1, le=10_000, description="Messages in an hour; what is more goes together.")
    settle: Wait = Field(timedelta(seconds=10), description="How long a first notice waits for others like it.")
    again: Wait = Field(timedelta(minutes=5), description="How long after a message the next one of its group goes.")
    give_up_after: Duration = Field(timedelta(days=3), description="So long a notice is tried.")


class RouteOfNotices(_Strict):
    """Which kinds go to which targets where a policy says nothing of its own, or `always`."""

    on: tuple[Routed, ...] = Field(min_length=1, description="What is told.")
    to: tuple[Name, ...] = Field(min_length=1, description="Targets, by their names.")
    at_least: Urgency = Field(Urgency.INFO, description="Less urgent ones are left out: info, warning, urgent.")
    always: bool = Field(False, description="Also where a policy names a target of its own.")


class Digest(_Strict):
    """When a summary is sent, and to whom."""

    to: tuple[Name, ...] = Field(min_length=1, description="Targets, by their names.")
    every: Literal["day", "week"] = Field("day", description="day, or week: on Mondays.")
    at: str = Field("07:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="The time on the wall's clock.")
    timezone: Zone = Field("UTC", description="The IANA zone of that time.")

    @property
    def schedule(self) -> Schedule:
        """The times at which it is sent."""
        hour, minute = self.at.split(":")
        return Schedule(
            cron=f"{int(minute)} {int(hour)} * * {'*' if self.every == 'day' else '1'}", timezone=self.timezone
        )

    @property
    def covers(self) -> timedelta:
        """The time that one summary is of."""
        return timedelta(days=1 if self.every == "day" else 7)


class Targets(_Strict):
    """All targets and routes of an installation."""

    targets: dict[Name, Target] = Field(default_factory=dict, max_length=100, description="Where notices are sent.")
    routes: tuple[RouteOfNotices, ...] = Field((), max_length=100, description="Which notice goes where.")
    digest: Digest | None = Field(None, description="A summary of what ran, waits and failed.")

    @field_validator("targets")
    @classmethod
    def _addresses(cls, targets: dict[str, Target]) -> dict[str, Target]:
        for name, target in targets.items():
            if "://" not in target.url.get_secret_value():
                raise ValueError(f"the address of {name} is none: expected a service, such as mailtos://...")
        return targets

    @model_validator(mode="after")
    def _known(self) -> "Targets":
        named = [(name, "a route") for route in self.routes for name in route.to]
        named += [(name, "the digest") for name in (self.digest.to if self.digest else ())]
        for name, where in named:
            if name not in self.targets:
                raise ValueError(f"{where} names the target {name}, which is not there")
        return self

    def routed(self, notice: Notice, own: Sequence[Notify]) -> list[str]:
        """Name the targets of a notice: those of its policy, else those of the settings, and those for always.

        A target that a policy names and the settings do not know stands among them: its notices wait for it, and are
        given up with a record when it does not come.
        """
        mine = [one.to for one in own if notice.kind in one.on]
        found = [*mine, *self._default(notice, only_always=bool(mine))]
        return [name for name in dict.fromkeys(found) if name != notice.about]

    def _default(self, notice: Notice, *, only_always: bool) -> Iterator[str]:
        for route in self.routes:
            urgent = _ORDER.index(notice.urgency) >= _ORDER.index(route.at_least)
            if notice.kind in route.on and urgent and (route.always or not only_always):
                yield from route.to

    def secrets(self) -> tuple[str, ...]:
        """Give the addresses, none of which may be shown."""
        return tuple(target.url.get_secret_value() for target in self.targets.values())


UNKNOWN = Target(url=SecretStr("unknown://"))
"""How long the notices of a target that nobody knows wait for it."""

_ORDER = list(Urgency)
ROUTED = tuple(kind for kind in Kind if kind not in (Kind.DIGEST, Kind.TEST))
