"""The number of a thing, however an answer names it."""

import re
from typing import Any

_OF_JOB = ("job", "id", "job_id", "url")
_OWN = ("id", "job_id", "url")
_BARE = re.compile(r"\s*(\d{1,18})\s*", re.ASCII)
_IN_URL = re.compile(r"/(\d{1,18})/?(?:[?#].*)?\s*$", re.ASCII)


def job_number(answer: Any, *, own: bool = False) -> int | None:
    """The number in an answer: bare, as text, at the end of a URL, or within an object (`own`: a job's own record)."""
    if isinstance(answer, bool) or answer is None:
        return None
    if isinstance(answer, int):
        return answer if answer >= 0 else None
    if isinstance(answer, str):
        found = _BARE.fullmatch(answer) or _IN_URL.search(answer)
        return int(found[1]) if found else None
    if isinstance(answer, dict):
        numbers = (job_number(answer.get(name)) for name in (_OWN if own else _OF_JOB))
        return next((number for number in numbers if number is not None), None)
    return None
