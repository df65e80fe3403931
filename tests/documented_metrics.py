"""What the dashboard and the alert rules in docs/grafana ask Prometheus for."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

FOLDER = Path(__file__).parents[1] / "docs" / "grafana"
DASHBOARD = FOLDER / "orchestrator.json"
ALERTS = FOLDER / "alerts.yaml"


def expressions(file: Path) -> Iterator[str]:
    """Give every expression of a file."""
    if file == ALERTS:
        yield from (rule["expr"] for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"])
        return
    for panel in json.loads(file.read_text())["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def metrics_in(expression: str) -> Iterator[str]:
    """Name the metrics of an expression."""
    yield from re.findall(r"\b(?:orchestrator|temporal)_[a-z_]+", expression)
