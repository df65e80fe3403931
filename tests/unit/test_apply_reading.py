"""What `apply` checks is what it applies: each file is read once."""

import os
from pathlib import Path
from threading import Thread

from orchestrator.cli.arguments import refuse_wrong

TEXT = "version: 1\nname: nightly\nsite: london\nselect: {from: {space: p}}\nrun: {workflow: migrate}\n"


def test_a_file_is_read_once_so_that_nothing_can_come_between(tmp_path: Path) -> None:
    pipe = tmp_path / "nightly.yaml"
    os.mkfifo(pipe)  # A second read of it would wait for ever.
    writer = Thread(target=pipe.write_text, args=(TEXT,), daemon=True)
    writer.start()
    assert refuse_wrong([pipe])["nightly"].source == TEXT.encode()
    writer.join(5)
