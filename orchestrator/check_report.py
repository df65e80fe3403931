"""What a check found: remarks on files, their counts, and the exit code that they come to."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from orchestrator.catalog import LoadedPolicy
from orchestrator.documents import Problem
from orchestrator.linting.finding import Severity


@dataclass(frozen=True)
class Remark:
    """A problem with its severity and its kind in one fixed word, for programs."""

    severity: Severity
    code: str
    problem: Problem


@dataclass(frozen=True)
class OwnTest:
    """A policy's own test: which one, what it expects, and what was wrong where it did not hold."""

    index: int
    expects: str
    remark: Remark | None


@dataclass(frozen=True)
class CheckedFile:
    """What was found in one file; `policy` is missing when it could not be read as one, `loaded` is what was read."""

    file: str
    policy: str | None
    remarks: tuple[Remark, ...] = ()
    tests: tuple[OwnTest, ...] = ()
    loaded: LoadedPolicy | None = field(default=None, compare=False, repr=False)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong; tests that do not hold come last."""
        failed = (test.remark.problem for test in self.tests if test.remark is not None)
        return (*self._of(Severity.ERROR), *failed)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What can be run and is probably a mistake."""
        return tuple(self._of(Severity.WARNING))

    @property
    def all_remarks(self) -> tuple[Remark, ...]:
        """Everything that was found, in the order of the file."""
        failed = (test.remark for test in self.tests if test.remark is not None)
        return tuple(sorted((*self.remarks, *failed), key=lambda remark: remark.problem))

    @property
    def tests_failed(self) -> int:
        """How many of the policy's own tests did not hold."""
        return sum(test.remark is not None for test in self.tests)

    def _of(self, severity: Severity) -> Iterator[Problem]:
        return (remark.problem for remark in self.remarks if remark.severity is severity)


@dataclass(frozen=True)
class CheckReport:
    """What was found in every file that was checked; in a strict check a warning counts as a problem."""

    files: tuple[CheckedFile, ...]
    strict: bool = False

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every problem, file by file."""
        return tuple(problem for file in self.files for problem in file.problems)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """Every warning, file by file."""
        return tuple(warning for file in self.files for warning in file.warnings)

    @property
    def tests_run(self) -> int:
        """How many of the policies' own tests ran."""
        return sum(len(file.tests) for file in self.files)

    @property
    def tests_failed(self) -> int:
        """How many of them did not hold."""
        return sum(file.tests_failed for file in self.files)

    @property
    def ok(self) -> bool:
        """Nothing is wrong that counts."""
        return not self.problems and not (self.strict and self.warnings)

    @property
    def exit_code(self) -> int:
        """0, or 2 for bad input."""
        return 0 if self.ok else 2

    def to_json(self) -> dict[str, Any]:
        """Give the report as plain data."""
        return {
            "ok": self.ok,
            "strict": self.strict,
            "tests": {"run": self.tests_run, "failed": self.tests_failed},
            "files": [
                {
                    "file": file.file,
                    "policy": file.policy,
                    "tests": {"run": len(file.tests), "failed": file.tests_failed},
                    "problems": [_plain(one) for one in file.all_remarks if one.severity is Severity.ERROR],
                    "warnings": [_plain(one) for one in file.all_remarks if one.severity is Severity.WARNING],
                }
                for file in self.files
            ],
        }


def _plain(remark: Remark) -> dict[str, Any]:
    problem = remark.problem
    return {"code": remark.code, "line": problem.line, "column": problem.column, "message": problem.message}
