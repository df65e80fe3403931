"""The README's first policy works as it is copied."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.machine import Machine

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_the_first_policy_of_the_readme_works_by_copy_and_paste(machine: Machine) -> None:
    part = (ROOT / "README.md").read_text("utf-8").partition("## A first policy of your own")[2]
    found = re.search(r"^```\n(.*?)^```", part, flags=re.DOTALL | re.MULTILINE)
    assert found is not None
    environment = {name: value for name, value in machine.environment.items() if not name.startswith("ORCHESTRATOR_")}
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", found[1]],
        cwd=ROOT,
        env={**environment, "TMPDIR": str(machine.folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    said = ended.stdout
    assert re.search(r"^ok +/.*/policies/my-first.yaml", said, flags=re.MULTILINE)
    assert "Would send  1 file, 2.9 MiB" in said
    assert "from 20" in said and "if the file stays as it is: is selected by rule cold-media" in said
    assert re.search(r"^succeeded +my-first-", said, flags=re.MULTILINE)
    assert re.search(r"^done +2.9 MiB +/mmfs1/projects/old.mov", said, flags=re.MULTILINE)
    assert re.search(r"^ *0 .* 3000000 .* old.mov$", said, flags=re.MULTILINE)
    (made,) = (folder for folder in machine.folder.glob("tmp.*") if (folder / "state").is_dir())
    assert (made / "state/files/london/projects/new.mov").stat().st_blocks > 0
