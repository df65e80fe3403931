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
    """Make a name of any text: a-z, 0-9 and `-`, at most 63; of the other text where nothing is left of the first."""
    return _plain(title or "") or _plain(otherwise) or "imported"


def _plain(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text.lower()).strip("-")[:LONGEST].rstrip("-")
