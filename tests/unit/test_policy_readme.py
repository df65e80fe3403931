"""The page about the language says what is so."""

import re
from pathlib import Path

import pytest

from orchestrator.catalog import load_policy
from orchestrator.check import check
from workflows.conditions import ATTRIBUTES
from workflows.policy import NOT_YET, Policy, Retry, Run

POLICIES = Path(__file__).resolve().parent.parent.parent / "policies"
PAGE = (POLICIES / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_is_a_policy_that_holds_its_tests(example: str, tmp_path: Path) -> None:
    file = tmp_path / "example.yaml"
    file.write_text(example, encoding="utf-8")
    assert [str(problem) for problem in check([file]).problems] == []


def test_the_example_of_every_key_has_every_key() -> None:
    schema = Policy.model_json_schema(by_alias=True)
    parts = [schema, *(part for name, part in schema["$defs"].items() if name not in ("TestFile", "Source"))]
    keys = {key for part in parts for key in part.get("properties", {})}
    assert [key for key in sorted(keys) if not re.search(rf"\b{key}:", EXAMPLES[1])] == []


def test_the_example_shows_the_defaults_of_run_and_retry() -> None:
    shown = load_policy(EXAMPLES[1].encode())
    assert shown.run.model_copy(update={"fields": {}, "deadline": None}) == Run(workflow="migrate")
    assert shown.retry == Retry()


def test_every_condition_and_every_word_that_is_not_run_yet_is_named() -> None:
    assert [attribute for attribute in ATTRIBUTES if f"`{attribute}`" not in PAGE] == []
    words = {".".join((*map(str, parent), key)) for parent, keys in NOT_YET.items() for key in keys}
    assert [word for word in sorted(words) if f"`{word}`" not in PAGE] == []


def test_every_policy_of_the_folder_is_in_the_table() -> None:
    assert [file.stem for file in POLICIES.glob("*.yaml") if f"`{file.stem}`" not in PAGE] == []
