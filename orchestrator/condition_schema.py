"""The JSON Schema of conditions: what a policy may ask about a file, explained for editors."""

from typing import Any, Final

from workflows.conditions import AGES, METADATA, SIZES, STATUSES

REFERENCE: Final = {"$ref": "#/definitions/Condition"}

_SIZE: Final = r"^\s*(<=|>=|<|>|=)\s*(0|[0-9_]+([KMGTP]iB|[kMGTP]?B))\s*$"
_AGE: Final = r"^\s*(<=|>=|<|>)\s*[0-9_]+[smhdw]( ago)?\s*$"
_MEANT: Final = {
    "size": "The file's size, such as \"> 1GiB\".",
    "disk_usage": "The bytes that the file takes on disk, such as \"> 0\".",
    "accessed": "How long ago the file was opened: \"> 90d\" is longer ago, \"< 10m\" more recently.",
    "modified": "How long ago the file's content was changed: \"> 90d\" is longer ago, \"< 10m\" more recently.",
    "changed": "How long ago it or its attributes were changed: \"> 90d\" is longer ago, \"< 10m\" more recently.",
    "type": "The extension, or any of a list: what follows the last dot; case does not matter; \"\" is none.",
    "name": "A glob, or any of a list, that the last part of the path matches as a whole: \"*.tmp\".",
    "path": "A glob, or any of a list, that the whole path matches: \"/a/**\" is everything below /a, \"**/x\" an x at "
            "any depth.",
    "status": "Where the file's bytes are: resident (here), premigrated (here and in the target), migrated.",
    "owner": "The file's owner, or any of a list.",
    "group": "The file's group, or any of a list.",
}  # fmt: skip


def condition_schema() -> dict[str, Any]:
    """Give the schema of one condition, which refers to itself."""
    return {
        "description": "A class name, or conditions on a file: all in one mapping hold; all, any, not compose.",
        "anyOf": [
            {"type": "string", "minLength": 1, "description": "The name of a class."},
            {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": False,
                "properties": _properties(),
                "patternProperties": {
                    f"^{METADATA.replace('.', '[.]')}.+$": _words("A value of the file's metadata, or any of a list.")
                },
            },
        ],
    }


def _properties() -> dict[str, Any]:
    several = {"type": "array", "minItems": 1, "items": REFERENCE}
    return {
        **{key: _comparison(key, _SIZE, "> 1GiB") for key in SIZES},
        **{key: _comparison(key, _AGE, "> 90d") for key in AGES},
        **{key: _words(_MEANT[key]) for key in ("name", "path", "owner", "group")},
        "type": _words(_MEANT["type"], {"type": "string", "pattern": r"^[^.*?\[/]*$"}),
        "status": _words(_MEANT["status"], {"enum": list(STATUSES)}),
        "all": {**several, "description": "Every one of these conditions holds."},
        "any": {**several, "description": "At least one of these conditions holds."},
        "not": {
            "allOf": [REFERENCE],
            "description": "The contrary of a condition; where an attribute is not known the contrary is unknown, too.",
        },
    }


def _comparison(key: str, pattern: str, example: str) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern, "description": _MEANT[key], "examples": [example]}


def _words(description: str, word: dict[str, Any] | None = None) -> dict[str, Any]:
    one = word or {"type": "string", "minLength": 1}
    return {"description": description, "anyOf": [one, {"type": "array", "minItems": 1, "items": one}]}
