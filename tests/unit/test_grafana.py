"""The dashboard and the alert rules ask for metrics that are there, by labels that they have."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY, CollectorRegistry

import orchestrator.web.events  # noqa: F401  # Their metrics are declared where they are counted.
from orchestrator.observing.state import StateCollector
from orchestrator.settings import load_settings
from tests.documented_metrics import ALERTS, DASHBOARD, expressions, metrics_in

FORBIDDEN = {"run", "path", "job", "batch", "workflow_id", "run_id"}


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Every sample's name with the labels that it may have."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StateCollector(load_settings(state_dir=tmp_path_factory.mktemp("state"))))
    found: dict[str, set[str]] = {}
    for family in registry.collect():
        labels = {label for sample in family.samples for label in sample.labels}
        found[family.name] = labels
    for name, collector in REGISTRY._names_to_collectors.items():
        if name.startswith("orchestrator_"):
            found[name] = {*getattr(collector, "_labelnames", ()), *({"le"} if name.endswith("_bucket") else ())}
    return found


def own(names: Iterator[str]) -> set[str]:
    return {name for name in names if name.startswith("orchestrator_")}


@pytest.mark.parametrize("file", [DASHBOARD, ALERTS], ids=lambda file: file.name)
def test_every_metric_that_is_asked_for_is_there(file: Path, exposed: dict[str, set[str]]) -> None:
    asked = own(name for one in expressions(file) for name in metrics_in(one))
    assert len(asked) > 8 and asked <= set(exposed), asked - set(exposed)


@pytest.mark.parametrize("file", [DASHBOARD, ALERTS], ids=lambda file: file.name)
def test_every_label_that_is_chosen_by_is_one_of_the_metric(file: Path, exposed: dict[str, set[str]]) -> None:
    for one in expressions(file):
        for name, chosen in re.findall(r"(orchestrator_\w+)\{([^}]*)\}", one):
            assert set(re.findall(r"(\w+)[=!]", chosen)) <= exposed[name], one


def test_the_dashboard_shows_every_metric_of_ours(exposed: dict[str, set[str]]) -> None:
    asked = own(name for one in expressions(DASHBOARD) for name in metrics_in(one))
    families = {re.sub(r"_(bucket|count|sum|total|created)$", "", name) for name in exposed}
    shown = {re.sub(r"_(bucket|count|sum|total)$", "", name) for name in asked}
    left_out = {"orchestrator_build", "orchestrator_state_readable", "orchestrator_notices_oldest_seconds"}
    assert families - shown - left_out <= {"orchestrator_audited", "orchestrator_files_submitted"}


def test_no_label_can_hold_a_path_or_a_run(exposed: dict[str, set[str]]) -> None:
    assert not {label for labels in exposed.values() for label in labels} & FORBIDDEN


def test_panels_do_not_lie_on_each_other() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not mine & cells and at["x"] + at["w"] <= 24, panel["title"]
        cells |= mine


def test_alerts_have_a_name_of_their_own_a_severity_and_words() -> None:
    rules = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    assert len({one["alert"] for one in rules}) == len(rules)
    for one in rules:
        assert one["labels"]["severity"] in ("info", "warning", "critical") and one["annotations"]["summary"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is in the distribution's package prometheus")
def test_promtool_takes_the_alerts() -> None:
    subprocess.run(["promtool", "check", "rules", str(ALERTS)], check=True, timeout=30)
