"""A finding: something in a valid policy that is a mistake, or probably one."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

Place = tuple[str | int, ...]


class Severity(StrEnum):
    """An error can never be right; a warning can be run, and is probably not what is meant."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """What was found, where in the document, and what to write instead; `code` is its kind, in a fixed word."""

    code: str
    where: Place
    text: str
    severity: Severity = Severity.WARNING
    at_key: bool = False


def listed(words: Iterable[str], most: int = 3) -> str:
    """Name a few of several, and how many more there are."""
    named = list(words)
    rest = f" and {len(named) - most} more" if len(named) > most else ""
    return ", ".join(named[:most]) + rest


LONGEST: Final = 160
"""Characters of a condition that a message quotes."""
