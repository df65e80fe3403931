"""The JSON Schema of the policy language, for editors: it completes keys, explains them, and underlines mistakes.

It says what one place allows. What must fit between places (classes that exist, marks in order, crons, zones) is told
by `orchestrator check`.
"""

import json
from collections.abc import Iterator
from typing import Any, Final, get_args

from pydantic import BaseModel

from orchestrator.condition_schema import REFERENCE, condition_schema
from workflows.fields import CONDITION_MARK
from workflows.policy import Policy

__all__ = ["policy_schema", "policy_schema_text"]

_REQUIRED_ONE_OF: Final[dict[str, tuple[str, ...]]] = {
    "Policy": ("site", "sites"),
    "Run": ("workflow", "stages"),
    "Stage": ("workflow", "wait"),
    "Source": ("space", "path", "manifest", "discovery"),
    "Trigger": ("schedule", "threshold", "event", "after"),
}
_ALSO: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "Run": {"recheck": {"const": "none"}},
    "StopAt": {"percent": {"type": "number", "exclusiveMinimum": 0, "maximum": 100}},
}
"""What the language reads beside a key's own kind of value."""
_GROUPED: Final = {
    "type": "string",
    "pattern": "^[0-9]{1,3}(_[0-9]{3})+$",
    "description": "A number whose digits are grouped by three, such as 500_000, without quotes.",
}
_MAY_BE_EMPTY: Final = {"Retry": ("permanent",)}
_LABEL: Final = {"pattern": "^[A-Za-z0-9_][A-Za-z0-9_-]{0,62}$"}


def policy_schema() -> dict[str, Any]:
    """Give the schema of one policy document."""
    schema = Policy.model_json_schema(by_alias=True, ref_template="#/definitions/{model}")
    parts: dict[str, Any] = {"Policy": schema, **schema.pop("$defs")}
    models = {model.__name__: model for model in _models(Policy)}
    for name, part in parts.items():
        if name in models:
            _complete(part, models[name])
    whole = _mended(parts.pop("Policy"))
    whole["definitions"] = {
        **{name: _mended(part) for name, part in sorted(parts.items())},
        "Condition": condition_schema(),
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Policy",
        "description": "One document of the policy language: which files are tiered, when, how fast and within which "
        "bounds.",
        **{key: value for key, value in whole.items() if key not in ("title", "description")},
    }


def policy_schema_text() -> str:
    """Write the schema as the file that editors read."""
    return json.dumps(policy_schema(), indent=2, ensure_ascii=False) + "\n"


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for inner in _models_in(field.annotation):
            yield from _models(inner)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _complete(part: dict[str, Any], model: type[BaseModel]) -> None:
    """Add that other keys are refused, each key's meaning, and its default as a policy writes it."""
    part["additionalProperties"] = False
    defaults = model.model_construct().model_dump(mode="json", by_alias=True, exclude_none=True, warnings=False)
    for name, field in model.model_fields.items():
        key = field.alias or name
        found = part["properties"][key]
        found.pop("default", None)
        default = defaults.get(key)
        said = (field.description or found.get("description") or "").rstrip(".")
        if default is not None and default != [] and not isinstance(default, dict):
            found["default"] = default
            said += f". Default: {_written(default)}"
        found["description"] = f"{said}."
    for key in _MAY_BE_EMPTY.get(model.__name__, ()):
        part["properties"][key]["minItems"] = 0
    for key, choice in _ALSO.get(model.__name__, {}).items():
        part["properties"][key]["anyOf"] = [_none_for(one, choice) for one in part["properties"][key]["anyOf"]]
    if model.__name__ in _REQUIRED_ONE_OF:
        part["oneOf"] = [{"required": [key]} for key in _REQUIRED_ONE_OF[model.__name__]]


def _is_free(key: str, value: Any) -> bool:
    """A label, or a value of metadata: any text, even an empty one."""
    return key == "additionalProperties" and bool(value == {"type": "string"})


def _none_for(choice: Any, instead: dict[str, Any]) -> Any:
    return instead if choice == {"type": "null"} else choice


def _written(default: Any) -> str:
    if isinstance(default, bool):
        return "true" if default else "false"
    return f"[{', '.join(map(_written, default))}]" if isinstance(default, list) else str(default)


def _mended(part: Any) -> Any:
    """Make a part say what the language allows: no null, grouped digits, conditions by reference, no needless title."""
    if isinstance(part, list):
        return [_mended(item) for item in part]
    if not isinstance(part, dict):
        return part
    if CONDITION_MARK.items() <= part.items():
        return {**REFERENCE, **({"description": part["description"]} if "description" in part else {})}
    kept = {key: value for key, value in part.items() if key != "title" or not isinstance(value, str)}
    mended = {key: value if _is_free(key, value) else _mended(value) for key, value in kept.items()}
    choices = mended.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        rest = [choice for choice in choices if choice != {"type": "null"}]
        del mended["anyOf"]
        mended = {**rest[0], **mended} if len(rest) == 1 else {**mended, "anyOf": rest}
    if mended.get("type") == "integer" and "const" not in mended:
        bounds = {key: mended.pop(key) for key in ("type", "minimum", "maximum") if key in mended}
        mended["anyOf"] = [bounds, _GROUPED]
    if mended.get("type") == "array":
        mended.setdefault("minItems", 1)
    if mended.get("type") == "string" and not {"enum", "pattern", "format"} & mended.keys():
        mended.setdefault("minLength", 1)
    if mended.get("type") == "object" and "maxProperties" in mended:  # classes, which have names of their own
        mended["propertyNames"] = _LABEL
    return mended
