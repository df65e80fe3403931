"""The policy: one document of the policy language, as a value that is valid or does not exist."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, Final, Literal

import rfc8785
from pydantic import (
    AfterValidator,
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
from workflows.conditions import Condition, condition_form, names_in, parse_condition, weigh
from workflows.payload import Payload
from workflows.units import Mistake, Mistakes, shown

HEAVIEST: Final = 20_000
DEFAULT_RULE: Final = "default"
FAILED_REASONS: Final = (
    "permission_denied", "no_such_file", "checksum", "target_error", "hub_error", "timeout", "aborted", "unknown",
)  # fmt: skip

# Words of the language that this version cannot run; a policy that holds one is refused by name, never half obeyed.
NOT_YET: Final[Mapping[tuple[str, ...], frozenset[str]]] = {
    (): frozenset({"triggers", "approval", "breaker", "notify", "slo", "sites"}),
    ("run",): frozenset({"stages", "windows", "outside_windows", "rate"}),
    ("retry",): frozenset({"quarantine"}),
}


def _text(longest: int, *, multiline: bool = False) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not value.strip():
            raise ValueError("the text is empty: write something, or leave the key out")
        if len(value) > longest:
            raise ValueError(f"the text has {len(value)} characters: at most {longest} are allowed")
        if any((ord(letter) < 32 and not (multiline and letter in "\n\t")) or ord(letter) == 127 for letter in value):
            raise ValueError(f"the text {shown(value)} holds a control character: leave it out")
        return value

    return check


def _name(value: str) -> str:
    if re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", value):
        return value
    if len(value) > 63:
        raise ValueError(f"the name has {len(value)} characters: at most 63 are allowed")
    near = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")
    raise ValueError(
        f"{shown(value)} is not a name: use a-z, 0-9 and `-`, beginning with a letter or digit"
        + (f": write {near}" if near else "")
    )


def _label(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}", value):
        return value
    raise ValueError(f"{shown(value)} is not a name: use letters, digits, `_` and `-`, at most 63 of them")


def _folder(value: str) -> str:
    if "\0" in value:
        raise ValueError(f"the path {shown(value)} holds a NUL character: no file name does")
    if not value.startswith("/"):
        raise ValueError(f"the path {shown(value)} is relative: write it from the root, such as /mmfs1/projects")
    if "*" in value:
        raise ValueError(f"the path {shown(value)} is a folder, not a glob: put globs into `exclude` or `classes`")
    path = value.rstrip("/") or "/"
    if any(part in ("", ".", "..") for part in path.split("/")[1:]) and path != "/":
        raise ValueError(f"the path {shown(value)} holds an empty, `.` or `..` part: write it out in full")
    if len(path.encode("utf-8", "surrogateescape")) > 4096:
        raise ValueError("the path is longer than 4096 bytes")
    return path


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("the duration must be longer than 0s")
    return value


def _some(size: int) -> int:
    if size <= 0:
        raise ValueError("the size must be larger than 0")
    return size


def _or_none(parse: Callable[[object], Any]) -> Callable[[object], Any]:
    return lambda value: None if value in (None, "none") else parse(value)


def _checked_duration(value: object) -> timedelta:
    return _positive(units.parse_duration(value))


def _none_or_duration_text(value: timedelta | None) -> str:
    return "none" if value is None else units.duration_text(value)


_DURATION_SCHEMA = {"type": "string", "pattern": r"^[0-9_]+[smhdw]$", "examples": ["30s", "5m", "2h", "7d", "4w"]}
_SIZE_SCHEMA = {"type": "string", "pattern": r"^[0-9_]+([KMGTP]iB|[kMGTP]?B)$|^0$", "examples": ["128KiB", "50TB"]}
_PERCENT_SCHEMA = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%$", "examples": ["20%"]}
_AGO_SCHEMA = {"type": "string", "pattern": r"^[0-9_]+[smhdw] ago$", "examples": ["120d ago"]}
_CONDITION_SCHEMA = {
    "anyOf": [{"type": "string"}, {"type": "object", "minProperties": 1}],
    "description": "A class name, or conditions on a file: all of those in one mapping hold; all, any and not compose.",
}

Line = Annotated[str, AfterValidator(_text(1024))]
Name = Annotated[
    str,
    AfterValidator(_name),
    WithJsonSchema({"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$"}),
]
Label = Annotated[str, AfterValidator(_label)]
Folder = Annotated[str, AfterValidator(_folder)]
Duration = Annotated[
    timedelta,
    PlainValidator(_checked_duration),
    PlainSerializer(units.duration_text, return_type=str),
    WithJsonSchema(_DURATION_SCHEMA),
]
Wait = Annotated[
    timedelta,
    PlainValidator(units.parse_duration),
    PlainSerializer(units.duration_text, return_type=str),
    WithJsonSchema(_DURATION_SCHEMA),
]
DurationOrNone = Annotated[
    timedelta | None,
    PlainValidator(_or_none(_checked_duration)),
    PlainSerializer(_none_or_duration_text, return_type=str),
    WithJsonSchema({"anyOf": [_DURATION_SCHEMA, {"const": "none"}]}),
]
Age = Annotated[
    timedelta,
    PlainValidator(units.parse_ago),
    PlainSerializer(units.ago_text, return_type=str),
    WithJsonSchema(_AGO_SCHEMA),
]
Size = Annotated[
    int,
    PlainValidator(units.parse_size),
    PlainSerializer(units.size_text, return_type=str),
    WithJsonSchema(_SIZE_SCHEMA),
]
SomeBytes = Annotated[
    int,
    PlainValidator(lambda value: _some(units.parse_size(value))),
    PlainSerializer(units.size_text, return_type=str),
    WithJsonSchema(_SIZE_SCHEMA),
]
Percent = Annotated[
    float,
    PlainValidator(units.parse_percent),
    PlainSerializer(units.percent_text, return_type=str),
    WithJsonSchema(_PERCENT_SCHEMA),
]
Count = Annotated[int, Strict(), Field(ge=1, le=2**53 - 1)]
Flag = Annotated[bool, Strict()]
ConditionField = Annotated[
    Condition,
    PlainValidator(parse_condition),
    PlainSerializer(condition_form),
    WithJsonSchema(_CONDITION_SCHEMA),
]


class Source(Payload):
    """Where the files come from: exactly one of space, path, manifest, discovery."""

    space: Line | None = Field(None, description="A space of the site, by its name.")
    path: Folder | None = Field(None, description="A folder of the site, read through the file API or by a search.")
    via: Literal["browse", "search"] | None = Field(
        None, description="How `path` is read: browse (folder by folder) or search (the Hub's index); default browse."
    )
    manifest: Line | None = Field(None, description="A file that lists the paths, one a line.")
    discovery: Literal["recursive"] | None = Field(
        None, description="Let the Hub find the files below `paths` by itself; nothing is known of them beforehand."
    )

    @model_validator(mode="before")
    @classmethod
    def _default_via(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("path") is not None and given.get("via") is None:
            return {**given, "via": "browse"}
        return given

    @model_validator(mode="after")
    def _one_kind(self) -> "Source":
        kinds = [kind for kind in ("space", "path", "manifest", "discovery") if getattr(self, kind) is not None]
        if len(kinds) != 1:
            listed = " and ".join(f"`{kind}`" for kind in kinds)
            raise ValueError(
                f"{listed} cannot be together: keep one" if kinds
                else "expects exactly one of space, path, manifest, discovery, such as {space: projects}"
            )  # fmt: skip
        if self.via and self.path is None:
            raise Mistakes([Mistake(("via",), "`via` says how a `path` is read: leave it out here", at_key=True)])
        return self

    @property
    def kind(self) -> Literal["space", "path", "manifest", "discovery"]:
        """Name the one that is given."""
        if self.space is not None:
            return "space"
        if self.path is not None:
            return "path"
        return "manifest" if self.manifest is not None else "discovery"


class Rule(Payload):
    """A rule of the selection: what it matches, and whether those files are left where they are."""

    name: Label = Field(description="The rule's name, unique in the policy; plans and reports count by it.")
    match: ConditionField = Field(description="The condition, or the name of a class.")
    keep: Flag = Field(False, description="Leave the files that this rule decides where they are.")


OrderAttribute = Literal["size", "disk_usage", "accessed", "modified", "changed", "path"]


class OrderKey(Payload):
    """One key of the plan's order; `-size` in YAML is the attribute size, descending."""

    attribute: OrderAttribute
    descending: bool = False


