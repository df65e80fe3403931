"""The report of a check as other programs read it: GitHub's annotations, JUnit's XML."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from orchestrator.check_report import CheckedFile, CheckReport, Remark
from orchestrator.cli import show
from orchestrator.linting.finding import Severity
from workflows.units import escaped


def github(report: CheckReport) -> str:
    """Write each remark as a workflow command, which GitHub shows beside the line; the count comes last."""
    lines = [_command(remark) for file in report.files for remark in file.all_remarks]
    figures = {
        "file": len(report.files), "test": report.tests_run,
        "problem": len(report.problems), "warning": len(report.warnings),
    }  # fmt: skip
    return "\n".join([*lines, ", ".join(show.counted(count, word) for word, count in figures.items())])


def junit(report: CheckReport) -> str:
    """Write a suite for each file: that it is valid, what lint says, and the policy's own tests."""
    root = ElementTree.Element("testsuites", name="orchestrator check")
    for file in report.files:
        _suite(root, file, report.strict)
    for key in ("tests", "failures"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="us-ascii", xml_declaration=True)
    return text.decode("ascii")


def _command(remark: Remark) -> str:
    problem = remark.problem
    place = {"line": problem.line, "col": problem.column} if problem.line else {}
    where = {"file": _below_here(problem.file), **place, "title": remark.code}
    properties = ",".join(f"{key}={_property(str(value))}" for key, value in where.items())
    return f"::{remark.severity} {properties}::{_line(escaped(problem.message, 4096))}"


def _below_here(file: str) -> str:
    """GitHub finds a file by its path from the root of the checkout, which is where its steps run."""
    path = Path(file)
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else file


def _line(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _line(text).replace(":", "%3A").replace(",", "%2C")


def _suite(root: ElementTree.Element, file: CheckedFile, strict: bool) -> None:
    cases = list(_cases(file, strict))
    failures = sum(bool(failed) for _, failed, _ in cases)
    name = escaped(file.file, 4096)
    suite = ElementTree.SubElement(root, "testsuite", name=name, tests=str(len(cases)), failures=str(failures))
    for title, failed, said in cases:
        case = ElementTree.SubElement(suite, "testcase", classname=file.policy or name, name=title)
        if failed:
            text = "\n".join(str(remark.problem) for remark in failed)
            first = escaped(failed[0].problem.message, 4096)
            ElementTree.SubElement(case, "failure", type=failed[0].code, message=first).text = text
        if said:
            lines = (remark.problem.said("warning: ") for remark in said)
            ElementTree.SubElement(case, "system-out").text = "\n".join(lines)


def _cases(file: CheckedFile, strict: bool) -> Iterator[tuple[str, list[Remark], list[Remark]]]:
    """Give each case's title, what failed in it, and what is only said."""
    wrong = [remark for remark in file.remarks if remark.severity is Severity.ERROR]
    warned = [remark for remark in file.remarks if remark.severity is Severity.WARNING]
    yield "is valid", wrong, []
    if file.policy is not None:
        yield "has no warnings", warned if strict else [], [] if strict else warned
    for test in file.tests:
        yield f"tests[{test.index}] expects {test.expects}", [test.remark] if test.remark else [], []
