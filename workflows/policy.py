"""The policy: one document of the policy language, as a value that is valid or does not exist."""

from collections.abc import Iterator
from functools import cached_property
from hashlib import sha256
from itertools import chain, islice
from typing import Any, Literal

import rfc8785
from pydantic import Field, model_validator

from workflows import units
from workflows.approving import Approval
from workflows.fields import Duration, Flag, Line, Name, Prose
from workflows.guarding import Guards
from workflows.payload import Payload
from workflows.policy_tests import Expectation, PolicyTest, TestFile
from workflows.retrying import Breaker, FailedReason, Retry, RetryFailedFiles
from workflows.running import Batch, Recheck, Run, Stage
from workflows.selecting import DEFAULT_RULE, DISCOVERY, Limit, OrderKey, Rule, Select, Source, inside
from workflows.triggers import Trigger
from workflows.units import Mistake, Mistakes, shown

__all__ = [
    "DEFAULT_RULE", "Batch", "Expectation", "FailedReason", "Guards", "Limit", "Notify", "OrderKey", "Policy",
    "PolicyTest", "Recheck", "Retry", "RetryFailedFiles", "Rule", "Run", "Select", "Slo", "Source", "Stage", "TestFile",
]  # fmt: skip


class Notify(Payload):
    """Who hears of what; the targets are named in the settings, so that no policy holds a secret."""

    on: tuple[Literal["succeeded", "failed", "paused", "refused", "approval", "critical", "late"], ...] = Field(
        min_length=1, description="What is told."
    )
    to: Line = Field(description="A target, by its name in the settings.")


class Late(Payload):
    """How old the last success may be."""

    warn: Duration | None = Field(None, description="Older than this: a warning.")
    page: Duration | None = Field(None, description="Older than this: somebody is called.")

    @model_validator(mode="after")
    def _in_order(self) -> "Late":
        if self.warn is None and self.page is None:
            raise ValueError("expects a mark, such as {warn: 24h, page: 36h}")
        if self.warn is not None and self.page is not None and self.page <= self.warn:
            raise Mistakes(
                [Mistake(("page",), f"`page` must be longer than `warn` ({units.duration_text(self.warn)})")]
            )
        return self


class Slo(Payload):
    """What the policy promises."""

    last_success: Late = Field(description="How old the last success may be.")


