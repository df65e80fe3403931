"""The dashboard in a real browser, over a real Temporal, local Hub, worker and web server."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.dashboard import (
    ALERTED,
    CAMPAIGN,
    DRAIN,
    PATIENCE_MS,
    PHONE,
    PURGE,
    WIDE,
    Installation,
    alter_record,
    browser,
    sign_in,
)
from tests.machine import eventually

pytestmark = [pytest.mark.long, pytest.mark.timeout(400), pytest.mark.xdist_group("dashboard")]

expect.set_options(timeout=PATIENCE_MS)


class Stage:
    """The installation that all tests here look at: a campaign under way, a plan that waits, a failed run."""

    def __init__(self, there: Installation) -> None:
        self.there = there
        self.url = there.url
        there.fill("film", "mov", 600, 20_000)
        there.fill("renders", "tmp", 30, 10_000)
        there.fill("ingest", "wav", 8, 10_000)
        there.fill("overflow", "raw", 10, 100_000)
        there.apply(CAMPAIGN % 1)
        there.apply(CAMPAIGN % 2, reason="two jobs at a time")
        there.apply(PURGE)
        there.apply(ALERTED)
        there.apply(DRAIN % ("90%", "80%"))
        self.tokens = {role: there.token(name, role) for name, role in PEOPLE.items()}
        action = {"kind": "path_fail", "code": "target_error", "message": "the drive <b>is</b> busy"}
        there.faults({"match": {"file": "*shot_0000.wav"}, "action": action})
        reason = "a trial <script>alert(1)</script>"
        self.failed = str(there.machine.json("run", "migrate-on-alert", "--wait", "--reason", reason)["run_id"])
        self.waiting = there.begin("purge-old-renders", "the farm needs room")
        self.campaign = there.begin("archive-cold-media", "the quarter's archive")

    def get(self, path: str, role: str = "viewer") -> httpx.Response:
        return httpx.get(self.url + path, headers={"Authorization": f"Bearer {self.tokens[role]}"}, timeout=30)

    def pages(self) -> list[str]:
        digest = self.get(f"/runs/{self.waiting}").text.partition('href="/plans/')[2][:64]
        pool = self.get("/pools").text.partition('href="/pools/london')[2].partition('"')[0]
        return [
            "/", "/runs", f"/runs/{self.campaign}", f"/runs/{self.waiting}", f"/runs/{self.failed}",
            f"/runs/{self.failed}/files", "/plans", f"/plans/{digest}", f"/plans/{digest}/files", "/policies",
            "/policies/archive-cold-media?version=2&against=1", "/pools", f"/pools/london{pool}", "/events", "/audit",
            "/audit/2", "/audit/file", f"/audit/file?path={FAILED_FILE}", f"/runs/{self.campaign}/files",
            "/runs/no-such-run",
        ]  # fmt: skip


FAILED_FILE = "/mmfs1/projects/ingest/shot_0000.wav"
PEOPLE = {"ann": "admin", "oscar": "operator", "vera": "viewer", "carl": "approver"}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    there = Installation(tmp_path_factory.mktemp("dashboard") / "machine")
    try:
        there.start()
        yield Stage(there)
    finally:
        left = there.close()
    assert not left, f"left behind: {left}"


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with sync_playwright() as playwright, browser(playwright) as started:
        yield started


def page_of(chrome: Browser, stage: Stage, role: str, **how: object) -> Page:
    """Open a window and sign in; what it finds wrong is kept in `page.faults`."""
    context = chrome.new_context(viewport=WIDE, **how)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    sign_in(page, stage.url, stage.tokens[role])
    return page


def settled(page: Page) -> int:
    """Read from the bar how many files need nothing more."""
    return int(page.locator("svg.bar").first.get_attribute("data-settled") or 0)


def test_a_campaign_is_watched_paused_and_resumed_and_its_bar_moves_by_itself(chrome: Browser, stage: Stage) -> None:
    page = page_of(chrome, stage, "operator")
    running = page.get_by_role("region", name="Runs now")
    expect(running.get_by_role("link", name="archive-cold-media")).to_be_visible()
    running.get_by_role("link", name="archive-cold-media").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(stage.campaign)
    first = settled(page)
    assert eventually(lambda: settled(page) >= first + 12, 40), "the bar stands still"
    page.get_by_text("Pause", exact=True).click()
    page.get_by_label("Why").first.fill("the network people measure")
    page.get_by_role("button", name="Pause the run").click()
    expect(page.get_by_role("status")).to_contain_text("Paused")
    expect(page.locator(".now .state")).to_have_text("paused")
    expect(page.locator(".note").first).to_contain_text("oscar@")
    page.goto(stage.url)
    expect(page.get_by_role("region", name="Waits for a person")).to_contain_text("the network people measure")
    page.go_back()
    page.get_by_role("button", name="Resume the run").click()
    expect(page.locator(".now .state")).to_have_text("running")
    story = page.get_by_role("region", name="Who did what")
    expect(story).to_contain_text("the network people measure")
    paused = settled(page)
    assert eventually(lambda: settled(page) > paused, 40), "it does not go on"
    page.context.close()


def test_a_page_that_is_open_offers_what_fits_when_somebody_else_pauses_the_run(chrome: Browser, stage: Stage) -> None:
    page = page_of(chrome, stage, "operator")
    page.goto(f"{stage.url}/runs/{stage.campaign}")
    expect(page.get_by_text("Pause", exact=True)).to_be_visible()
    given = {"Authorization": f"Bearer {stage.tokens['admin']}"}
    told = {"reason": "a word from elsewhere"}
    assert httpx.post(f"{page.url}/pause", data=told, headers=given, timeout=30).status_code == 303
    expect(page.get_by_role("button", name="Resume the run")).to_be_visible()
    expect(page.get_by_role("region", name="Who did what")).to_contain_text("a word from elsewhere")
    assert httpx.post(f"{page.url}/resume", data=told, headers=given, timeout=30).status_code == 303
    expect(page.get_by_text("Pause", exact=True)).to_be_visible()
    page.context.close()


def test_the_files_of_an_open_run_are_listed_so_far_and_each_leads_to_its_history(
    chrome: Browser, stage: Stage
) -> None:
    page = page_of(chrome, stage, "viewer")
    some = f"/runs/{stage.campaign}/files?outcome=done"
    assert eventually(lambda: 'class="path"' in stage.get(some).text, 40), "no file of it was done"
    page.goto(stage.url + some)
    expect(page.get_by_role("main")).to_contain_text("so far; what failed may still be tried again")
    first = page.locator("td.path a").first
    name = first.inner_text()
    first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What happened to a file")
    told = page.get_by_role("region").first
    expect(told).to_contain_text("done")
    expect(told.get_by_role("link", name=stage.campaign)).to_be_visible()
    page.get_by_label("Path, as the Hub names it").fill(f"{name}.not")
    page.get_by_role("button", name="Look").click()
    expect(page.get_by_role("main")).to_contain_text("No run had this file")
    page.goto(f"{stage.url}/audit/file?path={FAILED_FILE}")
    expect(page.get_by_role("main")).to_contain_text("the drive <b>is</b> busy")
    page.context.close()


def test_without_a_script_a_run_is_slowed_down_by_a_form(chrome: Browser, stage: Stage) -> None:
    page = page_of(chrome, stage, "operator", java_script_enabled=False)
    page.goto(f"{stage.url}/runs/{stage.campaign}")
    page.get_by_text("Set limits", exact=True).click()
    page.get_by_label("Jobs at a time").fill("1")
    page.locator("#limits-reason").fill("the Hub is busy elsewhere")
    page.get_by_role("button", name="Set the limits").click()
    expect(page.get_by_role("status")).to_contain_text("The new limits hold")
    assert "of 1<" in stage.get(f"/runs/{stage.campaign}/now").text
    page.context.close()


def test_what_a_page_shows_came_from_this_server_and_runs_no_script_of_a_name(chrome: Browser, stage: Stage) -> None:
    page = page_of(chrome, stage, "viewer")
    elsewhere, wrong = [], []
    page.on("request", lambda request: None if request.url.startswith(stage.url) else elsewhere.append(request.url))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    for path in stage.pages():
        answer = page.goto(stage.url + path)
        assert answer is not None and "'unsafe" not in answer.headers["content-security-policy"]
        assert answer.status == (404 if path.endswith("no-such-run") else 200), path
        assert page.locator("[style], style, script:not([src])").count() == 0, path
    assert not elsewhere
    assert [one for one in wrong if "404" not in one] == []
    page.goto(f"{stage.url}/runs/{stage.failed}")
    expect(page.locator(".lead")).to_contain_text("<script>alert(1)</script>")  # it is there, as text
    expect(page.get_by_role("main")).to_contain_text("the drive <b>is</b> busy")
    page.context.close()


@pytest.mark.parametrize(("scheme", "size"), [("light", WIDE), ("dark", PHONE)])
def test_no_page_has_a_serious_fault_of_accessibility(
    chrome: Browser, stage: Stage, scheme: str, size: dict[str, int]
) -> None:
    found = []
    context = chrome.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{stage.url}/sign-in")
    found += serious(page)
    sign_in(page, stage.url, stage.tokens["admin"])
    for path in stage.pages():
        page.goto(stage.url + path)
        found += [f"{path}: {one}" for one in serious(page)]
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            found.append(f"{path}: {wide} pixels too wide")
    assert found == []
    context.close()


def serious(page: Page) -> list[str]:
    """Say what axe calls a serious or critical fault."""
    results = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['target']} {one['nodes'][0].get('failureSummary', '')[:200]}"
        for one in results
        if one["impact"] in ("serious", "critical")
    ]


def test_every_control_is_reached_by_keys_and_shows_that_it_has_the_focus(chrome: Browser, stage: Stage) -> None:
    page = page_of(chrome, stage, "operator")
    page.goto(f"{stage.url}/audit")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    seen = set()
    for _ in range(14):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.name || document.activeElement.textContent.trim()"))
        style = "getComputedStyle(document.activeElement)"
        assert page.evaluate(f"{style}.outlineStyle") == "solid" and page.evaluate(f"{style}.outlineWidth") != "0px"
    assert {"text", "event", "actor", "policy", "run", "since", "until", "Search"} <= seen
    page.context.close()


def test_a_viewer_is_offered_nothing_to_steer_and_refused_all_the_same(chrome: Browser, stage: Stage) -> None:
    page = page_of(chrome, stage, "viewer")
    page.goto(f"{stage.url}/runs/{stage.campaign}")
    assert page.get_by_role("button").all_inner_texts() == ["Sign out"]
    page.context.close()
    given = {"Authorization": f"Bearer {stage.tokens['viewer']}"}
    answer = httpx.post(f"{stage.url}/runs/{stage.campaign}/pause", data={"reason": "x"}, headers=given, timeout=30)
    assert answer.status_code == 403 and "operator" in answer.text
    approver = {"Authorization": f"Bearer {stage.tokens['approver']}"}
    answer = httpx.post(f"{stage.url}/runs/{stage.campaign}/cancel", data={"reason": "x"}, headers=approver, timeout=30)
    assert answer.status_code == 403


def test_a_form_on_another_site_steers_nothing(stage: Stage) -> None:
    with httpx.Client(base_url=stage.url, timeout=30) as client:
        own = {"Origin": stage.url, "Sec-Fetch-Site": "same-origin"}
        assert client.post("/sign-in", data={"token": stage.tokens["operator"]}, headers=own).status_code == 303
        strange = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        answer = client.post(f"/runs/{stage.campaign}/pause", data={"reason": "x"}, headers=strange)
        assert answer.status_code == 403
        assert client.get(f"/runs/{stage.campaign}").status_code == 200
        onward = client.get("/sign-in", params={"next": "//evil.example"}).text
        assert "evil.example" not in onward


def test_a_plan_is_approved_by_its_digest_and_by_nothing_less(chrome: Browser, stage: Stage) -> None:
    page = page_of(chrome, stage, "approver")
    page.get_by_role("link", name="Look at the plan and decide").click()
    card = page.locator("#approval")
    digest = card.locator(".whole-digest").inner_text()
    assert re.fullmatch("[0-9a-f]{64}", digest)
    card.get_by_role("link", name=digest).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(digest[:12])
    page.go_back()
    card.get_by_role("button", name="Approve this plan").click()  # the browser asks for the box first
    expect(card).to_be_visible()
    card.get_by_label(f"I agree to exactly the plan {digest[:12]}").check()
    card.get_by_role("button", name="Approve this plan").click()
    expect(page.get_by_role("status")).to_contain_text("Approved")
    story = page.get_by_role("region", name="Who did what")
    expect(story).to_contain_text("plan.approved")
    expect(story).to_contain_text("carl@")
    page.context.close()


def test_the_pages_show_the_stored_numbers_and_the_command_line_the_same(chrome: Browser, stage: Stage) -> None:
    machine = stage.there.machine
    ended = machine.run("runs", "report", stage.failed, "--format", "json")
    report = json.loads(ended.stdout)
    page = page_of(chrome, stage, "viewer")
    page.goto(f"{stage.url}/runs/{stage.failed}")
    script = (
        "rows => rows.map(row => [Number(row.dataset.files), Number(row.dataset.bytes), Number(row.dataset.failed)])"
    )
    bins = [[one["files"], one["bytes"], one["failed"]] for one in report["throughput"]["bins"]]
    assert bins and page.locator("#curve-numbers tbody tr").evaluate_all(script) == bins
    points = page.locator(".layer.level .point[data-files]").evaluate_all(
        "all => all.map(one => Number(one.dataset.files))"
    )
    assert points[: len(bins)] == [files for files, _, _ in bins]
    assert sum(points[: len(bins)]) == report["reconciliation"]["done"]

    levels = machine.run("pools", "history", "sas1", "--json").stdout
    stored = [[one["used"], one["capacity"]] for one in json.loads(levels)]
    page.goto(f"{stage.url}/pools")
    page.get_by_role("main").get_by_role("link", name="sas1").click()
    script = "all => all.map(one => [Number(one.dataset.used), Number(one.dataset.capacity)])"
    drawn = page.locator(".wide .layer.level .point").evaluate_all(script)
    assert stored and drawn[: len(stored)] == stored
    assert page.locator("#level-numbers tbody tr").evaluate_all(script) == drawn
    page.context.close()


def test_the_badge_turns_red_on_every_page_when_a_record_was_altered(chrome: Browser, stage: Stage) -> None:
    page = page_of(chrome, stage, "viewer")
    badge = page.locator(".side .badge")
    expect(badge).to_have_text("Audit whole")
    seq = alter_record(Path(stage.there.machine.state), "plan.made")
    expect(badge).to_have_text(f"Audit broken at {seq:,}", timeout=60_000)
    expect(badge).to_have_class(re.compile("bad"))
    badge.click()
    expect(page.locator(".proof")).to_contain_text(f"broken at record {seq:,}")
    expect(page.locator(".proof")).to_contain_text("changed")
    page.context.close()
