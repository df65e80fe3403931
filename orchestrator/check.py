"""The check of policies: reads them strictly, lints them and runs the tests that they carry, offline."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from orchestrator.catalog import LoadedPolicy, PolicyError, Problem, dotted, policy_files, read_policy, same_name
from orchestrator.check_report import CheckedFile, CheckReport, OwnTest, Remark
from orchestrator.linting.finding import Finding, Severity
from orchestrator.linting.lint import lint_catalog, lint_policy
from workflows.matching import Decision, Explanation, Reason, Verdict, explain, imagined
from workflows.policy import Expectation, PolicyTest

__all__ = ["CheckReport", "CheckedFile", "Remark", "check", "check_loaded"]

# The tests' ages count back from here, so that a test says the same on every day: 2026-01-01T00:00:00Z.
AS_OF_US: Final = 1_767_225_600_000_000


def check(paths: Iterable[Path], *, strict: bool = False, today: date | None = None) -> CheckReport:
    """Check policy files, and every policy file of folders; names must differ among all of them."""
    paths = list(paths)
    checks = [checked for path in paths for checked in _read(path)]
    names: dict[str, str] = {}
    policies = {one.loaded.policy.name: one.loaded.policy for one in checks if one.loaded is not None}
    complete = all(path.is_dir() for path in paths) and all(one.loaded is not None for one in checks)
    between = lint_catalog(policies, complete=complete)
    day = today or datetime.now(UTC).date()
    return CheckReport(tuple(_checked(one, names, between, day) for one in checks), strict)


def check_loaded(loaded: LoadedPolicy, today: date | None = None) -> CheckedFile:
    """Check one policy that was read already, by itself."""
    day = today or datetime.now(UTC).date()
    return _checked(_File(loaded.policy.name, loaded), {}, {loaded.policy.name: ()}, day)


class _File:
    """A file as it was read: a policy, or the problems that it has instead."""

    def __init__(self, name: str, loaded: LoadedPolicy | None, problems: tuple[Problem, ...] = ()) -> None:
        self.name = name
        self.loaded = loaded
        self.problems = problems


def _read(path: Path) -> Iterator[_File]:
    if not path.is_dir():
        yield _read_file(path)
        return
    try:
        files = policy_files(path)
    except PolicyError as error:
        yield _File(str(path), None, error.problems)
        return
    if not files:
        nothing = Problem(str(path), 0, 0, "there is no policy in this folder: its files end in .yaml")
        yield _File(str(path), None, (nothing,))
    for file in files:
        yield _read_file(file)


def _read_file(file: Path) -> _File:
    try:
        return _File(str(file), read_policy(file))
    except PolicyError as error:
        return _File(str(file), None, error.problems)


def _checked(file: _File, names: dict[str, str], between: dict[str, tuple[Finding, ...]], today: date) -> CheckedFile:
    if file.loaded is None:
        return CheckedFile(file.name, None, tuple(Remark(Severity.ERROR, "invalid", one) for one in file.problems))
    policy, document = file.loaded.policy, file.loaded.document
    clashes = [Remark(Severity.ERROR, "same-name", one) for one in same_name(file.loaded, names)]
    findings = lint_policy(policy, document.data, today) + (() if clashes else between[policy.name])
    remarks = sorted((_remark(file.loaded, finding) for finding in findings), key=lambda remark: remark.problem)
    return CheckedFile(file.name, policy.name, (*clashes, *remarks), tuple(_own_tests(file.loaded)), file.loaded)


def _remark(loaded: LoadedPolicy, finding: Finding) -> Remark:
    message = dotted(finding.where[:-1] if finding.at_key else finding.where) + finding.text
    problem = loaded.document.problem(finding.where, message, at_key=finding.at_key)
    return Remark(finding.severity, finding.code, problem)


def _own_tests(loaded: LoadedPolicy) -> Iterator[OwnTest]:
    for index, test in enumerate(loaded.policy.tests):
        explanation = explain(loaded.policy.select, imagined(test.file, AS_OF_US), AS_OF_US)
        failed = None
        if not _holds(test.expect, explanation.decision):
            text = f"tests[{index}]: {_difference(test, explanation)}"
            failed = Remark(Severity.ERROR, "test-failed", loaded.document.problem(("tests", index), text))
        yield OwnTest(index, _expected(test), failed)


def _holds(expect: Expectation, decision: Decision) -> bool:
    if expect.rule is not None:
        return decision.rule == expect.rule
    return decision.verdict == expect.verdict


def _difference(test: PolicyTest, explanation: Explanation) -> str:
    decision = explanation.decision
    why = "; ".join(_why(explanation))
    return f"expected {_expected(test)}, found {_said(decision)}" + (f" ({why})" if why else "")


def _expected(test: PolicyTest) -> str:
    return f"rule {test.expect.rule}" if test.expect.rule is not None else str(test.expect.verdict)


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
