"""What stands in a report, section by section, as lines and tables of plain text: Markdown and HTML dress it alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.reporting import figures
from orchestrator.reporting.figures import clock, line, path, size, span


@dataclass(frozen=True)
class Table:
    """Columns, which of them hold figures, and rows; a row of a facts table is a name and its value."""

    columns: tuple[str, ...]
    right: tuple[bool, ...]
    rows: Sequence[Sequence[str]]
    facts: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the report: a title (none for the first), lines, a table, and the plot where it belongs."""

    title: str = ""
    lines: tuple[str, ...] = ()
    table: Table | None = None
    plot: bool = False
    bad: bool = False


def sections(report: dict[str, Any]) -> Iterator[Section]:
    """Give the sections in their order; those that have nothing to say are left out."""
    yield Section(table=_facts(list(_head(report))))
    account = report["reconciliation"]
    yield Section("Account", (account["line"],), _account(account), bad=not account["adds_up"])
    if report["standing"] is not None:
        yield Section("Where it stands", table=_facts(list(_standing(report["standing"]))))
    if report["throughput"]["bins"]:
        yield Section("Throughput", tuple(_speed(report)), plot=True)
    yield _errors(report)
    if len(report["rounds"]) > 0:
        rows = [
            (str(one["stage"]), str(one["number"]), f"{one['files']:,}", f"{one['batches']:,}", clock(one["started"]))
            for one in report["rounds"]
        ]
        columns = ("Stage", "Round", "Files", "Batches", "Started")
        yield Section("Rounds", table=Table(columns, (True, True, True, True, False), rows))
    if report["slowest_jobs"]:
        yield _slowest(report)
    yield _people("Approvals", report["approvals"], "Nobody was asked, and nobody needed to be.")
    yield _people("Changes while it ran", report["changes"], "None.", report["changes_left_out"])
    if report["plan"] is not None:
        yield _rules(report["plan"])
    yield Section("Evidence", table=_facts(list(_evidence(report))))


def _head(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "State", report["state"]
    if report["trouble"]:
        yield "Why", line(report["trouble"])
    version = f", version {report['version']}" if report["version"] is not None else ", not applied"
    yield "Policy", line(report["policy"]) + version
    yield "Site", line(report["site"] or "")
    yield "Started", f"{clock(report['started'])} by {line(report['actor'])}: {line(report['reason'])}"
    if report["finished"] is not None:
        yield "Ended", f"{clock(report['finished'])}, after {span(report['took_s'])}"
    else:
        yield "Open", f"since {span(report['took_s'])}; this report was made at {clock(report['made'])}"


def _account(account: dict[str, Any]) -> Table:
    rows = [("done", "", f"{account['done']:,}")]
    for word in ("skipped", "failed"):
        rows += [(word, reason, f"{files:,}") for reason, files in sorted(account[word].items())]
    rows += [(word, "", f"{account[word]:,}") for word in ("quarantined", "cancelled", "left") if account[word]]
    if account["difference"]:
        rows.append(("not accounted for", "", f"{account['difference']:,}"))
    rows.append(("planned", "", f"{account['planned']:,}"))
    return Table(("Outcome", "Reason", "Files"), (False, False, True), rows)


def _standing(standing: dict[str, Any]) -> Iterator[tuple[str, str]]:
    eta, rates = standing["eta"], standing["rates"]
    if standing["waits_for"]:
        yield "Waits for", line(standing["waits_for"])
    if standing["round"]:
        batches = standing["batches"]
        yield "Round", f"{standing['round']}, {batches['begun']:,} of {batches['of']:,} batches begun"
    if eta["from"] is not None:
        end = f" and {clock(eta['to'])}" if eta["to"] is not None else ""
        yield "Ends", f"between {clock(eta['from'])}{end}" if end else f"after {clock(eta['from'])}"
    if eta["note"]:
        yield "Ends" if eta["from"] is None else "", line(eta["note"])
    for name, words in (("lately", "Speed lately"), ("overall", "Speed overall")):
        pace = rates[name]
        if pace is not None:
            per_second = f"{pace['files_per_second']:,.2f} files/s, {size(pace['bytes_per_second'])}/s"
            yield words, f"{per_second} over {span(pace['over_s'])}"


def _speed(report: dict[str, Any]) -> Iterator[str]:
    account, bins, width = report["reconciliation"], report["throughput"]["bins"], report["throughput"]["bin_s"]
    worked = len(bins) * width
    done = sum(one["files"] for one in bins)
    yield (
        f"{done:,} files and {size(account['bytes_done'])} in {span(worked)}: on average {done / worked:,.2f} files/s "
        f"and {size(sum(one['bytes'] for one in bins) / worked)}/s; at most "
        f"{max(one['files'] for one in bins) / width:,.2f} files/s."
    )


def _errors(report: dict[str, Any]) -> Section:
    if not report["errors"]:
        return Section("Errors", ("None.",))
    rows = [
        (f"{one['files']:,}", line(one["reason"]), line(one["message"]), "\n".join(map(path, one["examples"])))
        for one in report["errors"]
    ]
    return Section("Errors", table=Table(("Files", "Reason", "Message", "Such as"), (True, False, False, False), rows))


def _slowest(report: dict[str, Any]) -> Section:
    rows = [
        (
            str(one["job"]),
            span(one["took_s"]),
            f"{one['files']:,}",
            size(one["bytes"]),
            str(one["round"]),
            str(one["batch"]),
            line(one["state"]),
        )
        for one in report["slowest_jobs"]
    ]
    columns = ("Job", "Took", "Files", "Bytes", "Round", "Batch", "State")
    return Section(
        "Slowest jobs",
        (f"Of {report['jobs']['ended']:,} jobs that ended.",),
        Table(columns, (True, True, True, True, True, True, False), rows),
    )


def _people(title: str, words: list[dict[str, Any]], none: str, left_out: int = 0) -> Section:
    if not words:
        return Section(title, (none,))
    rows = [
        (
            clock(one["at"]),
            line(one["actor"]),
            one["event"].split(".")[-1].replace("_", " ") if one["event"].startswith("run.") else one["event"],
            line(one["why"]),
            figures.changed({key: value for key, value in one["details"].items() if key != "digest"}),
        )
        for one in words
    ]
    lines = (f"The first {left_out:,} are left out.",) if left_out else ()
    return Section(title, lines, Table(("When", "Who", "What", "Why", "Details"), (False,) * 5, rows))


def _rules(plan: dict[str, Any]) -> Section:
    rows = [(line(one["name"]), f"{one['files']:,}", size(one["bytes"])) for one in plan["rules"] or []]
    rows.append(("all", f"{plan['files']:,}", size(plan["bytes"])))
    lines = []
    if plan["passed_over"]:
        each = ", ".join(f"{files:,} {line(why)}" for why, files in sorted(plan["passed_over"].items()))
        lines.append(f"Passed over: {each}.")
    if plan["truncated_by_guard"]:
        lines.append("A guard cut the plan.")
    return Section("Rules of the plan", tuple(lines), Table(("Rule", "Files", "Bytes"), (False, True, True), rows))


def _evidence(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    audit, plan = report["audit"], report["plan"]
    if plan is not None:
        yield "Plan", plan["digest"]
    yield "Policy", report["policy_digest"]
    if report["outcomes_digest"]:
        yield "Outcomes", report["outcomes_digest"]
    yield "Audit", f"records {audit['first']:,} to {audit['last']:,}, {audit['records']:,} of them of this run"
    yield "Last record", audit["last_hash"]


def _facts(rows: list[tuple[str, str]]) -> Table:
    return Table(("", ""), (False, False), rows, facts=True)
