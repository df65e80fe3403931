"""What it costs a batch to claim its files and to give them back, beside the claims of other runs.

    python -m benchmarks.claims [--files 1000] [--others 100] [--rounds 20] [--url postgresql://...]

Printed: the median milliseconds that a batch spends on claiming, on asking just before the submit whether it still has
the claim, and on giving the files back; by default in SQLite, which syncs each change to the disk.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from activities.claims import Claims, Place


def measure(url: str, files: int, others: int, rounds: int) -> dict[str, float]:
    """Give the median milliseconds of each step."""
    claims = Claims(url)
    for other in range(others):
        claims.take(Place(f"other-{other}", 1, 0), "london", _paths(f"other{other}", files))
    took: dict[str, list[float]] = {"claim": [], "still held": [], "give back": []}

    def timed(step: str, act: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        answer = act()
        took[step].append((time.perf_counter() - began) * 1000)
        return answer

    for number in range(rounds):
        place, wanted = Place("ours", 1, number), _paths(f"ours{number}", files)
        claim, refused = timed("claim", partial(claims.take, place, "london", wanted))
        assert not refused
        assert timed("still held", partial(claims.still_has, claim))
        timed("give back", partial(claims.release, place))
    assert claims.count() == others * files
    claims.close()
    return {step: statistics.median(times) for step, times in took.items()}


def _paths(folder: str, files: int) -> list[str]:
    return [f"/mmfs1/projects/{folder}/scene{number // 100:04d}/shot-{number:06d}.mov" for number in range(files)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000, help="files of a batch")
    parser.add_argument("--others", type=int, default=100, help="batches of other runs that hold files meanwhile")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--url", help="address of a database; default: SQLite in a new folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = given.url or f"sqlite:///{folder}/claims.sqlite"
        for step, median in measure(url, given.files, given.others, given.rounds).items():
            print(
                f"{step:<11} {median:7.2f} ms for {given.files:,} files, {median / given.files * 1000:6.1f} us a file"
            )


if __name__ == "__main__":
    main()
