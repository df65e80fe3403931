"""The `select` part of a policy: where files come from, which ones a run takes, and in which order."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Annotated, Any, Final, Literal

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from workflows import units
from workflows.conditions import Condition, Extent, measure, names_in
from workflows.fields import ConditionField, Count, Flag, Folder, Label, Line, SomeBytes
from workflows.payload import Payload
from workflows.units import Mistake, Mistakes, shown

DEFAULT_RULE: Final = "default"
HEAVIEST: Final = 20_000
DEEPEST: Final = 64
DISCOVERY = "with discovery the Hub finds the files, so nothing is known of them beforehand"


class Source(Payload):
    """Where the files come from: exactly one of space, path, manifest, discovery."""

    space: Line | None = Field(None, description="A space of the site, by its name.")
    path: Folder | None = Field(None, description="A folder of the site, read through the file API or by a search.")
    via: Literal["browse", "search"] | None = Field(
        None, description="How `path` is read: browse (folder by folder) or search (the Hub's index); default browse."
    )
    manifest: Line | None = Field(
        None, description="A file that lists the paths: plain, GPFS, CSV, JSON lines or Parquet."
    )
    format: Literal["lines", "nul", "gpfs", "gpfs-escape", "csv", "jsonl", "parquet"] | None = Field(
        None, description="What kind of list the manifest is, where neither its ending nor its beginning says it."
    )
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
        if self.format and self.manifest is None:
            raise Mistakes([Mistake(("format",), "`format` says what a `manifest` is: leave it out here", at_key=True)])
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
        (),
        max_length=1000,
        description="Folders that the run stays inside; none means the whole space, or the source's own path.",
    )
    classes: dict[Label, ConditionField] = Field(
        default_factory=dict,
        max_length=1000,
        description="Named sets of files, for use in other classes, in exclude and in rules.",
    )
    exclude: tuple[ConditionField, ...] = Field(
        (), max_length=1000, description="Files that no rule can take; any of these is enough."
    )
    rules: tuple[Rule, ...] = Field(
        (),
        description="In order; the first that matches decides. None at all: every file that is not excluded is taken.",
    )
    order_by: tuple[OrderField, ...] = Field((), description="The plan's order; ties by path.")
    limit: Limit = Field(Limit(), description="The most that one run takes.")
    on_unknown: Literal["skip", "fail"] = Field(
        "skip", description="A file whose decision hangs on an attribute that the Hub did not give: skip it, or fail."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "Select":
        mistakes = chain(self._path_mistakes(), self._class_mistakes(), self._rule_mistakes(), self._source_mistakes())
        found = list(islice(mistakes, units.MOST_MISTAKES))
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
        extents: dict[str, Extent] = {}
        for name in self.classes:
            cycle = self._measure(name, extents, [])
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
            extent = measure(condition, extents)
            if extent.values > HEAVIEST or extent.depth > DEEPEST:
                excess = f"{DEEPEST} levels" if extent.depth > DEEPEST else f"{HEAVIEST} conditions"
                yield Mistake(where, f"this has more than {excess}, its classes written out: simplify")
                return

    def _measure(self, name: str, extents: dict[str, Extent], above: list[str]) -> list[str]:
        if name in above:
            return [*above[above.index(name) :], name]
        if name in extents or name not in self.classes:
            return []
        if len(above) >= DEEPEST:
            extents[name] = Extent(HEAVIEST, DEEPEST)  # too deep already, so no deeper look is needed
            return []
        for used, _ in names_in(self.classes[name]):
            cycle = self._measure(used, extents, [*above, name])
            if cycle:
                return cycle
        extents[name] = measure(self.classes[name], extents)
        return []

    def _rule_mistakes(self) -> Iterator[Mistake]:
        first: dict[str, int] = {}
        for index, rule in enumerate(self.rules):
            if first.setdefault(rule.name, index) != index:
                yield Mistake(
                    ("rules", index, "name"),
                    f"rules[{first[rule.name]}] has the name `{rule.name}` already: give each rule its own",
                )
        if self.rules and all(rule.keep for rule in self.rules):
            yield Mistake(("rules",), "every rule keeps its files, so nothing is taken: add one without `keep`")

    def _source_mistakes(self) -> Iterator[Mistake]:
        if self.source.discovery is not None:
            if not self.paths:
                yield Mistake(("from", "discovery"), "discovery needs `paths`: the folders that the Hub looks through")
            for key in ("classes", "exclude", "rules", "order_by"):
                if getattr(self, key):
                    yield Mistake((key,), f"{DISCOVERY}: leave `{key}` out, or take them `from` a space", True)
            if self.limit != Limit():
                yield Mistake(("limit",), f"{DISCOVERY}: leave `limit` out, or take them `from` a space", True)
        if self.source.manifest is not None and self.paths:
            yield Mistake(("paths",), "a manifest names every file itself: leave `paths` out", at_key=True)

    def _conditions(self) -> Iterator[tuple[tuple[str | int, ...], Condition]]:
        for name, condition in self.classes.items():
            yield ("classes", name), condition
        for index, condition in enumerate(self.exclude):
            yield ("exclude", index), condition
        for index, rule in enumerate(self.rules):
            yield ("rules", index, "match"), rule.match


def inside(path: str, folder: str) -> bool:
    """Tell whether a path is the folder or lies below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")
