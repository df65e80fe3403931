"""What `apply` checks is what it applies: each file is read once."""

import sys
from pathlib import Path

from orchestrator.cli.arguments import refuse_wrong

TEXT = "version: 1\nname: nightly\nsite: london\nselect: {from: {space: p}}\nrun: {workflow: migrate}\n"


def test_a_file_is_read_once_so_that_nothing_can_come_between(tmp_path: Path) -> None:
    file = tmp_path / "nightly.yaml"
    file.write_text(TEXT)
    opened: list[str] = []
    sys.addaudithook(lambda event, about: opened.append(str(about[0])) if event == "open" else None)
    assert refuse_wrong([file])["nightly"].source == TEXT.encode()
    assert opened.count(str(file)) == 1
