"""Hostile and mistaken documents: each gives clear lines with a place, and nothing else.

`python tests/unit/test_check_documents.py` prints what `tests/golden/documents/expected.txt` holds.
"""

import time
from pathlib import Path

import pytest

from orchestrator.check import check
from orchestrator.documents import DEEPEST, LARGEST_FILE, MOST_NODES, MOST_PROBLEMS

DOCUMENTS = Path(__file__).resolve().parent.parent / "golden" / "documents"
FILES = sorted(DOCUMENTS.glob("*.yaml"))

GOOD = "version: 1\nname: a\nsite: s\nselect:\n  from: {space: p}\nrun: {workflow: migrate}\n"


def lines_of(file: Path) -> list[str]:
    return [str(problem).removeprefix(f"{file.parent}/") for problem in check([file]).problems]


def expected() -> dict[str, list[str]]:
    by_file: dict[str, list[str]] = {}
    for line in (DOCUMENTS / "expected.txt").read_text(encoding="utf-8").splitlines():
        by_file.setdefault(line.split(":", 1)[0], []).append(line)
    return by_file


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_mistaken_document_gives_exactly_its_golden_lines(file: Path) -> None:
    assert lines_of(file) == expected()[file.name]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_mistaken_document_ends_with_exit_code_2(file: Path) -> None:
    report = check([file])
    assert report.exit_code == 2
    assert all(problem.line >= 1 and problem.column >= 1 for problem in report.problems)
    assert all(str(problem).isprintable() for problem in report.problems)


def test_every_golden_line_has_its_document_and_there_are_at_least_fifty() -> None:
    assert set(expected()) == {file.name for file in FILES}
    assert len(FILES) >= 50


HUGE = {
    "more bytes than a policy has": (b"# " + b"x" * LARGEST_FILE, "is larger than"),
    "more words than a policy has": (b"a:\n" + b"- 1\n" * (MOST_NODES + 1), "more than 50000 words"),
    "lists in lists": (b"a: " + b"[" * 200_000, "nested more than 32 levels"),
    "mappings in mappings": (b"a: " * 1 + b"{a: " * 100_000, "nested more than 32 levels"),
    "deep blocks": (b"".join(b" " * depth + b"a:\n" for depth in range(DEEPEST + 5)), "nested more than 32 levels"),
    "conditions in conditions": (
        GOOD.replace("run", f"  rules: [{{name: r, match: {'{not: ' * 40}x{'}' * 40}}}]\nrun").encode(),
        "nested more than 32 levels",
    ),
    "a name without end": (GOOD.replace("name: a", "name: " + "a" * 900_000).encode(), "at most 63 are allowed"),
    "a key without end": (b"a" * 900_000 + b": 1\n", ""),
    "a number without end": (GOOD.replace("version: 1", "version: " + "1" * 900_000).encode(), "is too large"),
    "unknown keys without end": (
        "".join(f"key{number}: 1\n" for number in range(20_000)).encode(),
        "unknown key",
    ),
    "unknown conditions without end": (
        GOOD.replace("run", "  exclude:\n" + "".join(f"  - {{sise{n}: 1}}\n" for n in range(900)) + "run").encode(),
        "unknown condition",
    ),
    "unknown classes without end": (
        GOOD.replace(
            "run", "  exclude: [" + "{any: [" + ", ".join(f"c{n}" for n in range(20_000)) + "]}]\nrun"
        ).encode(),
        "unknown class",
    ),
    "a chain of classes, backwards": (
        GOOD.replace(
            "run",
            "  classes:\n    c0: {size: '= 0'}\n" + "".join(f"    c{n + 1}: c{n}\n" for n in range(900)) + "run",
        ).encode(),
        "more than 64 levels",
    ),
    "types without end": (
        GOOD.replace("run", "  exclude: [{type: [" + ", ".join(["mov"] * 20_000) + "]}]\nrun").encode(),
        "at most 10000",
    ),
    "a chain of classes": (
        GOOD.replace(
            "run",
            "  classes:\n" + "".join(f"    c{n}: c{n + 1}\n" for n in range(900)) + "    c900: {size: '= 0'}\nrun",
        ).encode(),
        "more than 64 levels",
    ),
}


@pytest.mark.parametrize("name", HUGE)
def test_a_huge_document_is_refused_quickly_in_few_lines(name: str, tmp_path: Path) -> None:
    content, said = HUGE[name]
    file = tmp_path / "huge.yaml"
    file.write_bytes(content)
    begin = time.perf_counter()
    report = check([file])
    assert time.perf_counter() - begin < 5
    assert report.exit_code == 2
    assert any(said in str(problem) for problem in report.problems)
    assert len(report.problems) <= MOST_PROBLEMS + 1
    assert all(len(str(problem)) < 600 for problem in report.problems)


def test_a_byte_order_mark_of_utf8_is_harmless(tmp_path: Path) -> None:
    file = tmp_path / "marked.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert check([file]).ok


def test_lines_may_end_as_on_windows(tmp_path: Path) -> None:
    file = tmp_path / "windows.yaml"
    file.write_bytes(GOOD.replace("\n", "\r\n").encode() + b"colour: blue\r\n")
    (problem,) = check([file]).problems
    assert (problem.line, problem.column) == (7, 1)


def test_columns_count_characters_not_bytes(tmp_path: Path) -> None:
    file = tmp_path / "columns.yaml"
    file.write_text(GOOD + 'labels: {"ключ": значение, b: 3}\n', encoding="utf-8")
    (problem,) = check([file]).problems
    assert (problem.line, problem.column) == (7, 31)


if __name__ == "__main__":
    print("\n".join(line for file in FILES for line in lines_of(file)))
