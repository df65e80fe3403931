"""The pages about the language say what is so."""

import re
from pathlib import Path

import pytest

from orchestrator.catalog import load_policy
from orchestrator.check import check
from orchestrator.check_report import Remark
from orchestrator.policy_schema import policy_schema
from tests.unit.documentation import EXAMPLES, ROOT, Example
from workflows.conditions import ATTRIBUTES
from workflows.policy import Breaker, Policy, Retry, Run
from workflows.unready import unready

POLICIES = ROOT / "policies"
PAGE = (POLICIES / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
EVERY_KEY = BLOCKS[2]
GOLDEN = ROOT / "tests" / "golden"
OWN = [example for example in EXAMPLES if not example.page.startswith("shared/")]


def remarks(file: Path) -> list[Remark]:
    return [remark for checked in check([file]).files for remark in checked.all_remarks]


@pytest.mark.parametrize("example", OWN, ids=str)
def test_every_example_is_a_policy_that_holds_its_tests_and_has_no_warning(example: Example, tmp_path: Path) -> None:
    file = tmp_path / "example.yaml"
    file.write_text(example.whole, encoding="utf-8")
    assert [str(one.problem) for one in remarks(file) if one.code != "not-run-yet"] == []


@pytest.mark.parametrize("example", [one for one in EXAMPLES if one not in OWN], ids=str)
def test_every_example_of_the_language_is_a_policy(example: Example) -> None:
    load_policy(example.whole.encode())


def test_the_language_s_own_example_is_a_policy() -> None:
    report = check([GOLDEN / "policies" / "reference.yaml"])
    # Its first test leaves `changed` out, which its exclude needs: unknown, by the page's own rules.
    assert [problem.message[:56] for problem in report.problems] == [
        "tests[0]: expected rule media, found unknown (exclude ne"
    ]
    # Nor does it leave out what is migrated already, which its limit counts.
    codes = {one.code for one in remarks(GOLDEN / "policies" / "reference.yaml")}
    assert codes - {"not-run-yet"} == {"test-failed", "limit-counts-what-is-done"}


def test_the_language_s_own_campaign_is_a_policy() -> None:
    assert {one.code for one in remarks(GOLDEN / "policies" / "campaign.yaml")} <= {"not-run-yet"}


def test_the_example_of_every_key_has_every_key() -> None:
    schema = Policy.model_json_schema(by_alias=True)
    parts = [schema, *(part for name, part in schema["$defs"].items() if name not in ("TestFile", "Source", "Stage"))]
    keys = {key for part in parts for key in part.get("properties", {})} | {
        "path",
        "via",
        "manifest",
        "discovery",
        "space",
    }
    assert [key for key in sorted(keys) if not re.search(rf"\b{key}:|\bor {key}\b", EVERY_KEY)] == []
    stage = schema["$defs"]["Stage"]["properties"]
    assert [key for key in stage if not re.search(rf"\b{key}:", BLOCKS[3])] == []


def test_the_example_names_every_default() -> None:
    schema = policy_schema()
    lines = [
        line for line in re.sub(r"\n {30,}#", "", EVERY_KEY).splitlines() + BLOCKS[3].splitlines() if "default" in line
    ]
    missing = []
    for part in (schema, *schema["definitions"].values()):
        for key, value in part.get("properties", {}).items():
            if "default" in value:
                said = str(value["default"]).replace("'", "").replace("True", "true").replace("False", "false")
                own = [line for line in lines if re.search(rf"\b{key}:", line)]
                if not any(said in line[line.index("default") :] for line in own):
                    missing.append((key, said))
    assert missing == []


def test_the_example_shows_the_defaults_of_run_retry_and_breaker() -> None:
    shown = load_policy(EVERY_KEY.encode())
    own = {"fields": {}, "deadline": None, "rate": None, "windows": (), "target": None}
    assert shown.run.model_copy(update=own) == Run(workflow="migrate")
    assert shown.retry.model_copy(update={"quarantine": None}) == Retry()
    assert shown.breaker == Breaker()


def test_every_condition_is_in_the_table() -> None:
    assert [attribute for attribute in ATTRIBUTES if f"`{attribute}`" not in PAGE] == []


def test_what_is_not_run_yet_is_named_and_nothing_else() -> None:
    whole = load_policy(EVERY_KEY.encode())
    campaign = load_policy((GOLDEN / "policies" / "campaign.yaml").read_bytes())
    words = {*unready(whole), *unready(campaign)}
    found = re.search(r"\*\*Read and checked, but not yet run\*\*: (.*?)\n\n", PAGE, flags=re.DOTALL)
    named = set(re.findall(r"`([a-z_.]+)`", found[1])) - {"plan", "check"} if found else set()
    assert named == words


def test_every_code_of_lint_is_in_the_table() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "orchestrator" / "linting").glob("*.py"))
    codes = set(re.findall(r'Finding\(\s*"([a-z-]+)"', text))
    expected = (GOLDEN / "lint" / "expected.txt").read_text(encoding="utf-8")
    assert len(codes) >= 12
    assert [code for code in sorted(codes) if f"`{code}`" not in PAGE] == []
    codes -= {"not-run-yet"}  # Its words become fewer with every version.
    assert [code for code in sorted(codes) if f" {code}: " not in expected] == []


def test_every_policy_of_the_folder_is_in_the_table() -> None:
    assert [file.stem for file in POLICIES.glob("*.yaml") if f"`{file.stem}`" not in PAGE] == []
