"""Names of ours made from the Hub's: valid, short, and each used once."""

import re
import unicodedata

LONGEST = 63


class Slugs:
    """Gives each name once; a second one gets a number."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def unique(self, wanted: str) -> str:
        """Give the name, or the name with the first free number."""
        name, number = wanted, 1
        while name in self._used:
            number += 1
            name = f"{wanted[: LONGEST - len(str(number)) - 1]}-{number}"
        self._used.add(name)
        return name


def slug(title: str | None, otherwise: str) -> str:
    """Make a name of any text: a-z, 0-9 and `-`, at most 63."""
    ascii_text = unicodedata.normalize("NFKD", title or "").encode("ascii", "ignore").decode()
    found = re.sub(r"[^a-z0-9]+", "-", ascii_text.lower()).strip("-")[:LONGEST].rstrip("-")
    return found or otherwise
