"""The shape of a request body, and what in a value does not fit it."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

_KINDS: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "boolean": (bool,),
    "array": (list,),
}


@dataclass(frozen=True)
class Field:
    """One field of the contract."""

    type: str
    required: bool = False
    read_only: bool = False

    @classmethod
    def of(cls, text: str) -> Self:
        """Read `integer!` (required), `string~` (only the Hub writes it)."""
        return cls(text.rstrip("!~"), "!" in text, text.endswith("~"))


@dataclass
class Shape:
    """A node of a body: the type of its own value, and the shapes of what it holds."""

    field: Field = Field("object")
    inner: dict[str, "Shape"] = dataclasses.field(default_factory=dict)
    each: "Shape | None" = None

    @classmethod
    def of(cls, fields: Mapping[str, Field]) -> "Shape":
        """Build the tree from the contract's flat names."""
        root = cls()
        for name, one in fields.items():
            node = root
            for step in name.replace("[]", ".[]").lstrip(".").split("."):
                node = node._step(step)
            node.field = one
        return root

    def _step(self, step: str) -> "Shape":
        if step != "[]":
            return self.inner.setdefault(step, Shape())
        if self.each is None:
            self.each = Shape()
            self.field = Field("array")
        return self.each


def problems_of(shape: Shape, value: Any, *, at: str = "", partial: bool = False) -> list[str]:
    """What in a value does not fit its shape, one line each; null fits every field that need not be there."""
    here = at or "the body"
    if shape.each is not None:
        if not isinstance(value, list):
            return [f"{here}: expected a list, not {_kind(value)}"]
        lines = [problems_of(shape.each, one, at=f"{at}[{index}]") for index, one in enumerate(value)]
        return [line for some in lines for line in some]
    if not shape.inner:
        kind = shape.field.type
        return [] if _is(kind, value) else [f"{here}: expected {_article(kind)}, not {_kind(value)}"]
    if not isinstance(value, dict):
        return [f"{here}: expected an object, not {_kind(value)}"]
    prefix = f"{at}." if at else ""
    found = []
    for name, one in value.items():
        inner = shape.inner.get(name)
        if inner is None:
            found.append(f"unknown field {prefix + str(name)!r}{meant(str(name), shape.inner)}")
        elif inner.field.read_only:
            found.append(f"field {prefix + name!r} is written by the Hub alone")
        elif name == "value" and inner.field.type == "object":
            continue  # A setting's value: any JSON.
        elif one is not None or inner.field.required:
            found += problems_of(inner, one, at=prefix + name)
    if not partial:
        absent = [name for name, inner in shape.inner.items() if inner.field.required and name not in value]
        found += [f"field {prefix + name!r} is missing" for name in absent if not shape.inner[name].field.read_only]
    return found


def text_problem(kind: str, value: Any) -> str | None:
    """Why a parameter, as text or as value, is not of a type; None when it is."""
    if kind in ("string", "array", "object"):
        return None
    text = str(value).strip().lower() if not isinstance(value, bool) else ("true" if value else "false")
    if kind == "boolean":
        return None if text in ("true", "false") else f"expected true or false, not {value!r}"
    try:
        _ = int(text) if kind == "integer" else float(text)
    except ValueError:
        return f"expected {_article(kind)}, not {value!r}"
    return None


def meant(name: str, known: Iterable[str]) -> str:
    """The hint at the nearest known word, or at all of a few."""
    words = list(known)
    close = difflib.get_close_matches(name, words, n=1, cutoff=0.5)
    if close:
        return f": did you mean {close[0]!r}?"
    return f": known are {', '.join(words)}" if 0 < len(words) <= 30 else ""


def _is(kind: str, value: Any) -> bool:
    if kind == "object":
        return not isinstance(value, str | bool | int | float) and value is not None
    if isinstance(value, bool) and kind != "boolean":
        return False
    return isinstance(value, _KINDS.get(kind, (object,)))


def _article(kind: str) -> str:
    return {"integer": "an integer", "array": "a list", "object": "an object", "boolean": "true or false"}.get(
        kind, f"a {kind}"
    )


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    names = {int: "an integer", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)