def _order_key(value: object) -> OrderKey:
    if isinstance(value, OrderKey):
        return value
    known = ("size", "disk_usage", "accessed", "modified", "changed", "path")
    if not isinstance(value, str):
        raise ValueError(f"expects an attribute such as size, or -size for the largest first, found {shown(value)}")
    word = value.removeprefix("-")
    for attribute in known:
        if attribute == word:
            return OrderKey(attribute=attribute, descending=value.startswith("-"))
    raise ValueError(f"cannot order by {shown(value)}: {units.advice(word.lstrip('+'), known)}")


OrderField = Annotated[
    OrderKey,
    PlainValidator(_order_key),
    PlainSerializer(lambda key: f"{'-' if key.descending else ''}{key.attribute}", return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^-?(size|disk_usage|accessed|modified|changed|path)$"}),
]


class Limit(Payload):
    """The most that one run takes, counted in the plan's order."""

    files: Count | None = Field(None, description="At most so many files.")
    bytes: SomeBytes | None = Field(None, description="At most so many bytes.")


class Select(Payload):
    """Which files a run takes, and in which order."""

    source: Source = Field(alias="from", description="Where the files come from.")
    paths: tuple[Folder, ...] = Field(
        (), description="Folders that the run stays inside; none means the whole space, or the source's own path."
    )
    classes: dict[Label, ConditionField] = Field(
        default_factory=dict, description="Named sets of files, for use in other classes, in exclude and in rules."
    )
    exclude: tuple[ConditionField, ...] = Field((), description="Files that no rule can take; any of these is enough.")
    rules: tuple[Rule, ...] = Field(
        (),
        description="In order; the first that matches decides. Without rules every file that is not excluded is taken.",
    )
    order_by: tuple[OrderField, ...] = Field((), description="The plan's order; ties by path.")
    limit: Limit = Field(Limit(), description="The most that one run takes.")
    on_unknown: Literal["skip", "fail"] = Field(
        "skip", description="A file whose decision hangs on an attribute that the Hub did not give: skip it, or fail."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "Select":
        found = [*self._path_mistakes(), *self._class_mistakes(), *self._rule_mistakes(), *self._source_mistakes()]
        if found:
            raise Mistakes(found)
        return self

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders that the run stays inside; none means no such limit."""
        return self.paths or ((self.source.path,) if self.source.path else ())

    def _path_mistakes(self) -> Iterator[Mistake]:
        for index, path in enumerate(self.paths):
            for other in self.paths[:index]:
                if path == other:
                    yield Mistake(("paths", index), f"{shown(path)} is there twice: keep one")
                elif inside(path, other) or inside(other, path):
                    inner, outer = (path, other) if inside(path, other) else (other, path)
                    yield Mistake(("paths", index), f"{shown(inner)} lies inside {shown(outer)}: keep the outer one")
            if self.source.path and not inside(path, self.source.path):
                yield Mistake(
                    ("paths", index), f"{shown(path)} lies outside of `from`'s path {shown(self.source.path)}"
                )

    def _class_mistakes(self) -> Iterator[Mistake]:
        weights: dict[str, int] = {}
        for name in self.classes:
            cycle = self._weigh(name, weights, [])
            if cycle:
                yield Mistake(
                    ("classes", name), f"the class is defined by itself ({' -> '.join(cycle)}): break the circle", True
                )
                return
        for where, condition in self._conditions():
            for name, inner in names_in(condition):
                if name not in self.classes:
                    known = units.advice(name, self.classes) if self.classes else "there are no `classes`"
                    yield Mistake((*where, *inner), f"unknown class {shown(name)}: {known}")
            if weigh(condition, weights) > HEAVIEST:
                yield Mistake(
                    where, f"with its classes written out, this has more than {HEAVIEST} conditions: simplify"
                )

    def _weigh(self, name: str, weights: dict[str, int], above: list[str]) -> list[str]:
        if name in above:
            return [*above[above.index(name) :], name]
        if name in weights or name not in self.classes:
            return []
        if len(above) >= 64:
            return [*above[:2], "... (more than 64 classes deep)"]
        for used, _ in names_in(self.classes[name]):
            cycle = self._weigh(used, weights, [*above, name])
            if cycle:
                return cycle
        weights[name] = min(weigh(self.classes[name], weights), 10 * HEAVIEST)
        return []

    def _rule_mistakes(self) -> Iterator[Mistake]:
        first: dict[str, int] = {}
        for index, rule in enumerate(self.rules):
            if first.setdefault(rule.name, index) != index:
                yield Mistake(
                    ("rules", index, "name"),
                    f"rule {first[rule.name] + 1} has the name `{rule.name}` already: give each rule its own",
                )
        if self.rules and all(rule.keep for rule in self.rules):
            yield Mistake(
                ("rules",), "every rule keeps its files, so the policy does nothing: add a rule without `keep`"
            )

    def _source_mistakes(self) -> Iterator[Mistake]:
        if self.source.discovery is not None:
            if not self.paths:
                yield Mistake(("from", "discovery"), "discovery needs `paths`: the folders that the Hub looks through")
            for key in ("classes", "exclude", "rules", "order_by"):
                if getattr(self, key):
                    yield Mistake(
                        (key,), f"{_DISCOVERY}: leave `{key}` out, or read the files `from` a space or path", True
                    )
            if self.limit != Limit():
                yield Mistake(
                    ("limit",), f"{_DISCOVERY}: leave `limit` out, or read the files `from` a space or path", True
                )
        if self.source.manifest is not None and self.paths:
            yield Mistake(("paths",), "a manifest names every file itself: leave `paths` out", at_key=True)

    def _conditions(self) -> Iterator[tuple[tuple[str | int, ...], Condition]]:
        for name, condition in self.classes.items():
            yield ("classes", name), condition
        for index, condition in enumerate(self.exclude):
            yield ("exclude", index), condition
        for index, rule in enumerate(self.rules):
            yield ("rules", index, "match"), rule.match


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
            raise Mistakes(
                [Mistake(("wait",), f"{self.attempts} attempts need a wait between them: write one, such as [1m]")]
            )
        return self


class Retry(Payload):
    """What happens to files that failed."""

    failed_files: RetryFailedFiles = Field(RetryFailedFiles(), description="The ladder that failed files climb.")
    resubmit: Literal["failed_files", "job"] = Field(
        "failed_files", description="Send failed files in a new job, or use the Hub's own resubmit of the job."
    )
    permanent: tuple[
        Literal[
            "permission_denied",
            "no_such_file",
            "checksum",
            "target_error",
            "hub_error",
            "timeout",
            "aborted",
            "unknown",
        ],
        ...,
    ] = Field(("no_such_file", "permission_denied"), description="Reasons of failure that are never tried again.")


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
    description: Annotated[str, AfterValidator(_text(10_000, multiline=True))] | None = Field(
        None, description="What the policy is for."
    )
    owner: Line | None = Field(None, description="Who is told; free text.")
    labels: dict[Line, str] = Field(default_factory=dict, description="Words to find policies by.")
    enabled: Flag = Field(True, description="A disabled policy starts no run.")
    site: Line = Field(description="The Hub's site, by its name, such as london.")
    select: Select = Field(description="Which files a run takes, and in which order.")
    guards: Guards = Field(Guards(), description="What the whole plan must stay under before anything moves.")
    run: Run = Field(description="What is asked of the Hub, and how fast.")
    retry: Retry = Field(Retry(), description="What happens to files that failed.")
    tests: tuple[PolicyTest, ...] = Field((), description="Files, and what must become of them; checked offline.")

    @model_validator(mode="after")
    def _fits_together(self) -> "Policy":
        found = [*self._discovery_mistakes(), *self._test_mistakes()]
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
                yield Mistake(("guards", key), f"{_DISCOVERY}: leave `{key}` out", at_key=True)
        if self.run.recheck not in (None, Recheck()):
            yield Mistake(("run", "recheck"), f"{_DISCOVERY}: leave `recheck` out", at_key=True)
        if self.run.verify != "none":
            yield Mistake(("run", "verify"), f"{_DISCOVERY}: leave `verify` out", at_key=True)
        if self.tests:
            yield Mistake(("tests",), f"{_DISCOVERY}: there is nothing to test, leave `tests` out", at_key=True)

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


def inside(path: str, folder: str) -> bool:
    """Tell whether a path is the folder or lies below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


_DISCOVERY = "with discovery the Hub finds the files, so nothing is known of them beforehand"


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value
