"""What clients know of the workflows is what the workflows are."""

import inspect
import subprocess
import sys
from typing import get_type_hints

import pytest
from temporalio import workflow

from orchestrator.worker import WORKFLOWS
from workflows import interfaces

INTERFACES = [
    one for one in vars(interfaces).values() if isinstance(one, type) and one.__module__ == interfaces.__name__
]


def words(of: type) -> dict[str, tuple[str, dict[str, object]]]:
    """Give each word of a workflow class by the name that Temporal knows: what it is, and its types."""
    definition = workflow._Definition.must_from_class(of)
    kinds = {"signal": definition.signals, "query": definition.queries, "update": definition.updates}
    found = {
        str(name): (kind, get_type_hints(getattr(one, "fn")))  # noqa: B009
        for kind, known in kinds.items()
        for name, one in known.items()
    }
    found[str(definition.name)] = ("run", get_type_hints(definition.run_fn))
    return found


@pytest.mark.parametrize("interface", INTERFACES, ids=lambda one: one.__name__)
def test_an_interface_has_the_words_of_its_workflow(interface: type) -> None:
    [itself] = [one for one in WORKFLOWS if one.__name__ == interface.__name__]
    known, real = words(interface), words(itself)
    assert len(known) > 1
    assert {name: real.get(name) for name in known} == known
    for name, member in inspect.getmembers(interface, inspect.isfunction):
        assert list(inspect.signature(member).parameters) == list(inspect.signature(getattr(itself, name)).parameters)


def test_a_client_does_not_load_what_only_a_worker_needs() -> None:
    code = (
        "import sys, orchestrator.runs, orchestrator.standings\n"
        "print([one for one in ('aiohttp', 'duckdb', 'numpy', 'pyarrow') if one in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"
