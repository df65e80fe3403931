"""The command line of a local Hub: `python -m orchestrator.localhub`."""

import argparse
import logging
import sys
from datetime import timedelta
from pathlib import Path

from orchestrator.localhub.config import LocalHubConfig, parse_size
from orchestrator.localhub.faults import BadFaults
from orchestrator.localhub.server import StateInUse, serve


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and serve; 0 is a clean end, 2 bad input."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        serve(_config(options))
    except (BadFaults, StateInUse, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "orchestrator localhub", description="An embedded Hub that tiers a real directory."
    )
    add = parser.add_argument
    add("--state", type=Path, required=True, help="folder for the Hub's own state")
    add("--root", type=Path, help="folder that holds the pools; the folder `storage` beside the state when not given")
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0 takes any free port")
    add("--ready-file", type=Path, help="written when the Hub answers, removed when it ends")
    add("--site", default="london")
    add("--mountpoint", default="/mmfs1")
    add("--space", action="append", dest="spaces", help="a space that is made when it is not there; may be repeated")
    add("--capacity", type=parse_size, default=parse_size("10GiB"), help="capacity of the primary pool")
    add("--target-capacity", type=parse_size, default=parse_size("100GiB"), help="capacity of the nearline pool")
    add("--low-space-mark", type=float, default=90.0, help="percent of a pool that raises the alert lowDiskSpace")
    add("--threads", type=int, default=4, help="threads of the queue `default`")
    add("--dialect", choices=("standard", "alternative"), default="standard")
    add("--faults", type=Path, help="file with rules of the fault model")
    add("--file-delay", type=float, default=0.0, help="seconds to wait for each file")
    add("--bytes-per-second", type=parse_size, help="how fast a thread moves bytes")
    add("--admin-key-file", type=Path, help="file with the administrator's client key; made when it is not there")
    add("--admin-password-file", type=Path, help="file with the administrator's password; made when it is not there")
    add("--access-lifetime", type=float, default=3600.0, help="seconds that an access token holds")
    add("--refresh-lifetime", type=float, default=86400.0, help="seconds that a refresh token holds")
    return parser


def _config(options: argparse.Namespace) -> LocalHubConfig:
    given = vars(options).copy()
    given["root"] = given["root"] or given["state"].parent / "storage"
    given["mountpoint"] = "/" + given["mountpoint"].strip("/")
    given["spaces"] = tuple(given["spaces"] or ("projects",))
    for name in ("access_lifetime", "refresh_lifetime"):
        given[name] = timedelta(seconds=given[name])
    return LocalHubConfig(**given)


if __name__ == "__main__":
    sys.exit(main())
