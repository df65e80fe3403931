"""The condition groups of a hub policy as rules of ours, each group whole or not at all.

The Hub's reference names the fields of a condition and not what they mean together. They are read like this, and
`READING` says so in every file that has conditions:

- A file is in a group when every condition of the group holds; the policy takes the files of any group.
- `include: false` turns one condition round; a missing `include` is true.
- `older` than an age is strictly longer ago, `newer` strictly less long ago: a file exactly so old is neither.
- A size is a number of bytes, `greater` and `less` are strict.
- A file type is what follows the last dot of the name, upper and lower case alike.

A condition that cannot be said would let more files through, so its whole group is left out; without any group that can
be said the policy takes nothing until a person writes its rules.
"""

import re
from datetime import timedelta
from typing import Any, Final

from orchestrator.importing.account import Account
from orchestrator.importing.given import Given, as_flag, as_list, as_text, as_whole, is_blank, said
from orchestrator.importing.slugs import Slugs, slug
from orchestrator.importing.yaml_text import Fields, Note
from workflows import units

READING: Final = (
    "How the Hub's conditions were read, as its reference leaves it open: all conditions of a group hold, any group is "
    "enough; `include: false` turns a condition round; older, newer, greater and less are strict; sizes are bytes; "
    "types are extensions in any case."
)
NOTHING_YET: Final = "/replace-this-rule"

Condition = tuple[str, Any]


class Unsaid(ValueError):
    """A condition cannot be said in the policy language; the text says why."""


def rules_of(found: Any, account: Account) -> list[Any]:
    """Write the rules of a policy, with comments for the groups that are left out; no groups at all: no rules."""
    groups = as_list(found)
    if groups == []:
        return []
    slugs, rules = Slugs(), list[Any]()
    for index, group in enumerate(groups or [found]):
        rules += _rule(group, f"group-{index + 1}", slugs, account)
    if not any(isinstance(rule, Fields) for rule in rules):
        rules.append(Note("No condition group could be carried over, so this rule takes nothing: write your own here."))
        rules.append(Fields().add("name", "nothing-yet").add("match", Fields().add("path", NOTHING_YET)))
    return rules


def age_of(value: Any) -> timedelta:
    """Read an age: `90 00:00:00`, `90 days`, `90d`, `P90D`. Raises Unsaid, also where the unit is not said."""
    text = as_text(value) or ""
    if _NUMBER.fullmatch(text):
        raise Unsaid(f"the age {said(value)} has no unit, days or seconds")
    for pattern in (_CLOCK, _WORDS, _ISO):
        if found := pattern.fullmatch(text.strip()):
            parts = {name: int(number) for name, number in found.groupdict().items() if number}
            if parts and (age := timedelta(**parts)) <= units.LONGEST:
                return age
    raise Unsaid(f"the age {said(value)} is not plainly a length of time")


_NUMBER = re.compile(r"\s*[-+]?[0-9.]*\s*", re.ASCII)
_CLOCK = re.compile(
    r"(?:(?P<days>[0-9]{1,6})(?: days?,)? )?(?P<hours>[0-9]{1,4}):(?P<minutes>[0-9]{2}):(?P<seconds>[0-9]{2})(?:\.0+)?",
    re.ASCII,
)
_WORDS = re.compile(
    r"(?:(?P<weeks>[0-9]{1,6}) ?(?:w|weeks?))?,? ?(?:(?P<days>[0-9]{1,6}) ?(?:d|days?))?,? ?"
    r"(?:(?P<hours>[0-9]{1,6}) ?(?:h|hours?))?,? ?(?:(?P<minutes>[0-9]{1,8}) ?(?:m|min|minutes?))?,? ?"
    r"(?:(?P<seconds>[0-9]{1,10}) ?(?:s|sec|seconds?))?",
    re.ASCII | re.IGNORECASE,
)
_ISO = re.compile(
    r"P(?:(?P<weeks>[0-9]{1,6})W)?(?:(?P<days>[0-9]{1,6})D)?"
    r"(?:T(?:(?P<hours>[0-9]{1,6})H)?(?:(?P<minutes>[0-9]{1,8})M)?(?:(?P<seconds>[0-9]{1,10})S)?)?",
    re.ASCII,
)
_DATES = {
    "atime": "accessed", "access": "accessed", "accessed": "accessed", "accesstime": "accessed",
    "lastaccessed": "accessed", "lastaccess": "accessed", "dateaccessed": "accessed", "accessdate": "accessed",
    "mtime": "modified", "modified": "modified", "modificationtime": "modified", "modification": "modified",
    "lastmodified": "modified", "datemodified": "modified", "modifytime": "modified", "modifieddate": "modified",
    "ctime": "changed", "change": "changed", "changed": "changed", "changetime": "changed", "datechanged": "changed",
}  # fmt: skip
_OLDER = {"older": ">", "olderthan": ">", "newer": "<", "newerthan": "<", "younger": "<"}
_LARGER = {
    "greater": ">", "greaterthan": ">", "gt": ">", ">": ">", "larger": ">", "more": ">",
    "less": "<", "lessthan": "<", "lt": "<", "<": "<", "smaller": "<",
    ">=": ">=", "gte": ">=", "ge": ">=", "<=": "<=", "lte": "<=", "le": "<=",
}  # fmt: skip
_ROUND = {">": "<=", "<": ">=", ">=": "<", "<=": ">"}
_OWN = ("id", "condition_group")


