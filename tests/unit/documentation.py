"""The YAML of every page of documentation: whole policies, and parts that become one beside the smallest policy."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PAGES: Final = sorted(
    page
    for page in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("policies/*.md"),
        *ROOT.parent.glob("shared/*.md"),
    )
    if page.is_file()
)

_SMALLEST: Final = {
    "version": "version: 1",
    "name": "name: example",
    "site": "site: london",
    "select": "select:\n  from: {space: projects}",
    "run": "run: {workflow: migrate}",
}
_EITHER: Final = {"site": "sites"}


@dataclass(frozen=True)
class Example:
    """One block of YAML on a page."""

    page: str
    line: int
    text: str

    @property
    def whole(self) -> str:
        """The block as a policy: what it lacks comes from the smallest one, behind it: lines keep their place."""
        keys = set(re.findall(r"^([a-z_]+):", self.text, flags=re.MULTILINE))
        lacking = [text for key, text in _SMALLEST.items() if key not in keys and _EITHER.get(key) not in keys]
        return "\n".join([self.text.rstrip("\n"), *lacking]) + "\n"

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def examples_of(page: Path) -> list[Example]:
    text = page.read_text(encoding="utf-8")
    name = f"{page.parent.name}/{page.name}" if page.parent != ROOT else page.name
    return [
        Example(name, text.count("\n", 0, found.start()) + 2, found[1])
        for found in re.finditer(r"^```ya?ml\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    ]


EXAMPLES: Final = [example for page in PAGES for example in examples_of(page)]
