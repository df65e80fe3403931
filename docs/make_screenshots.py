"""Takes the pictures in docs/screenshots: `make screenshots`, of a real installation that runs while they are taken.

Everything in them happened, but the pool's levels of the days before: an installation of some minutes has none.
"""

import json
import math
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from activities.pool_samples import PoolSamples
from orchestrator.settings import load_settings
from orchestrator.web.signature import keys_of, signed_headers
from tests.dashboard import ALERTED, CAMPAIGN, DRAIN, PHONE, PURGE, Installation, browser, sign_in
from tests.machine import eventually
from workflows.pools import Level, PoolRef

TARGET = Path(__file__).parent / "screenshots"
TALLEST = 1500
COLOURS = 128
DESK = {"width": 1280, "height": 800}
LOOKS = (("light", "light", DESK), ("dark", "dark", DESK), ("phone", "light", PHONE))
POOL = PoolRef(site="london", pool="sas1", filesystem="mmfs1")


def main() -> None:
    """Take them all."""
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        there = Installation(Path(folder) / "machine")
        try:
            there.start()
            token, pages = _live(there)
            with sync_playwright() as playwright, browser(playwright) as started:
                for look, scheme, size in LOOKS:
                    _take(started, there.url, token, pages, look, scheme, size)
        finally:
            there.close()
            print(there.log.read_text()[-3000:], end="", file=sys.stderr)
    whole = sum(file.stat().st_size for file in TARGET.iterdir())
    print(f"{len(list(TARGET.iterdir()))} pictures, {whole / (1 << 20):.2f} MiB")


def _live(there: Installation) -> tuple[str, dict[str, str]]:
    """Let things happen; gives a token, and the pages worth a picture."""
    machine = there.machine
    there.fill("film", "mov", 900, 60_000)
    there.fill("film", "dpx", 260, 30_000)
    there.fill("renders", "tmp", 130, 40_000)
    there.fill("ingest", "wav", 24, 30_000)
    there.fill("overflow", "raw", 60, 160_000)
    _yesterdays(there)
    there.apply(CAMPAIGN % 2)
    there.apply(CAMPAIGN % 3, reason="three jobs at a time, the Hub can bear it")
    there.apply(PURGE)
    there.apply(ALERTED)
    there.apply(DRAIN % ("70%", "63%"))
    action = {"kind": "path_fail", "code": "target_error", "message": "the drive of the target is busy"}
    there.faults({"match": {"file": "*shot_00[0-3]*.dpx"}, "action": action},
                 {"match": {"file": "*shot_000*.wav"}, "action": action})  # fmt: skip
    failed = machine.json("run", "migrate-on-alert", "--wait", "--reason", "a trial before the season")["run_id"]
    _send(there, "reel 7 is in", wanted=True)
    _send(there, "lights out", wanted=False)
    waiting = there.begin("purge-old-renders", "the render farm needs the room")
    campaign = there.begin("archive-cold-media", "the quarter's archive")
    pause = machine.run("pause", "migrate-on-alert", "--reason", "the ingest team tests its cameras")
    assert pause.returncode == 0, pause.stderr
    token = there.token("ann", "admin")
    headers = {"Authorization": f"Bearer {token}"}
    assert eventually(lambda: _ended_jobs(there, campaign, headers) > 40, 180)
    digest = _digest(there, waiting, headers)
    plan = _digest(there, campaign, headers)
    return token, {
        "sign-in": "",
        "overview": "/",
        "run": f"/runs/{campaign}",
        "approval": f"/runs/{waiting}",
        "run-ended": f"/runs/{failed}",
        "run-files": f"/runs/{failed}/files",
        "runs": "/runs",
        "plans": "/plans",
        "plan": f"/plans/{digest}",
        "plan-begun": f"/plans/{plan}",
        "plan-files": f"/plans/{plan}/files",
        "policies": "/policies",
        "policy": "/policies/archive-cold-media?version=2&against=1",
        "pools": "/pools",
        "pool": f"/pools/{POOL}",
        "events": "/events",
        "audit": "/audit",
        "record": "/audit/3",
        "file": "/audit/file?path=/mmfs1/projects/ingest/shot_0003.wav",
        "run-files-open": f"/runs/{campaign}/files",
        "nothing": "/runs/no-such-run",
    }


def _take(
    started: Browser, url: str, token: str, pages: dict[str, str], look: str, scheme: str, size: dict[str, int]
) -> None:
    context = started.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    page = context.new_page()
    for name, path in pages.items():
        if name == "sign-in":
            page.goto(f"{url}/sign-in")
            _picture(page, f"{name}-{look}")
            sign_in(page, url, token)
            continue
        page.goto(url + path)
        if name in ("plan", "plan-begun"):
            page.get_by_role("heading", name="By size").wait_for()
        if name == "approval":
            page.get_by_label("I agree to exactly").check()
        if name == "run" and look == "light":
            page.get_by_text("Set limits", exact=True).click()
        _picture(page, f"{name}-{look}")
    context.close()


def _picture(page: Page, name: str) -> None:
    height = min(TALLEST, int(page.evaluate("document.documentElement.scrollHeight")))
    size = page.viewport_size or {"width": 1280, "height": 800}
    before = dict(size)
    page.set_viewport_size({"width": size["width"], "height": max(height, size["height"])})
    picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(TARGET / f"{name}.png", optimize=True)
    page.set_viewport_size(before)  # type: ignore[arg-type]


def _yesterdays(there: Installation) -> None:
    """Keep levels of the days before: growth by day, and a drain whenever the upper mark was reached."""
    settings = load_settings(state_dir=there.machine.state)
    samples = PoolSamples(settings.samples.get_secret_value())
    capacity, level, now = 160 << 20, 60.0, datetime.now(UTC)
    start = now - timedelta(days=7)
    for minute in range(0, 7 * 1440 - 30, 20):
        at = start + timedelta(minutes=minute)
        level += 0.11 * (1 + math.sin(minute / 1440 * 2 * math.pi)) + 0.03 * math.sin(minute / 37)
        if level > 70:
            level = 63.0
        samples._last_minute = 0
        samples.keep({POOL: Level(at=at, used=int(capacity * level / 100), capacity=capacity)})
    samples.close()


def _send(there: Installation, what: str, *, wanted: bool) -> None:
    kind = "com.example.ingest" if wanted else "com.example.lights"
    event = {
        "specversion": "1.0",
        "id": f"{kind.rpartition('.')[2]}-{time.time_ns() % 10**9}",
        "source": "https://studio.example/floor-2",
        "type": kind,
        "subject": "reel-7",
        "datacontenttype": "application/json",
        "data": {"what": what},
    }
    body = json.dumps(event).encode()
    key = keys_of(there.machine.environment["ORCHESTRATOR_EVENT_SECRETS"])[0]
    headers = {"content-type": "application/cloudevents+json", **signed_headers(key, body)}
    httpx.post(f"{there.url}/events", content=body, headers=headers, timeout=10).raise_for_status()


def _ended_jobs(there: Installation, run: str, headers: dict[str, str]) -> int:
    text = httpx.get(f"{there.url}/runs/{run}/now", headers=headers, timeout=20).text
    found = text.partition('data-settled="')[2].partition('"')[0]
    return int(found or 0)


def _digest(there: Installation, run: str, headers: dict[str, str]) -> str:
    """Find the digest of a run's plan on its page."""

    def found() -> str:
        text = httpx.get(f"{there.url}/runs/{run}", headers=headers, timeout=20).text
        return text.partition('href="/plans/')[2][:64]

    assert eventually(lambda: len(found()) == 64, 60)
    return found()


if __name__ == "__main__":
    main()