def _rule(found: Any, otherwise: str, slugs: Slugs, account: Account) -> list[Any]:
    group = Given(found)
    number, title = group.text("id"), group.text("name")
    words = f"condition group {number or '?'}" + (f", {said(title)}" if title else "")
    group.ignore("policy")
    try:
        conditions = list(_conditions(group))
        if not isinstance(found, dict) or not conditions:
            raise Unsaid("it has no condition" if isinstance(found, dict) else f"it is {said(found)}")
        unknown = [name for name, _ in group.rest()]
        if unknown:
            raise Unsaid(f"the import does not know {', '.join(f'`{name}`' for name in unknown)}")
    except Unsaid as why:
        return [
            account.lose(words, f"{why}; without it the group would take more files, so the whole group is left out"),
            Note(f"the Hub says: {said(found, 1500)}"),
        ]
    account.keep(f"{words}: {len(conditions)} condition{'s' if len(conditions) > 1 else ''}")
    rule = Fields().note(Note(f"the Hub's {words}"))
    return [rule.add("name", slugs.unique(slug(title, otherwise))).add("match", _match(conditions))]


def _conditions(group: Given) -> list[Condition]:
    found: list[Condition] = []
    kinds = (("date_conditions", _date), ("filesize_conditions", _size), ("filetype_conditions", _type))
    for name, read in kinds:
        listed = as_list(group.take(name))
        if listed is None:
            raise Unsaid(f"`{name}` is not a list")
        for one in listed:
            if not isinstance(one, dict):
                raise Unsaid(f"a condition of `{name}` is {said(one)}")
            given = Given(one)
            given.ignore(*_OWN)
            included = True if is_blank(flag := given.take("include")) else as_flag(flag)
            if included is None:
                raise Unsaid(f"`include` is {said(flag)}, neither true nor false")
            found.append(read(given, included))
            for unknown, value in given.rest():
                raise Unsaid(f"a condition of `{name}` has `{unknown}` = {said(value)}, which the import does not know")
    return found


def _date(given: Given, included: bool) -> Condition:
    field, side, age = given.take("date_field"), given.take("older_or_newer"), age_of(given.take("age"))
    attribute, operator = _DATES.get(_word(field)), _OLDER.get(_word(side))
    if attribute is None:
        raise Unsaid(f"the date {said(field)} is none of accessed, modified and changed")
    if operator is None:
        raise Unsaid(f"{said(side)} is neither older nor newer")
    whole_days, rest = divmod(age, timedelta(days=1))
    text = f"{whole_days}d" if whole_days and not rest else units.duration_text(age)
    return attribute, f"{operator if included else _ROUND[operator]} {text}"


def _size(given: Given, included: bool) -> Condition:
    side, size = given.take("greater_or_less"), given.take("size")
    operator = _LARGER.get(_word(side))
    if operator is None:
        raise Unsaid(f"{said(side)} is neither greater nor less")
    found = as_whole(size)
    if found is None or not 0 <= found <= units.LARGEST:
        raise Unsaid(f"the size {said(size)} is not a number of bytes")
    return "size", f"{operator if included else _ROUND[operator]} {units.size_text(found)}"


def _type(given: Given, included: bool) -> Condition:
    listed = given.take("filetypes")
    if isinstance(listed, str) and re.fullmatch(r"[^\s,;|\[]+", listed):
        listed = [listed]
    types = as_list(listed)
    if not types:
        raise Unsaid(f"`filetypes` is {said(listed)}, not a list of extensions")
    simple, names = list[str](), list[str]()
    for one in types:
        text = _extension(one)
        target, form = (names, _any_case(text)) if "." in text else (simple, text)
        if form not in target:
            target.append(form)
    forms = [Fields().add(key, listed) for key, listed in (("type", simple), ("name", names)) if listed]
    if len(forms) == 1 and included:
        ((key, value),) = forms[0].pairs
        return key, value
    if included:
        return "any", forms
    return "not", forms[0] if len(forms) == 1 else Fields().add("any", forms)


def _extension(value: Any) -> str:
    text = value.removeprefix("*").removeprefix(".") if isinstance(value, str) else ""
    if not text or text != text.strip() or re.search(r"[*?\[\]/\\\0]|^\.|\.$|[\ud800-\udfff]", text):
        raise Unsaid(f"the file type {said(value)} is not an extension")
    return text


def _any_case(text: str) -> str:
    """A glob over the whole name, for an extension with a dot in it."""
    letters = (f"[{c.lower()}{c.upper()}]" if c.isascii() and c.isalpha() else c for c in text)
    return "?*." + "".join(letters)


def _match(conditions: list[Condition]) -> Fields:
    keys = [key for key, _ in conditions]
    if len(set(keys)) < len(keys):
        return Fields().add("all", [Fields().add(key, value) for key, value in conditions])
    match = Fields()
    for key, value in conditions:
        match.add(key, value)
    return match


def _word(value: Any) -> str:
    return re.sub(r"[\s_-]", "", value).lower() if isinstance(value, str) else ""
