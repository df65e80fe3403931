"""Every promise of docs/proofs.md names a test or a benchmark that is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "proofs.md").read_text()
TESTS = sorted(set(re.findall(r"`(tests/[\w/]*test_\w+\.py)[` ]", TEXT)))
BENCHMARKS = sorted(set(re.findall(r"`benchmarks\.(\w+)", TEXT)))


@pytest.mark.parametrize("path", TESTS)
def test_a_named_test_is_there(path: str) -> None:
    assert "def test_" in (ROOT / path).read_text()


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_named_benchmark_can_be_run(name: str) -> None:
    assert "__main__" in (ROOT / "benchmarks" / f"{name}.py").read_text()


def test_the_page_names_many() -> None:
    assert (len(TESTS), len(BENCHMARKS)) > (20, 5)
