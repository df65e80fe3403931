"""What we import is declared, what is declared has a tested version, and no file names a registry."""

import ast
import importlib.metadata
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parents[2]
PROJECT = tomllib.loads((HERE / "pyproject.toml").read_text("utf-8"))["project"]
OURS = ("orchestrator", "activities", "workflows")
CONSTRAINTS = [line for line in (HERE / "constraints.txt").read_text("utf-8").splitlines() if not line.startswith("#")]


def imported() -> set[str]:
    found = set()
    for package in OURS:
        for file in (HERE / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_bytes())):
                if isinstance(node, ast.Import):
                    found |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - set(OURS)


def requirements(*extras: str) -> list[Requirement]:
    lists = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    found = [Requirement(text) for each in lists for text in each]
    return [one for one in found if canonicalize_name(one.name) != PROJECT["name"]]


def test_what_we_import_is_declared() -> None:
    declared = {canonicalize_name(one.name) for one in requirements("otel")}  # Imported only where it is wanted.
    owners = importlib.metadata.packages_distributions()
    missing = {name for name in imported() if not declared & {canonicalize_name(one) for one in owners.get(name, [])}}
    assert not missing


def test_every_dependency_has_a_lower_and_an_upper_bound_or_is_exact() -> None:
    for one in requirements("postgres", "otel", "dev"):
        operators = {specifier.operator for specifier in one.specifier}
        assert operators & {">=", "=="}, one
        assert operators & {"<", "=="} or one.name.startswith("types-") or one.name == "packaging", one


def test_the_tested_versions_are_exact_and_within_the_ranges() -> None:
    pinned = {}
    for line in CONSTRAINTS:
        name, _, version = line.partition("==")
        assert version, line
        pinned[canonicalize_name(name)] = version
    for one in requirements("postgres", "otel", "dev"):
        assert one.specifier.contains(pinned[canonicalize_name(one.name)], prereleases=True), one


def test_no_file_of_the_build_names_an_address_of_a_registry() -> None:
    for name in ("pyproject.toml", "constraints.txt", "Makefile", ".ci/run", "Dockerfile", "docker-compose.yml"):
        text = (HERE / name).read_text("utf-8")
        assert "index-url" not in text, name
        assert "find-links" not in text, name
        assert "://" not in text.replace("postgresql://", "").replace("http://127.0.0.1", ""), name


def test_the_licence_is_whole() -> None:
    text = (HERE / "LICENSE").read_text("utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert PROJECT["license"] == "Apache-2.0"
