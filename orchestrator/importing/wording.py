"""Texts of the Hub that a policy may hold as they are, and what the imported files say of themselves."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from orchestrator.importing.account import Account, Imported
from orchestrator.importing.given import said
from orchestrator.importing.yaml_text import Fields, Note, yaml_text
from workflows.fields import Folder, Line

REPLACE = "replace-this"

_LINE = TypeAdapter[str](Line)
_FOLDER = TypeAdapter[str](Folder)


def is_line(text: str | None) -> bool:
    """Tell whether a policy can hold the text as a name."""
    return text is not None and _fits(_LINE, text)


def is_folder(text: str | None) -> bool:
    """Tell whether a policy can hold the text as a folder."""
    return text is not None and _fits(_FOLDER, text)


def text_of(imported: Imported, name: str) -> str:
    """Write the whole file: where it comes from, that the Hub still runs its own, and the policy. Raises Unwritable."""
    state = {True: "enabled there", False: "disabled there", None: "the Hub does not say if it is enabled"}
    fields = Fields().note(
        Note(
            f"Imported from the {imported.kind} {imported.number}, {said(imported.title)}: {state[imported.enabled]}."
        ),
        Note("The Hub goes on with its own: disable it there before `enabled: true` here, else both move the files."),
    )
    if lost := len(imported.account.lost):
        things = "1 thing is" if lost == 1 else f"{lost} things are"
        fields.note(Note(f"{things} not carried over, told at the place of each: look for `not carried over`."))
    key = imported.kind.replace(" ", "_")
    fields.blank().add("version", 1).add("name", name)
    fields.add("labels", {key: imported.number, f"{key}_name": imported.title}).add("enabled", False)
    return yaml_text(Fields([*fields.lines, *imported.body.lines]))


def add_site(body: Fields, site: str | None, reference: Any, account: Account) -> None:
    """Add the site; one that nobody can name stands open."""
    if not is_line(site):
        body.note(account.lose(f"site {said(reference)}", "it names no site of the Hub: write the site's name"))
    body.add("site", site if is_line(site) else REPLACE).blank()


def add_list(body: Fields, key: str, items: list[Any]) -> None:
    """Add a list with its comments; comments alone stand without the key."""
    if any(isinstance(item, Fields) for item in items):
        body.add(key, items)
    else:
        body.note(*items)


def _fits(adapter: TypeAdapter[str], text: str) -> bool:
    try:
        return bool(adapter.validate_python(text))
    except ValidationError:
        return False