class Policy(Payload):
    """One document of the policy language."""

    version: Literal[1] = Field(description="The version of the language: 1.")
    name: Name = Field(description="a-z, 0-9 and `-`, at most 63; unique in the catalog.")
    description: Prose | None = Field(None, description="What the policy is for.")
    owner: Line | None = Field(None, description="Who is told; free text.")
    labels: dict[Line, str] = Field(default_factory=dict, description="Words to find policies by.")
    enabled: Flag = Field(True, description="A disabled policy starts no run.")
    site: Line | None = Field(None, description="The Hub's site, by its name, such as london; or else `sites`.")
    sites: tuple[Line, ...] = Field((), max_length=100, description="Several sites: one run at each.")
    triggers: tuple[Trigger, ...] = Field(
        (), max_length=100, description="Why a run starts by itself; any of them does. None at all: by hand only."
    )
    select: Select = Field(description="Which files a run takes, and in which order.")
    guards: Guards = Field(Guards(), description="What the whole plan must stay under before anything moves.")
    approval: Approval = Field(Approval(), description="Whether a person must agree to exactly this plan first.")
    run: Run = Field(description="What is asked of the Hub, and how fast.")
    retry: Retry = Field(Retry(), description="What happens to files that failed.")
    breaker: Breaker | None = Field(None, description="Stops sending when too much fails.")
    notify: tuple[Notify, ...] = Field((), max_length=100, description="Who hears of what.")
    slo: Slo | None = Field(None, description="What the policy promises; a late one is told.")
    tests: tuple[PolicyTest, ...] = Field(
        (), max_length=1000, description="Files, and what must become of them; checked offline."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "Policy":
        found = list(
            islice(
                chain(
                    self._site_mistakes(), self._discovery_mistakes(), self._trigger_mistakes(), self._test_mistakes()
                ),
                units.MOST_MISTAKES,
            )
        )
        if found:
            raise Mistakes(found)
        return self

    def canonical(self) -> str:
        """Write the policy as canonical JSON (RFC 8785): equal policies give equal text, however they were written.

        What has its default is left out, so that a policy keeps its digest when the language gains a key.
        """
        return rfc8785.dumps(_without_none(self.model_dump(mode="json", by_alias=True, exclude_defaults=True))).decode()

    @cached_property
    def digest(self) -> str:
        """Identify the policy by its canonical text: SHA-256, in hex."""
        return sha256(self.canonical().encode()).hexdigest()

    @property
    def all_sites(self) -> tuple[str, ...]:
        """The sites at which it runs, one run at each."""
        return self.sites if self.site is None else (self.site,)

    @property
    def one_site(self) -> str:
        """The site of a run. Raises ValueError for a policy of several that was not narrowed with `at`."""
        if len(self.all_sites) != 1:
            raise ValueError(f"the policy {self.name} is for the sites {', '.join(self.all_sites)}: name one")
        return self.all_sites[0]

    def at(self, site: str) -> "Policy":
        """Give the same policy for one of its sites. Raises ValueError when it is not one of them."""
        if site not in self.all_sites:
            raise ValueError(f"the policy {self.name} is not for {shown(site)}: {units.advice(site, self.all_sites)}")
        if self.site == site:
            return self
        narrowed = self.model_copy(update={"site": site, "sites": ()})
        narrowed.__dict__.pop("digest", None)  # A copy takes along what was computed for the whole.
        return narrowed

    def _site_mistakes(self) -> Iterator[Mistake]:
        if self.site is not None and self.sites:
            yield Mistake(("sites",), "`site` and `sites` cannot be together: keep one", at_key=True)
        if self.site is None and not self.sites:
            yield Mistake((), "`site` is missing: the Hub's site, by its name, such as london; or else `sites`")
        for index, site in enumerate(self.sites):
            if site in self.sites[:index]:
                yield Mistake(("sites", index), f"{shown(site)} is there twice: keep one")

    def _trigger_mistakes(self) -> Iterator[Mistake]:
        pools: list[tuple[str, str | None]] = []
        for index, trigger in enumerate(self.triggers):
            if trigger in self.triggers[:index]:
                yield Mistake(("triggers", index), "the same trigger is above already: keep one")
            elif trigger.threshold is not None:
                pool = (trigger.threshold.pool, trigger.threshold.filesystem)
                if pool in pools:
                    yield Mistake(
                        ("triggers", index, "threshold", "pool"),
                        f"another threshold of {shown(pool[0])} is above already: keep one",
                    )
                pools.append(pool)
            if trigger.threshold is not None and any(stage.wait is not None for stage in self.run.stages):
                yield Mistake(
                    ("triggers", index, "threshold"), "a drain cannot wait between stages: the pool would stay full"
                )
            if trigger.after is not None and trigger.after.policy == self.name:
                yield Mistake(
                    ("triggers", index, "after", "policy"), "a policy cannot start after itself: it would never end"
                )

    def _discovery_mistakes(self) -> Iterator[Mistake]:
        if self.select.source.discovery is None:
            return
        for key in ("max_files", "max_bytes", "max_percent_of_scope", "inventory_max_age"):
            if getattr(self.guards, key) is not None:
                yield Mistake(("guards", key), f"{DISCOVERY}: leave `{key}` out", at_key=True)
        if self.run.recheck not in (None, Recheck()):
            yield Mistake(("run", "recheck"), f"{DISCOVERY}: leave `recheck` out", at_key=True)
        if self.run.verify != "none":
            yield Mistake(("run", "verify"), f"{DISCOVERY}: leave `verify` out", at_key=True)
        if self.retry.quarantine is not None:
            yield Mistake(("retry", "quarantine"), f"{DISCOVERY}: leave `quarantine` out", at_key=True)
        if self.guards.unusual is not None:
            yield Mistake(("guards", "unusual"), f"{DISCOVERY}: leave `unusual` out", at_key=True)
        if self.approval.auto is not None:
            yield Mistake(("approval", "auto"), f"{DISCOVERY}: leave `auto` out", at_key=True)
        if self.tests:
            yield Mistake(("tests",), f"{DISCOVERY}: there is nothing to test, leave `tests` out", at_key=True)

    def _test_mistakes(self) -> Iterator[Mistake]:
        rules = [rule.name for rule in self.select.rules] or [DEFAULT_RULE]
        for index, test in enumerate(self.tests):
            if test.expect.rule is not None and test.expect.rule not in rules:
                known = units.advice(test.expect.rule, rules)
                yield Mistake(("tests", index, "expect", "rule"), f"unknown rule {shown(test.expect.rule)}: {known}")
            folders = self.select.folders
            if folders and not any(inside(test.file.path, folder) for folder in folders):
                yield Mistake(
                    ("tests", index, "file", "path"),
                    f"{shown(test.file.path)} lies outside of the policy's paths, so no run ever sees it",
                )


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value
