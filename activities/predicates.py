"""A policy's selection as SQL over the inventory's columns; SQL's NULL is the unknown of three-valued logic.

The verdict is the one of `workflows.matching.decide`, and a property test holds the two together.
"""

from collections.abc import Mapping, Sequence

from workflows.conditions import AGES, METADATA, AllOf, AnyOf, Compare, Condition, Glob, Member, Named, Not, glob_regex
from workflows.selecting import DEFAULT_RULE, OrderKey, Select

SELECTED, KEPT, STAYS, EXCLUDED, UNKNOWN, QUARANTINED, NOT_FAILED = range(7)
"""The values of the `verdict` column; the last two are no policy's words, see `heeding` and `selection`."""

_AGE_SIDES = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}
#: The most text of patterns in one regular expression, far below what RE2 refuses to compile.
_REGEX_TEXT = 4_000


def rule_names(select: Select) -> tuple[str, ...]:
    """Name the rules by the values of the `rule` column, which count from 0."""
    return tuple(rule.name for rule in select.rules) or (DEFAULT_RULE,)


def judged(select: Select, as_of_us: int, source: str) -> str:
    """Write a query that adds `verdict` and `rule` to every row of the source."""
    count = len(select.rules)
    excluded = _any([predicate(one, as_of_us, select.classes) for one in select.exclude])
    holds = [predicate(rule.match, as_of_us, select.classes) for rule in select.rules]
    columns = ", ".join(f"({sql}) AS rule_{index}" for index, sql in enumerate(holds))
    first = _first(count)
    opening = [f"(rule_{i} IS NULL AND first_true > {i})" for i in range(count)]
    may_select = _any([sql for sql, rule in zip(opening, select.rules, strict=True) if not rule.keep])
    may_not = _any([sql for sql, rule in zip(opening, select.rules, strict=True) if rule.keep])
    selecting = [index for index, rule in enumerate(select.rules) if not rule.keep] if count else [0]
    return f"""
        SELECT *,
            CASE WHEN excluded THEN {EXCLUDED}
                 WHEN NOT selects AND NOT {may_select} THEN CASE WHEN first_true < {count} THEN {KEPT} ELSE {STAYS} END
                 WHEN excluded IS NULL OR NOT selects OR {may_not} THEN {UNKNOWN}
                 ELSE {SELECTED} END::UTINYINT AS verdict,
            first_true AS rule
        FROM (SELECT *, first_true IN ({_numbers(selecting)}) AS selects
        FROM (SELECT *, {first} AS first_true
        FROM (SELECT *, ({excluded}) AS excluded{", " + columns if columns else ""} FROM {source})))
    """


def heeding(query: str, set_aside: str | None) -> str:
    """Let a judged query say QUARANTINED of selected files whose path is in the view `set_aside`, if there is one."""
    if set_aside is None:
        return query
    aside = f"verdict = {SELECTED} AND path IN (SELECT path FROM {set_aside})"
    return f"SELECT * REPLACE (IF({aside}, {QUARANTINED}, verdict)::UTINYINT AS verdict) FROM ({query})"


def ordering(keys: Sequence[OrderKey]) -> str:
    """Write the plan's order: unknown values last in either direction, ties by path text (by code point)."""
    return ", ".join(f"{key.attribute} {'DESC' if key.descending else 'ASC'} NULLS LAST" for key in ordering_keys(keys))


def ordering_keys(keys: Sequence[OrderKey]) -> tuple[OrderKey, ...]:
    """Add the path, which decides between equals, where it is not a key already."""
    return (*keys, *(() if any(key.attribute == "path" for key in keys) else (OrderKey(attribute="path"),)))


def predicate(condition: Condition, as_of_us: int, classes: Mapping[str, Condition]) -> str:
    """Write a condition as a Boolean expression that is NULL where the condition is unknown."""
    match condition:
        case Named(name):
            return predicate(classes[name], as_of_us, classes)
        case AllOf(of):
            return _all([predicate(part, as_of_us, classes) for part in of])
        case AnyOf(of):
            return _any([predicate(part, as_of_us, classes) for part in of])
        case Not(of):
            return f"(NOT {predicate(of, as_of_us, classes)})"
        case Compare(attribute, operator, value):
            if attribute in AGES:
                return f"({attribute} {_AGE_SIDES[operator]} {_integer(as_of_us - value)})"
            return f"({attribute} {operator} {_integer(value)})"
        case Member(attribute, values):
            return f"({_member(attribute)} IN ({', '.join(map(literal, values))}))"
        case Glob(attribute, patterns):
            return _glob("path" if attribute == "path" else NAME, patterns)


NAME = "parse_filename(path, false, 'forward_slash')"
"""The last component of the path."""


def literal(text: str) -> str:
    """Write a text as an SQL string, whatever it holds."""
    return " || chr(0) || ".join("'" + part.replace("'", "''") + "'" for part in text.split("\0"))


def _member(attribute: str) -> str:
    if attribute == "type":
        return "coalesce(extension, '')"
    if attribute.startswith(METADATA):
        key = attribute.removeprefix(METADATA).replace("~", "~0").replace("/", "~1")
        return f"json_extract_string(metadata, {literal('/' + key)})"
    return f'"{attribute}"'


def _glob(column: str, patterns: Sequence[str]) -> str:
    groups: list[list[str]] = [[]]
    length = 0
    for pattern in patterns:
        regex = glob_regex(pattern)
        if groups[-1] and length + len(regex) > _REGEX_TEXT:
            groups.append([])
            length = 0
        groups[-1].append(regex)
        length += len(regex)
    return _any(
        [f"regexp_full_match({column}, {literal('|'.join(f'(?:{one})' for one in group))})" for group in groups]
    )


def _first(count: int) -> str:
    cases = "".join(f" WHEN rule_{index} THEN {index}" for index in range(count))
    return f"(CASE{cases} ELSE {count} END)::USMALLINT" if count else "0::USMALLINT"


def _all(parts: Sequence[str]) -> str:
    return f"({' AND '.join(parts)})" if parts else "true"


def _any(parts: Sequence[str]) -> str:
    return f"({' OR '.join(parts)})" if parts else "false"


def _integer(value: int) -> str:
    return f"{value}::HUGEINT" if abs(value) >= 2**63 else f"{value}::BIGINT"


def _numbers(values: Sequence[int]) -> str:
    return ", ".join(map(str, values)) or "-1"
