"""A simulated Hub for benchmarks alone: in memory, one process, as fast as Python serves HTTP.

    python benchmarks/fast_hub.py [--port 0] [--seconds 1] [--files 5000] [--folder-size 1000]

prints one JSON line {"url": ..., "key": ...} when it listens on 127.0.0.1, and ends on SIGTERM or with its parent's
end of standard input. Jobs move nothing: one lasts `--seconds` from its submit and then says SUCCESS. What a benchmark
needs beside the Hub's own API:

    GET  /bench/proof     how many jobs were made, and over how many paths; how many paths were in more than one job
    POST /bench/reset     forget all jobs; the body may set {"seconds": 10}, and {"poison": 100}: every hundredth file
                          fails in every job (0: none)
    POST /bench/trouble   {"away": 60}: every connection is closed for a minute; {"lose": 0.05}: one submit in twenty is
                          taken and its connection closed without an answer
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiohttp import web

KEY = "bench-key"
SITE = "bench"
ROOT = "/bench"
FINAL = frozenset({"SUCCESS", "CANCELLED"})
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Job:
    """One job; its state follows from the clock, so that nothing has to run while it lasts."""

    id: int
    workflow: str
    paths: list[str]
    created: str
    ends: float
    lasts: float
    paused_with: float | None = None
    cancelled: bool = False

    @property
    def state(self) -> str:
        if self.cancelled:
            return "CANCELLED"
        if self.paused_with is not None:
            return "PAUSED"
        return "SUCCESS" if time.monotonic() >= self.ends else "STARTED"

    @property
    def progress(self) -> float:
        left = self.paused_with if self.paused_with is not None else max(0.0, self.ends - time.monotonic())
        return 100.0 if self.lasts <= 0 else round(100 * (1 - left / self.lasts), 1)

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "state": self.state,
            "progress": self.progress,
            "site": SITE,
            "workflow": self.workflow,
            "queue": "default",
            "created": self.created,
            "total_files": len(self.paths),
        }


@dataclass
class FastHub:
    """The Hub's state and its answers."""

    seconds: float
    files: int
    folder_size: int
    jobs: dict[int, Job] = field(default_factory=dict)
    unfinished: dict[int, Job] = field(default_factory=dict)
    submitted: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    last_job: int = 0
    poison: int = 0
    away_until: float = 0.0
    lose: float = 0.0
    lost: int = 0

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 << 20, middlewares=[self._in_trouble])
        app.add_routes(
            [
                web.post("/api/file/workflow/", self.submit),
                web.get("/api/jobs/", self.list_jobs),
                web.get("/api/jobs/{id}/", self.show_job),
                web.get("/api/jobs/{id}/progress/", self.show_progress),
                web.get("/api/jobs/{id}/files/", self.job_files),
                web.post("/api/jobs/{id}/{verb}/", self.steer),
                web.get("/api/jobstats/", self.job_stats),
                web.get("/api/spaces/{id}/files/", self.listing),
                web.get("/api/file/", self.listing),
                web.get("/api/sites/{id}/health/", self.health),
                web.get("/api/{family}/", self.family),
                web.get("/bench/proof", self.proof),
                web.post("/bench/reset", self.reset),
                web.post("/bench/trouble", self.trouble),
            ]
        )
        app.on_response_prepare.append(self._count)
        return app

    async def _count(self, request: web.Request, response: web.StreamResponse) -> None:
        self.requests += 1

    @web.middleware
    async def _in_trouble(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        of_api = request.path.startswith("/api/")
        if of_api and time.monotonic() < self.away_until:
            return _hung_up(request)
        answer = await handler(request)
        if of_api and request.method == "POST" and answer.status == 201 and random.random() < self.lose:
            self.lost += 1
            return _hung_up(request)
        return answer

    # Jobs.

    async def submit(self, request: web.Request) -> web.Response:
        refused = _unknown_key(request)
        if refused is not None:
            return refused
        body = msgspec.json.decode(await request.read())
        paths = [one["path"] for one in body["paths"]]
        self.submitted.update(paths)
        return _answer({"job": self._make(body["workflow"], paths).id}, 201)

    def _make(self, workflow: str, paths: list[str]) -> Job:
        now = datetime.now(UTC).isoformat()
        ends = time.monotonic() + self.seconds
        self.last_job += 1
        job = Job(self.last_job, workflow, paths, now, ends, self.seconds)
        self.jobs[job.id] = self.unfinished[job.id] = job
        return job

    async def list_jobs(self, request: web.Request) -> web.Response:
        words = _words(request)
        if words and not words & FINAL:
            ended = [number for number, job in self.unfinished.items() if job.state in FINAL]
            for number in ended:
                del self.unfinished[number]
            found: Iterable[Job] = self.unfinished.values()
        else:
            found = self.jobs.values()
        since = request.query.get("created_time_from")
        moment = None if since is None else datetime.fromisoformat(since)
        shown = [
            job
            for job in found
            if (not words or job.state in words) and (moment is None or datetime.fromisoformat(job.created) >= moment)
        ]
        return _page(request, shown, lambda job: job.shown(), {"stats": {}})

    async def show_job(self, request: web.Request) -> web.Response:
        job = self._job(request)
        return _missing() if job is None else _answer(job.shown())

    async def show_progress(self, request: web.Request) -> web.Response:
        job = self._job(request)
        return _missing() if job is None else _answer({"progress": job.progress})

    async def job_files(self, request: web.Request) -> web.Response:
        job = self._job(request)
        return _missing() if job is None else _page(request, job.paths, lambda path: {"path": path})

    async def steer(self, request: web.Request) -> web.Response:
        job, verb = self._job(request), request.match_info["verb"]
        if job is None:
            return _missing()
        open_job = job.state not in FINAL
        if verb == "resubmit" and not open_job:
            self.submitted.update(job.paths)
            return _answer({"job": self._make(job.workflow, job.paths).id}, 201)
        if verb == "cancel" and open_job:
            job.cancelled = True
        elif verb == "pause" and open_job and job.paused_with is None:
            job.paused_with = job.ends - time.monotonic()
        elif verb == "resume" and job.paused_with is not None:
            job.ends, job.paused_with = time.monotonic() + job.paused_with, None
        elif verb not in ("cancel", "pause", "resume", "resubmit"):
            return _missing()
        return _answer({"job": job.id})

    async def job_stats(self, request: web.Request) -> web.Response:
        job = self.jobs.get(int(request.query.get("job", 0)))
        words = {word.lower() for word in _words(request)}
        state = "PENDING" if job is None else job.state
        word = {"SUCCESS": "processed", "CANCELLED": "cancelled"}.get(state, "pending")
        number = None if job is None else job.id
        rows = [(path, "failed" if self._fails(path, state) else word) for path in (() if job is None else job.paths)]

        def show(row: tuple[str, str]) -> dict[str, Any]:
            code, message = ("EIO", f"{row[0]} cannot be read") if row[1] == "failed" else ("", "")
            told = {"path": row[0], "state": row[1], "code": code, "message": message}
            return {**told, "job": number, "task": number}

        return _page(request, [row for row in rows if not words or row[1] in words], show)

    def _fails(self, path: str, state: str) -> bool:
        return bool(self.poison) and state == "SUCCESS" and int(path.rpartition("/f")[2]) % self.poison == 0

    def _job(self, request: web.Request) -> Job | None:
        number = request.match_info["id"]
        return self.jobs.get(int(number)) if number.isdigit() else None

    # The namespace: folders of equal size below one root.

    async def listing(self, request: web.Request) -> web.Response:
        path = request.query.get("path", ROOT).rstrip("/")
        folders = -(-self.files // self.folder_size)
        if path == ROOT:
            return self._folder(request, path, folders, _shown_folder)
        parent, _, name = path.rpartition("/")
        if parent == ROOT and name[1:].isdigit() and int(name[1:]) < folders:
            first = int(name[1:]) * self.folder_size
            count = min(self.folder_size, self.files - first)
            return self._folder(request, path, count, lambda index: _shown_file(path, first + index))
        number = int(name[1:]) if name[:1] == "f" and name[1:].isdigit() else self.files
        if number < self.files and _file_path(number, self.folder_size) == path:
            return _answer(_shown_file(parent, number))
        return _missing()

    def _folder(self, request: web.Request, path: str, count: int, show: Any) -> web.Response:
        head = {"path": path, "type": "directory", "site": SITE, "status": None}
        return _page(request, range(count), show, head, rows_name="children")

    # What a preflight looks at.

    async def health(self, request: web.Request) -> web.Response:
        return _answer({"status": "ok"})

    async def family(self, request: web.Request) -> web.Response:
        now = datetime.now(UTC).isoformat()
        families: dict[str, list[dict[str, Any]]] = {
            "sites": [{"id": 1, "name": SITE, "label": SITE, "spaces": ["bench"]}],
            "spaces": [{"id": 1, "name": "bench", "mountpoint": ROOT, "sites": [{"name": SITE, "pool": "fast"}]}],
            "workflows": [
                {"id": number, "name": name, "enabled": True, "visible": True, "fields": []}
                for number, name in enumerate(("migrate", "premigrate", "recall"), 1)
            ],
            "queues": [{"id": 1, "name": "default", "site": SITE, "last_heartbeat": now, "nodes": ["node-1"]}],
            "nodes": [{"id": 1, "name": "node-1", "site": SITE, "online": True, "last_heartbeat": now}],
            "storagepools": [
                {"id": 1, "name": "fast", "site": 1, "capacity": 10**15, "used_space": 10**14, "free_space": 9 * 10**14}
            ],
        }
        found = families.get(request.match_info["family"])
        return _missing() if found is None else _page(request, found, lambda one: one)

    # What a benchmark asks.

    async def proof(self, request: web.Request) -> web.Response:
        return _answer(
            {
                "jobs": len(self.jobs),
                "done": sum(job.state == "SUCCESS" for job in self.jobs.values()),
                "paths": len(self.submitted),
                "twice": sum(count > 1 for count in self.submitted.values()),
                "requests": self.requests,
                "lost": self.lost,
            }
        )

    async def trouble(self, request: web.Request) -> web.Response:
        told = json.loads(await request.read() or b"{}")
        self.away_until = time.monotonic() + float(told.get("away", 0))
        self.lose = float(told.get("lose", self.lose))
        return _answer({})

    async def reset(self, request: web.Request) -> web.Response:
        told = json.loads(await request.read() or b"{}")
        self.seconds = float(told.get("seconds", self.seconds))
        self.poison = int(told.get("poison", 0))
        self.jobs.clear()  # their numbers go on: a Hub gives no number twice
        self.unfinished.clear()
        self.submitted.clear()
        self.requests = self.lost = 0
        return _answer({})


def _file_path(number: int, folder_size: int) -> str:
    return f"{ROOT}/d{number // folder_size:05}/f{number:08}"


def _shown_folder(index: int) -> dict[str, Any]:
    return {"path": f"{ROOT}/d{index:05}", "name": f"d{index:05}", "type": "directory"}


def _shown_file(folder: str, number: int) -> dict[str, Any]:
    when = (_EPOCH - timedelta(days=number % 1000)).isoformat()
    return {
        "path": f"{folder}/f{number:08}",
        "name": f"f{number:08}",
        "type": "file",
        "size": 1_000_000 + number,
        "disk_usage": 1_000_000 + number,
        "atime": when,
        "mtime": when,
        "ctime": when,
        "status": "unmanaged",
        "site": SITE,
    }


def _hung_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return web.Response()


def _unknown_key(request: web.Request) -> web.Response | None:
    given = request.headers.get("Authorization", "")
    return None if given == f"Api-Key {KEY}" else _answer({"detail": "credentials were not provided"}, 401)


def _words(request: web.Request) -> frozenset[str]:
    return frozenset(word for given in request.query.getall("state", []) for word in given.split(",") if word)


def _page(
    request: web.Request, rows: Any, show: Any, head: dict[str, Any] | None = None, rows_name: str = "results"
) -> web.Response:
    size, number = int(request.query.get("page_size", 20)), int(request.query.get("page", 1))
    size = size or max(1, len(rows))
    first = (number - 1) * size
    more = first + size < len(rows)
    body = {
        **(head or {}),
        "count": len(rows),
        "next": str(request.url.update_query(page=number + 1)) if more else None,
        "previous": str(request.url.update_query(page=number - 1)) if number > 1 else None,
        rows_name: [show(row) for row in rows[first : first + size]],
    }
    return _answer(body)


def _answer(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")


def _missing() -> web.Response:
    return _answer({"detail": "not found"}, 404)


async def serve(port: int, hub: FastHub) -> None:
    """Serve until SIGTERM, SIGINT, or until whoever started this closes its standard input."""
    runner = web.AppRunner(hub.app(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, backlog=1024)
    await site.start()
    address = runner.addresses[0]
    sys.stdout.write(json.dumps({"url": f"http://{address[0]}:{address[1]}/api", "key": KEY}) + "\n")
    sys.stdout.flush()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    try:
        loop.add_reader(sys.stdin.fileno(), _end_at_eof, ended)
    except (ValueError, OSError):  # a standard input that cannot be waited for, such as a file: only signals end it
        sys.stderr.write("ends on SIGTERM only\n")
    await ended.wait()
    await runner.cleanup()


def _end_at_eof(ended: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        ended.set()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a job lasts")
    parser.add_argument("--files", type=int, default=5000, help="files in the namespace")
    parser.add_argument("--folder-size", type=int, default=1000, help="files in a folder")
    given = parser.parse_args()
    asyncio.run(serve(given.port, FastHub(given.seconds, given.files, given.folder_size)))


if __name__ == "__main__":
    main()
