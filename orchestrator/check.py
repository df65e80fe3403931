"""The check of policies: reads them strictly and runs the tests that they carry, offline."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orchestrator.catalog import LoadedPolicy, PolicyError, Problem, policy_files, read_policy, same_name
from workflows.matching import Decision, Explanation, Reason, Verdict, explain, imagined
from workflows.policy import Expectation, PolicyTest

# The tests' ages count back from here, so that a test says the same on every day: 2026-01-01T00:00:00Z.
AS_OF_US: Final = 1_767_225_600_000_000


@dataclass(frozen=True)
class CheckedFile:
    """What was found in one file; `policy` is missing when it could not be read as one."""

    file: str
    policy: str | None
    problems: tuple[Problem, ...]
    tests_run: int
    tests_failed: int


@dataclass(frozen=True)
class CheckReport:
    """What was found in every file that was checked."""

    files: tuple[CheckedFile, ...]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every problem, file by file."""
        return tuple(problem for file in self.files for problem in file.problems)

    @property
    def tests_run(self) -> int:
        """How many of the policies' own tests ran."""
        return sum(file.tests_run for file in self.files)

    @property
    def tests_failed(self) -> int:
        """How many of them did not hold."""
        return sum(file.tests_failed for file in self.files)

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.problems

    @property
    def exit_code(self) -> int:
        """0, or 2 for bad input."""
        return 0 if self.ok else 2

    def to_json(self) -> dict[str, Any]:
        """Give the report as plain data."""
        return {
            "ok": self.ok,
            "tests": {"run": self.tests_run, "failed": self.tests_failed},
            "files": [
                {
                    "file": file.file,
                    "policy": file.policy,
                    "tests": {"run": file.tests_run, "failed": file.tests_failed},
                    "problems": [
                        {"line": problem.line, "column": problem.column, "message": problem.message}
                        for problem in file.problems
                    ],
                }
                for file in self.files
            ],
        }


def check(paths: Iterable[Path]) -> CheckReport:
    """Check policy files, and every policy file of folders; names must differ among all of them."""
    names: dict[str, str] = {}
    return CheckReport(tuple(checked for path in paths for checked in _checked(path, names)))


def _checked(path: Path, names: dict[str, str]) -> Iterator[CheckedFile]:
    if not path.is_dir():
        yield _checked_file(path, names)
        return
    try:
        files = policy_files(path)
    except PolicyError as error:
        yield CheckedFile(str(path), None, error.problems, 0, 0)
        return
    if not files:
        nothing = Problem(str(path), 0, 0, "there is no policy in this folder: its files end in .yaml")
        yield CheckedFile(str(path), None, (nothing,), 0, 0)
    for file in files:
        yield _checked_file(file, names)


def _checked_file(file: Path, names: dict[str, str]) -> CheckedFile:
    try:
        loaded = read_policy(file)
    except PolicyError as error:
        return CheckedFile(str(file), None, error.problems, 0, 0)
    failed = tuple(_failed_tests(loaded))
    problems = (*same_name(loaded, names), *failed)
    return CheckedFile(str(file), loaded.policy.name, problems, len(loaded.policy.tests), len(failed))


def _failed_tests(loaded: LoadedPolicy) -> Iterator[Problem]:
    for index, test in enumerate(loaded.policy.tests):
        explanation = explain(loaded.policy.select, imagined(test.file, AS_OF_US), AS_OF_US)
        if not _holds(test.expect, explanation.decision):
            yield loaded.document.problem(("tests", index), f"tests[{index}]: {_difference(test, explanation)}")


def _holds(expect: Expectation, decision: Decision) -> bool:
    if expect.rule is not None:
        return decision.rule == expect.rule
    return decision.verdict == expect.verdict


def _difference(test: PolicyTest, explanation: Explanation) -> str:
    expected = f"rule {test.expect.rule}" if test.expect.rule is not None else test.expect.verdict
    decision = explanation.decision
    why = "; ".join(_why(explanation))
    return f"expected {expected}, found {_said(decision)}" + (f" ({why})" if why else "")


def _said(decision: Decision) -> str:
    return f"{decision.verdict} by rule {decision.rule}" if decision.rule is not None else str(decision.verdict)


def _why(explanation: Explanation) -> Iterator[str]:
    verdict = explanation.decision.verdict
    for reason in explanation.exclude:
        if reason.truth is True and verdict is Verdict.EXCLUDED:
            yield f"exclude {_leaf(reason)} holds"
        if reason.truth is None and verdict is Verdict.UNKNOWN:
            yield f"exclude needs {_leaf(reason)}"
    if verdict in (Verdict.STAYS, Verdict.UNKNOWN):
        for rule in explanation.rules:
            if rule.truth is None:
                yield f"rule {rule.rule} needs {_leaf(rule.reason)}"
            elif rule.truth is False:
                yield f"rule {rule.rule} does not hold: {_leaf(rule.reason)}"


def _leaf(reason: Reason) -> str:
    """Follow the first part that has the whole's truth, down to a condition on one attribute."""
    while reason.of and (parts := [part for part in reason.of if part.truth is reason.truth]):
        reason = parts[0]
    value = f", which is {reason.value}" if reason.value and reason.truth is False else ""
    return f"{reason.condition}{value}"
