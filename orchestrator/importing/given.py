"""One object of the Hub's answer, read tolerantly: words that were never taken are found at the end, not lost."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from workflows.names import to_text


class Given:
    """Takes an object apart; what is missing, null or blank is None."""

    def __init__(self, found: Any) -> None:
        self._left: dict[str, Any] = dict(found) if isinstance(found, dict) else {}

    def take(self, *names: str) -> Any:
        """Take the first of some names that holds something; the other ones count as taken."""
        values = [self._left.pop(name, None) for name in names]
        return next((value for value in values if not is_blank(value)), None)

    def ignore(self, *names: str) -> None:
        """Take what says nothing that a policy could."""
        for name in names:
            self._left.pop(name, None)

    def text(self, *names: str) -> str | None:
        """Take a text, also from a number or from an object with a name, as path text."""
        return as_text(self.take(*names))

    def whole(self, *names: str) -> int | None:
        """Take a whole number, also from a text; None for anything else."""
        return as_whole(self.take(*names))

    def rest(self) -> Iterator[tuple[str, Any]]:
        """Give what nobody took and is not blank."""
        yield from ((to_text(str(name)), value) for name, value in self._left.items() if not is_blank(value))


def is_blank(value: Any) -> bool:
    """Tell whether a value says nothing."""
    return value is None or (isinstance(value, str | list | dict) and not value)


def as_text(value: Any) -> str | None:
    """Read a text, also from a number or from an object with a name, as path text."""
    if isinstance(value, dict):
        value = next((value[key] for key in ("name", "label", "id") if not is_blank(value.get(key))), None)
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        return None
    return to_text(str(value))


def as_whole(value: Any) -> int | None:
    """Read a whole number, also from a text or a float without a fraction."""
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,19}(?:\.0*)?\s*", value, re.ASCII):
        return int(value.strip().partition(".")[0])
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_number(value: Any) -> float | None:
    """Read a finite number, also from a text and with a sign of percent."""
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,15}(?:\.[0-9]{1,15})?\s*%?\s*", value, re.ASCII):
        value = float(value.strip().rstrip("% "))
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def as_flag(value: Any) -> bool | None:
    """Read true or false, also as text or number."""
    if isinstance(value, str):
        value = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(value.lower())
    return bool(value) if isinstance(value, bool) or value in (0, 1) else None


def as_list(value: Any) -> list[Any] | None:
    """Read a list, also one that is written as JSON in a text; None for anything else."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, list) else [] if value is None else None


def said(value: Any, longest: int = 120) -> str:
    """Write a value of the Hub for a comment, short and on one line."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    text = to_text(text)
    return text if len(text) <= longest else text[: longest - 3] + "..."
