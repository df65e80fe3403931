"""Every key of the language, misspelt by one letter anywhere: `check` names the word that was meant."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.catalog import PolicyError, load_policy
from orchestrator.documents import read_document
from tests.unit.documentation import EXAMPLES, ROOT

GOLDEN = ROOT / "tests" / "golden" / "policies"
OWN_NAMES = ("labels", "classes", "fields", "metadata", "where")
Place = tuple[str | int, ...]


def keys_of(data: Any, where: Place = ()) -> Iterator[Place]:
    """Give the place of each key of the language; mappings whose keys are the writer's own names have none."""
    if isinstance(data, dict):
        own = bool(where) and where[-1] in OWN_NAMES
        for key, value in data.items():
            if not own and not key.startswith("metadata."):
                yield (*where, key)
            yield from keys_of(value, (*where, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from keys_of(value, (*where, index))


def misspelt(word: str) -> list[str]:
    """Swap each two letters, leave each letter out, and write each one twice."""
    swapped = {word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(len(word) - 1)}
    dropped = {word[:at] + word[at + 1 :] for at in range(len(word))}
    doubled = {word[:at] + word[at] + word[at:] for at in range(len(word))}
    return sorted(each for each in swapped | dropped | doubled if each != word and len(each) > 1)


def renamed(data: Any, where: Place, word: str) -> Any:
    """Give a copy of the document with one key renamed in its place."""
    first, *rest = where
    if isinstance(data, list):
        return [renamed(item, tuple(rest), word) if index == first else item for index, item in enumerate(data)]
    if rest:
        return {key: renamed(value, tuple(rest), word) if key == first else value for key, value in data.items()}
    return {word if key == first else key: value for key, value in data.items()}


TEXTS = {page.stem: page.read_text(encoding="utf-8") for page in sorted(GOLDEN.glob("*.yaml"))} | {
    str(example): example.whole for example in EXAMPLES if example.page == "policies/README.md"
}
DOCUMENTS = {name: read_document(text.encode(), name).data for name, text in TEXTS.items()}
# One place for each key of each kind of mapping: the path without the numbers of lists.
PLACES = {
    tuple(part for part in place if not isinstance(part, int)): (name, place)
    for name, data in DOCUMENTS.items() for place in keys_of(data)
}  # fmt: skip


@pytest.mark.parametrize(("name", "place"), PLACES.values(), ids=str)
def test_a_misspelt_key_is_answered_with_the_nearest_word(name: str, place: Place) -> None:
    data, key = DOCUMENTS[name], str(place[-1])
    around: Any = data
    for part in place[:-1]:
        around = around[part]
    unanswered = []
    for word in misspelt(key):
        if word in around:
            continue
        try:
            load_policy(json.dumps(renamed(data, place, word)).encode())
        except PolicyError as error:
            said = [one.message for one in error.problems if f"`{word}`" in one.message]
            if not any(f"did you mean `{key}`?" in text for text in said):
                unanswered.append((word, said))
        else:
            unanswered.append((word, ["accepted"]))
    assert unanswered == []


def test_every_key_of_the_language_is_misspelt_here() -> None:
    assert len(PLACES) > 150
