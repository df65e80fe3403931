"""The policy: one document of the policy language, as a value that is valid or does not exist."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cached_property
from hashlib import sha256
from itertools import chain, islice
from typing import Annotated, Any, Final, Literal

import rfc8785
from pydantic import (
    BeforeValidator,
    Field,
    JsonValue,
    PlainSerializer,
    PlainValidator,
    Strict,
    WithJsonSchema,
    model_validator,
)

from workflows import units
from workflows.fields import (
    Age,
    Count,
    Duration,
    DurationOrNone,
    Flag,
    Folder,
    Line,
    Name,
    Percent,
    Prose,
    Size,
    SomeBytes,
    Wait,
)
from workflows.payload import Payload
from workflows.selecting import DEFAULT_RULE, DISCOVERY, Limit, OrderKey, Rule, Select, Source, inside
from workflows.units import Mistake, Mistakes, shown

__all__ = [
    "DEFAULT_RULE", "NOT_YET", "NOT_YET_VALUES", "Batch", "Expectation", "Guards", "Limit", "OrderKey", "Policy",
    "PolicyTest", "Recheck", "Retry", "RetryFailedFiles", "Rule", "Run", "Select", "Source", "TestFile",
]  # fmt: skip

FailedReason = Literal[
    "permission_denied", "no_such_file", "checksum", "target_error", "hub_error", "timeout", "aborted", "unknown"
]

# Words of the language that this version cannot run; a policy that holds one is refused by name, never half obeyed.
NOT_YET: Final[Mapping[tuple[str | int, ...], frozenset[str]]] = {
    (): frozenset({"triggers", "approval", "breaker", "notify", "slo", "sites"}),
    ("run",): frozenset({"stages", "windows", "outside_windows", "rate"}),
    ("retry",): frozenset({"quarantine"}),
}
NOT_YET_VALUES: Final[Mapping[tuple[str | int, ...], frozenset[str]]] = {("guards", "on_exceed"): frozenset({"ask"})}


class Guards(Payload):
    """What the whole plan must stay under before anything moves."""

    max_files: Count | None = Field(None, description="At most so many files in a plan.")
    max_bytes: SomeBytes | None = Field(None, description="At most so many bytes in a plan.")
    max_percent_of_scope: Percent | None = Field(
        None, description="At most this share of the files, and of the bytes, that the inventory holds."
    )
    on_exceed: Literal["refuse", "truncate"] = Field(
        "refuse", description="A plan over a guard: refuse the run, or take only the first files that fit."
    )
    inventory_max_age: Duration | None = Field(None, description="The oldest inventory that a plan may be made from.")


class Batch(Payload):
    """How much goes to the Hub as one job."""

    files: Annotated[int, Strict(), Field(ge=1, le=10_000, description="At most so many files a job.")] = 1000
    bytes: SomeBytes = Field(2**40, description="At most so many bytes a job; a larger file goes alone.")


class Recheck(Payload):
    """What is compared with the plan just before a batch is sent."""

    compare: tuple[Literal["size", "modified"], ...] = Field(
        ("size", "modified"), min_length=1, description="The attributes that must be as they were planned."
    )
    if_changed: Literal["skip"] = Field("skip", description="What happens to a file that changed: it is skipped.")


RecheckOrNone = Annotated[
    Recheck | None,
    BeforeValidator(lambda value: None if value == "none" else value),
    PlainSerializer(lambda value: "none" if value is None else value.model_dump(mode="json")),
]


class Run(Payload):
    """What is asked of the Hub, and how fast."""

    workflow: Line = Field(description="The hub workflow to run, such as migrate, premigrate or recall.")
    fields: dict[Line, JsonValue] = Field(default_factory=dict, description="The hub workflow's own fields.")
    queue: Line = Field("default", description="The Hub's queue.")
    batch: Batch = Field(Batch(), description="How much goes to the Hub as one job.")
    concurrency: Annotated[int, Strict(), Field(ge=1, le=1000, description="Jobs in flight at a time.")] = 4
    deadline: Duration | None = Field(None, description="The longest that the whole run may take.")
    job_timeout: Duration = Field(timedelta(hours=6), description="The longest that one job may take.")
    stall_after: DurationOrNone = Field(
        timedelta(minutes=30), description="A job without any progress for so long is cancelled; none never does."
    )
    recheck: RecheckOrNone = Field(
        Recheck(), description="What is compared with the plan just before a batch is sent; none skips it."
    )
    verify: Literal["none", "status"] = Field(
        "none", description="After a job: trust its answer (none), or ask the Hub where each file is now (status)."
    )


class RetryFailedFiles(Payload):
    """The ladder that failed files climb: how often each is tried, and the waits between."""

    attempts: Annotated[
        int, Strict(), Field(ge=1, le=100, description="How often a file is tried, the first time included.")
    ] = 3
    wait: tuple[Wait, ...] = Field(
        (timedelta(minutes=1), timedelta(minutes=5)), description="The waits between tries; the last one repeats."
    )

    @model_validator(mode="after")
    def _has_rungs(self) -> "RetryFailedFiles":
        if self.attempts > 1 and not self.wait:
            raise Mistakes([Mistake(("wait",), f"{self.attempts} attempts need a wait: write one, such as [1m]")])
        return self


class Retry(Payload):
    """What happens to files that failed."""

    failed_files: RetryFailedFiles = Field(RetryFailedFiles(), description="The ladder that failed files climb.")
    resubmit: Literal["failed_files", "job"] = Field(
        "failed_files", description="Send failed files in a new job, or use the Hub's own resubmit of the job."
    )
    permanent: tuple[FailedReason, ...] = Field(
        ("no_such_file", "permission_denied"), description="Reasons of failure that are never tried again."
    )


class TestFile(Payload):
    """A file that a policy's own test imagines; what is left out is unknown."""

    __test__ = False

    path: Folder = Field(description="The whole path.")
    size: Size | None = Field(None, description="The file's size.")
    disk_usage: Size | None = Field(None, description="The bytes that it takes on disk.")
    accessed: Age | None = Field(None, description="How long ago it was opened.")
    modified: Age | None = Field(None, description="How long ago its content was changed.")
    changed: Age | None = Field(None, description="How long ago the file or its attributes were changed.")
    status: Literal["resident", "premigrated", "migrated"] | None = Field(None, description="Where its bytes are.")
    owner: Line | None = Field(None, description="Its owner.")
    group: Line | None = Field(None, description="Its group.")
    metadata: dict[Line, str] | None = Field(None, description="Its metadata.")


