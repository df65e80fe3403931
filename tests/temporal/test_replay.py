"""Histories that were recorded from real runs must replay: a changed order of commands shows here first.

`record_histories.py` records them anew with the code as it is, so does `test_watch_pool.py` with RECORD_HISTORIES=1;
do that only together with a `patched()` that keeps old runs going, or before anything of that shape was released.
"""

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from orchestrator.worker import RUNNER, WORKFLOWS

HISTORIES = Path(__file__).parent / "histories"
STORIES = (
    "succeeded", "retried", "refused", "paused", "paused-by-two", "cancelled",
    "approved", "rejected", "expired", "unusual", "staged", "quarantined",
)  # fmt: skip
WITHOUT_WORK = ("refused", "rejected", "expired")


@pytest.mark.parametrize("path", sorted(HISTORIES.glob("*.json")), ids=lambda path: path.stem)
async def test_a_recorded_history_replays(path: Path) -> None:
    history = WorkflowHistory.from_json(path.stem, path.read_text())  # noqa: ASYNC240
    replayer = Replayer(workflows=WORKFLOWS, workflow_runner=RUNNER, data_converter=pydantic_data_converter)
    await replayer.replay_workflow(history)


def test_every_story_of_every_workflow_is_recorded() -> None:
    recorded = {path.stem for path in HISTORIES.glob("*.json")}
    assert recorded >= {f"run-policy-{story}" for story in STORIES}
    assert recorded >= {
        "run-policy-paced",
        "run-policy-adapting",
        "run-batches-adapting",
        "run-batches-paced-0",
        "run-batches-handed-over-0",
        "run-batches-handed-over-1",
    }
    assert recorded >= {"run-desk", "fire", "keep-schedules", "route-events"}
    assert recorded >= {f"watch-pool-{story}" for story in ("drained", "blocked", "cancelled", "copying")}
    assert recorded >= {f"run-batches-{story}" for story in STORIES if story not in WITHOUT_WORK}


async def test_a_changed_order_of_commands_does_not_replay() -> None:
    text = (HISTORIES / "run-policy-succeeded.json").read_text()
    swapped = (
        text.replace('"take_inventory"', '"@"').replace('"check_hub"', '"take_inventory"').replace('"@"', '"check_hub"')
    )
    replayer = Replayer(workflows=WORKFLOWS, workflow_runner=RUNNER, data_converter=pydantic_data_converter)
    with pytest.raises(Exception, match=r"Nondeterminism|nondeterminism|mismatch"):
        await replayer.replay_workflow(WorkflowHistory.from_json("swapped", swapped))
