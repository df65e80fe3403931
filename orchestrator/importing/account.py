"""The account of one import: what was carried over and what was not, told in the file and again in the summary."""

from dataclasses import dataclass, field

from orchestrator.importing.given import Given, said
from orchestrator.importing.yaml_text import Fields, Note


@dataclass
class Account:
    """What happened to the words of one hub policy or hub schedule."""

    carried: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def keep(self, what: str) -> None:
        """Count something that was carried over."""
        self.carried.append(what)

    def lose(self, what: str, why: str) -> Note:
        """Count something that was not carried over, and give the comment for its place."""
        self.lost.append(what)
        return Note(f"not carried over: {what}, because {why}")

    def lose_rest(self, given: Given) -> list[Note]:
        """Count the words that nobody knows."""
        return [self.lose(f"`{name}` = {said(value)}", "the import does not know it") for name, value in given.rest()]


@dataclass(frozen=True)
class Imported:
    """One hub policy or hub schedule as a policy of ours: all of its text but the head, which waits for its name."""

    kind: str
    number: str
    title: str
    enabled: bool | None
    site: str | None
    wanted_name: str
    body: Fields
    account: Account
