"""A local Hub with a client at hand: files to tier, jobs to send, and what became of them."""

import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx

from orchestrator.localhub.child import LocalHubProcess

FINAL = {"SUCCESS", "FAILURE", "ERROR", "SKIPPED", "CANCELLED", "REVOKED", "PARTIAL"}


class Rig(LocalHubProcess):
    """A local Hub process, and the calls that tests make to it."""

    def client(self, **headers: str) -> httpx.Client:
        """Give a client with the administrator's key, unless other headers are given."""
        return httpx.Client(headers=headers or {"Authorization": f"Api-Key {self.key}"}, timeout=30)

    def call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Send one request; a path below `/_local` is not of the API."""
        base = self.url.removesuffix("/api") if path.startswith("/_local") else self.url
        with self.client() as client:
            return client.request(method, base + path, **arguments)

    def get(self, url: str, /, **params: Any) -> Any:
        """Read something that is there."""
        answer = self.call("GET", url, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def submit(self, workflow: str, paths: Iterable[str], **more: Any) -> int:
        """Send a workflow over some paths; give the job."""
        body = {"site": "london", "workflow": workflow, "paths": [{"path": path} for path in paths]} | more
        answer = self.call("POST", "/file/workflow/", json=body)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["job"])

    def wait(self, job: int, seconds: float = 30.0) -> dict[str, Any]:
        """Wait until a job is final; give it."""
        until = time.monotonic() + seconds
        while True:
            found: dict[str, Any] = self.get(f"/jobs/{job}/")
            if found["state"] in FINAL:
                return found
            assert time.monotonic() < until, found
            time.sleep(0.02)

    def run(self, workflow: str, paths: Iterable[str], **more: Any) -> dict[str, Any]:
        """Send a workflow and wait for its end."""
        return self.wait(self.submit(workflow, paths, **more))

    def outcomes(self, job: int) -> dict[str, tuple[str, str]]:
        """Give the state and code of every path of a job."""
        rows = self.get("/jobstats/", job=job, page_size=0)["results"]
        return {row["path"]: (row["state"], row["code"]) for row in rows}

    def faults(self, *rules: dict[str, Any], seed: int = 0) -> None:
        """Put rules in force."""
        answer = self.call("PUT", "/_local/faults", json={"seed": seed, "rules": list(rules)})
        assert answer.status_code == 200, answer.text

    def processed(self, workflow: str) -> dict[str, int]:
        """Give how often each path was processed."""
        found: dict[str, int] = self.get("/_local/processed", workflow=workflow)
        return found

    def fill(self, count: int, *, folder: str = "a", size: int = 5000, age: float = 1000.0) -> list[Path]:
        """Make files of random bytes, all different."""
        made = []
        (self.filesystem / "projects" / folder).mkdir(parents=True, exist_ok=True)
        past = time.time() - age
        for number in range(count):
            path = self.filesystem / "projects" / folder / f"f{number:04d}.mov"
            path.write_bytes(os.urandom(size + number))
            os.utime(path, ns=(int(past * 1e9) + 111, int(past * 1e9) + 222 + number))
            made.append(path)
        return made

    def virtual(self, path: Path) -> str:
        """Give the path that the Hub knows a real file by."""
        return f"/mmfs1/{path.relative_to(self.filesystem)}"

    def status(self, path: str) -> str:
        """Give where a file's data are, as the Hub says."""
        return str(self.get("/file/", path=path)["status"])


def digests(paths: Iterable[Path]) -> dict[Path, str]:
    """Give the checksum of each file."""
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def is_stub(path: Path, size: int) -> bool:
    """Say whether a file shows its size and takes no blocks."""
    seen = path.stat()
    return seen.st_size == size and seen.st_blocks == 0
