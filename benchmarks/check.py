"""How long `orchestrator check` takes for a hundred different policies, start-up of the process included.

`python benchmarks/check.py [--policies 100] [--times 5]`
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ORCHESTRATOR = Path(sys.executable).with_name("orchestrator")

POLICY = """\
version: 1
name: policy-{n}
description: Move media nobody opened for {days} days to the object store.
owner: storage-team
labels: {{tier: cold}}
site: london
triggers:
  - schedule: {{cron: "{minute} {hour} * * 1-5", timezone: {zone}, catch_up: 6h}}
  - threshold: {{pool: sas{n}, upper: 85%, lower: 70%, premigrate: 55%, critical: 95%}}
select:
  from: {{space: projects}}
  paths: [/mmfs1/projects/show{n}]
  classes:
    media: {{type: [mov, mxf, dpx, exr, r3d{n}]}}
    cold: {{all: [{{accessed: "> {days}d"}}, {{modified: "> 30d"}}]}}
    kept: {{any: [{{path: "**/.snapshots/**"}}, {{path: "/mmfs1/projects/show{n}/legal/**"}}]}}
  exclude: [kept, {{changed: "< 10m"}}, {{name: ["*.tmp", "~*"]}}]
  rules:
    - {{name: tiny, match: {{size: "< 128KiB"}}, keep: true}}
    - {{name: media, match: {{all: [media, cold]}}}}
    - {{name: large, match: {{all: [cold, {{size: "> {n}GiB"}}]}}}}
    - {{name: shadowed, match: {{all: [media, cold, {{owner: show{n}}}]}}}}
  order_by: [-size, accessed]
  limit: {{files: 500_000, bytes: 50TiB}}
guards: {{max_files: 2_000_000, max_bytes: 400TiB, inventory_max_age: 24h}}
run:
  workflow: migrate
  fields: {{lock_level: partial}}
  batch: {{files: 1000, bytes: 1TiB}}
  windows: [{{days: mon-fri, from: "19:00", to: "07:00", timezone: {zone}}}]
tests:
  - file: {{path: /mmfs1/projects/show{n}/x.mov, size: 4GiB, accessed: 500d ago, modified: 500d ago, changed: 1d ago}}
    expect: {{rule: media}}
  - {{file: {{path: /mmfs1/projects/show{n}/legal/x.mov, size: 4GiB}}, expect: excluded}}
  - {{file: {{path: /mmfs1/projects/show{n}/y.mov, size: 4GiB}}, expect: unknown}}
"""
ZONES = ("Europe/London", "America/New_York", "Asia/Tokyo", "Australia/Sydney", "UTC")


def write(folder: Path, policies: int) -> None:
    for n in range(policies):
        text = POLICY.format(n=n, days=90 + n, minute=n % 60, hour=n % 24, zone=ZONES[n % len(ZONES)])
        (folder / f"policy-{n}.yaml").write_text(text)


def seconds(arguments: list[str], times: int) -> list[float]:
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        subprocess.run([str(ORCHESTRATOR), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
        found.append(time.perf_counter() - begun)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policies", type=int, default=100)
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), given.policies)
        seconds(["check", folder], 1)
        whole, bare = seconds(["check", folder], given.times), seconds(["check", "--help"], given.times)
    print(
        f"check of {given.policies} policies, median of {given.times}: {statistics.median(whole):.2f} s "
        f"({min(whole):.2f} to {max(whole):.2f}); the command's start alone: {statistics.median(bare):.2f} s"
    )


if __name__ == "__main__":
    main()
