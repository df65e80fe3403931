"""The tests that a policy carries: imagined files, and what must become of them."""

from typing import Annotated, Literal

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from workflows import units
from workflows.fields import Age, Folder, Line, Size
from workflows.payload import Payload
from workflows.units import Mistake, Mistakes, shown

__all__ = ["Expectation", "PolicyTest", "TestFile"]


class TestFile(Payload):
    """A file that a policy's own test imagines; what is left out is unknown."""

    __test__ = False

    path: Folder = Field(description="The whole path.")
    size: Size | None = Field(None, description="The file's size.")
    disk_usage: Size | None = Field(None, description="The bytes that it takes on disk.")
    accessed: Age | None = Field(None, description="How long ago it was opened.")
    modified: Age | None = Field(None, description="How long ago its content was changed.")
    changed: Age | None = Field(None, description="How long ago the file or its attributes were changed.")
    status: Literal["resident", "premigrated", "migrated"] | None = Field(None, description="Where its bytes are.")
    owner: Line | None = Field(None, description="Its owner.")
    group: Line | None = Field(None, description="Its group.")
    metadata: dict[Line, str] | None = Field(None, description="Its metadata.")


class Expectation(Payload):
    """What a test expects: a verdict, or the rule that decides."""

    verdict: Literal["selected", "kept", "stays", "excluded", "unknown"] | None = None
    rule: str | None = None


def _expectation(value: object) -> Expectation:
    if isinstance(value, Expectation):
        return value
    known = ("selected", "kept", "stays", "excluded", "unknown")
    if isinstance(value, dict):
        for key in value:
            if key != "rule":
                raise Mistakes(
                    [Mistake((key,), f"unknown key {shown(key)}: {units.advice(str(key), ('rule',))}", True)]
                )
        rule = value.get("rule")
        if not isinstance(rule, str) or not rule:
            raise ValueError("expects the name of a rule, such as {rule: media}")
        return Expectation(rule=rule)
    for verdict in known:
        if verdict == value:
            return Expectation(verdict=verdict)
    hint = units.advice(value, known) if isinstance(value, str) else f"expected one of {', '.join(known)}"
    raise ValueError(f"expects {{rule: NAME}} or a verdict, found {shown(value)}: {hint}")


ExpectationField = Annotated[
    Expectation,
    PlainValidator(_expectation),
    PlainSerializer(lambda expect: expect.verdict if expect.rule is None else {"rule": expect.rule}),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["selected", "kept", "stays", "excluded", "unknown"]},
                {
                    "type": "object",
                    "properties": {"rule": {"type": "string", "description": "The rule that decides the file."}},
                    "required": ["rule"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


class PolicyTest(Payload):
    """A test that a policy carries: a file, and what must become of it."""

    file: TestFile = Field(description="The imagined file.")
    expect: ExpectationField = Field(description="{rule: NAME}, or selected, kept, stays, excluded, unknown.")
