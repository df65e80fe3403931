"""What the Hub's numbers stand for: its sites and spaces, read tolerantly."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.importing.given import as_text, as_whole


@dataclass(frozen=True)
class KnownSpace:
    """A space, by its name and its folder."""

    name: str
    folder: str | None


@dataclass(frozen=True)
class Estate:
    """Sites and spaces by their numbers and by their names, as texts."""

    sites: Mapping[str, str]
    spaces: Mapping[str, KnownSpace]

    @classmethod
    def of(cls, sites: list[Any], spaces: list[Any]) -> "Estate":
        """Read what the Hub lists."""
        named: dict[str, str] = {}
        for one in sites:
            name = as_text(one.get("name")) if isinstance(one, dict) else None
            if name is not None:
                named |= {name: name, **_numbered(one, name)}
        known: dict[str, KnownSpace] = {}
        for one in spaces:
            name = as_text(one.get("name")) if isinstance(one, dict) else None
            if name is not None:
                folder = as_text(one.get("mountpoint"))
                space = KnownSpace(name, folder if folder and folder.startswith("/") else None)
                known |= {name: space, **_numbered(one, space)}
        return cls(named, known)

    def site(self, reference: Any) -> str | None:
        """Name a site by what refers to it; nothing refers to the only one."""
        text = as_text(reference)
        if text is None:
            names = set(self.sites.values())
            return names.pop() if len(names) == 1 else None
        return self.sites.get(text, text if not text.isdecimal() else None)

    def space(self, reference: Any) -> KnownSpace | None:
        """Find a space by what refers to it."""
        return self.spaces.get(as_text(reference) or "")


def _numbered(one: dict[str, Any], value: Any) -> dict[str, Any]:
    number = as_whole(one.get("id"))
    return {} if number is None else {str(number): value}