class Expectation(Payload):
    """What a test expects: a verdict, or the rule that decides."""

    verdict: Literal["selected", "kept", "stays", "excluded", "unknown"] | None = None
    rule: str | None = None


def _expectation(value: object) -> Expectation:
    if isinstance(value, Expectation):
        return value
    known = ("selected", "kept", "stays", "excluded", "unknown")
    if isinstance(value, dict):
        for key in value:
            if key != "rule":
                raise Mistakes(
                    [Mistake((key,), f"unknown key {shown(key)}: {units.advice(str(key), ('rule',))}", True)]
                )
        rule = value.get("rule")
        if not isinstance(rule, str) or not rule:
            raise ValueError("expects the name of a rule, such as {rule: media}")
        return Expectation(rule=rule)
    for verdict in known:
        if verdict == value:
            return Expectation(verdict=verdict)
    hint = units.advice(value, known) if isinstance(value, str) else f"expected one of {', '.join(known)}"
    raise ValueError(f"expects {{rule: NAME}} or a verdict, found {shown(value)}: {hint}")


ExpectationField = Annotated[
    Expectation,
    PlainValidator(_expectation),
    PlainSerializer(lambda expect: expect.verdict if expect.rule is None else {"rule": expect.rule}),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["selected", "kept", "stays", "excluded", "unknown"]},
                {"type": "object", "properties": {"rule": {"type": "string"}}, "required": ["rule"]},
            ]
        }
    ),
]


class PolicyTest(Payload):
    """A test that a policy carries: a file, and what must become of it."""

    file: TestFile = Field(description="The imagined file.")
    expect: ExpectationField = Field(description="{rule: NAME}, or selected, kept, stays, excluded, unknown.")


class Policy(Payload):
    """One document of the policy language."""

    version: Literal[1] = Field(description="The version of the language: 1.")
    name: Name = Field(description="a-z, 0-9 and `-`, at most 63; unique in the catalog.")
    description: Prose | None = Field(None, description="What the policy is for.")
    owner: Line | None = Field(None, description="Who is told; free text.")
    labels: dict[Line, str] = Field(default_factory=dict, description="Words to find policies by.")
    enabled: Flag = Field(True, description="A disabled policy starts no run.")
    site: Line = Field(description="The Hub's site, by its name, such as london.")
    select: Select = Field(description="Which files a run takes, and in which order.")
    guards: Guards = Field(Guards(), description="What the whole plan must stay under before anything moves.")
    run: Run = Field(description="What is asked of the Hub, and how fast.")
    retry: Retry = Field(Retry(), description="What happens to files that failed.")
    tests: tuple[PolicyTest, ...] = Field(
        (), max_length=1000, description="Files, and what must become of them; checked offline."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "Policy":
        found = list(islice(chain(self._discovery_mistakes(), self._test_mistakes()), units.MOST_MISTAKES))
        if found:
            raise Mistakes(found)
        return self

    def canonical(self) -> str:
        """Write the policy as canonical JSON (RFC 8785): equal policies give equal text, however they were written."""
        return rfc8785.dumps(_without_none(self.model_dump(mode="json", by_alias=True))).decode()

    @cached_property
    def digest(self) -> str:
        """Identify the policy by its canonical text: SHA-256, in hex."""
        return sha256(self.canonical().encode()).hexdigest()

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
