"""Writes activities/hub/contract.json from a Hub reference in JSON: `python docs/make_contract.py REFERENCE`.

The contract keeps facts alone: methods, paths, names, types. A type ends in `!` for a required field and in `~` for
one that only the Hub writes. Names keep the reference's shape: `a.b` nests, `a[]` lists.
"""

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "activities" / "hub" / "contract.json"
_PARTS = {"path": "path_params", "query": "query", "body": "request", "answer": "response"}


def contract(reference: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The compact form of a reference."""
    return {f"{one['method']} {one['path']}": _operation(one) for one in reference["operations"]}


def written(found: dict[str, dict[str, Any]]) -> str:
    """One operation a line, so that a change of the reference reads well as a difference."""
    lines = (f"{json.dumps(name)}: {json.dumps(one, separators=(',', ':'))}" for name, one in found.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _operation(one: dict[str, Any]) -> dict[str, Any]:
    found = {part: {field["name"]: _type(field) for field in one.get(key, ())} for part, key in _PARTS.items()}
    return {part: fields for part, fields in found.items() if fields} | (
        {"status": one["status"]} if one.get("status") else {}
    )


def _type(field: dict[str, Any]) -> str:
    return f"{field['type']}{'!' if field.get('required') else ''}{'~' if field.get('read_only') else ''}"


if __name__ == "__main__":
    TARGET.write_text(written(contract(json.loads(Path(sys.argv[1]).read_text("utf-8")))), "utf-8")
