"""`audit verify`, `export`, `checkpoint` and `key`: prove that the audit is whole, here or anywhere else."""

import re
import sys
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption
from orchestrator.cli.audit_log import moment_of, opened_log
from orchestrator.cli.endings import Ending, Refusal

if TYPE_CHECKING:
    from activities.ledger.checkpoints import Checkpoint
    from activities.ledger.log import AuditLog
    from activities.ledger.records import Stored
    from activities.ledger.signing import SigningKey
    from activities.ledger.verdict import Verdict
    from orchestrator.auditing.proof import Proof
    from orchestrator.settings import Settings

_SHOWN = 10


def verify(
    expect: Annotated[
        str | None,
        typer.Option(
            "--expect",
            metavar="[COUNT:]HASH",
            help="A last hash that was noted before; with its count of records the record must have that place.",
        ),
    ] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option("--checkpoints", metavar="FILE", help="More checkpoints, as `audit checkpoint` printed them."),
    ] = None,
    chain_only: Annotated[
        bool, typer.Option("--chain-only", help="Look at records alone, not at manifests, outcomes and policies.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The verdict as one JSON document.")] = False,
) -> None:
    """Prove each record, the signed checkpoints and the files that records name; exit code 1 when one is not right."""
    from activities.storage import open_storage
    from orchestrator.auditing.proof import prove

    count, digest = (None, None) if expect is None else _noted(expect)
    noted = [] if checkpoints is None else list(_read_noted(checkpoints))
    started = time.monotonic()
    with opened_log() as (log, settings), show.waiting("Walking the chain ...") as status:
        tell = (lambda text: None) if status is None else (lambda text: status.update(f"Looking at {text} ..."))
        proof = prove(log, open_storage(settings.storage), settings.public_keys, noted, files=not chain_only, tell=tell)
        broken = None if proof.broken_at is None else log.at(proof.broken_at)
        place = None if digest is None else log.place_of(digest)
        can_sign = bool(settings.public_keys)
    missing = None if digest is None else _unexpected(proof.chain, count, place)
    if as_json:
        _print_document(proof, digest, place, missing)
    else:
        _print_proof(proof, broken, time.monotonic() - started, can_sign=can_sign)
        if missing is not None:
            show.say(f"It is NOT the audit whose hash was noted: {missing}.", "bold red")
        elif digest is not None:
            after = show.counted(proof.chain.count - (place or 0), "record")
            show.say(f"The noted hash is that of record {show.number(place or 0)}, {after} before the end.", "green")
    if not proof.ok or missing is not None:
        raise typer.Exit(Ending.ENDED_BADLY)


def export(
    out: Annotated[Path | None, typer.Option(help="Write to this file; default: to the standard output.")] = None,
    since: Annotated[str | None, typer.Option(help="From the first record of this time on, or an age: 30d.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to the last record before this time, or age.")] = None,
) -> None:
    """Write records as JSON lines that verify without this program: docs/audit.md has the few lines that do it."""
    from activities.ledger.checkpoints import read_checkpoints
    from activities.storage import open_storage

    with opened_log() as (log, settings):
        first, last = _range(log, moment_of("--since", since), moment_of("--until", until))
        signed = [
            one.line()
            for _, one in read_checkpoints(open_storage(settings.storage))
            if one is not None and first <= one.seq <= last
        ]
        if out is None:
            for line in (*log.lines(first - 1, last), *signed):
                sys.stdout.write(f"{line}\n")
            return
        records = _write(out, log.lines(first - 1, last), signed)
    told = f" and {show.counted(len(signed), 'checkpoint')}" if signed else ""
    show.say(f"{show.counted(records, 'record')}{told} written to {out}.")


def checkpoint(
    out: Annotated[Path | None, typer.Option(help="Add it to this file as well.")] = None,
) -> None:
    """Sign the last record now; kept elsewhere, it lets `audit verify --checkpoints` find whatever was cut off."""
    from activities.ledger.checkpoints import keep_checkpoint, signed
    from activities.storage import open_storage

    with opened_log() as (log, settings):
        key = _signing_key(settings)
        seq, digest = log.end()
        if not seq:
            raise Refusal("the audit has no record yet")
        made = signed(key, seq, digest)
        keep_checkpoint(open_storage(settings.storage), made)
    if out is not None:
        with out.open("a", encoding="utf-8") as file:
            file.write(made.line() + "\n")
        show.note(f"Added to {out}.")
    show.plain(made.line())


def key(as_json: JsonOption = False) -> None:
    """Show the public key that checks the checkpoints; the private one is never shown."""
    from orchestrator.settings import load_settings

    public = _signing_key(load_settings()).public
    if as_json:
        show.document({"key": public.name, "public_key": public.text})
        return
    show.facts({"key": public.name, "public key": public.text})
    show.note("A machine that only verifies takes it as ORCHESTRATOR_AUDIT_PUBLIC_KEYS.")


def _signing_key(settings: "Settings") -> "SigningKey":
    from activities.ledger.signing import HOW_TO

    if settings.signing_key is None:
        raise Refusal(f"there is no key: set ORCHESTRATOR_AUDIT_KEY or _AUDIT_KEY_FILE; {HOW_TO}")
    return settings.signing_key


def _noted(text: str) -> tuple[int | None, str]:
    found = re.fullmatch(r"(?:(\d{1,18}):)?([0-9a-f]{64})", text.strip().lower())
    if found is None:
        raise Refusal(f"--expect {text}: expected a hash as `audit verify` shows it: 64 hex digits, or COUNT:HASH")
    return (None if found[1] is None else int(found[1])), found[2]


def _read_noted(file: Path) -> "Iterable[tuple[str, Checkpoint]]":
    from activities.ledger.checkpoints import Checkpoint

    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        try:
            if line.strip():
                yield f"{file}:{number}", Checkpoint.model_validate_json(line)
        except ValueError:
            raise Refusal(f"{file}:{number}: no checkpoint as `audit checkpoint` prints it") from None


def _unexpected(verdict: "Verdict", count: int | None, place: int | None) -> str | None:
    """Say why the chain is not a continuation of the noted one; None when it is."""
    if place is None:
        return "no record has it, so records were cut off, or it is of another audit"
    if count is not None and place != count:
        return f"it was noted of record {show.number(count)}, and is that of record {show.number(place)}"
    if not verdict.ok and place > verdict.count:
        return f"the chain is broken before record {show.number(place)}, whose hash it is"
    return None


def _range(log: "AuditLog", since: datetime | None, until: datetime | None) -> tuple[int, int]:
    """Give the first and the last sequence of a time: what lies between belongs to it, so that the chain has no gap."""
    from activities.ledger.finding import Wanted

    wanted = Wanted(since=since, until=until)
    newest = log.find(wanted, limit=1).records
    if not newest:
        raise Refusal("no record is of this time")
    return log.find(wanted, after=0, limit=1).records[0].seq, newest[0].seq


def _write(out: Path, records: Iterable[str], signed: Iterable[str]) -> int:
    """Write the file, whole or not at all, and count the records."""
    half, written = out.with_name(f".{out.name}.half"), 0
    try:
        with half.open("w", encoding="utf-8", newline="\n") as file:
            for line in records:
                file.write(f"{line}\n")
                written += 1
            file.writelines(f"{line}\n" for line in signed)
        half.replace(out)
    finally:
        half.unlink(missing_ok=True)
    return written


def _print_document(proof: "Proof", digest: str | None, place: int | None, missing: str | None) -> None:
    told = {} if digest is None else {"expected": digest, "expected_at": place, "unexpected": missing}
    chain = {**proof.chain.model_dump(mode="json"), "broken_at": proof.broken_at}
    rest = proof.model_dump(mode="json", exclude={"chain"})
    show.document({**chain, **rest, **told, "ok": proof.ok and missing is None})


def _print_proof(proof: "Proof", broken: "Stored | None", seconds: float, *, can_sign: bool) -> None:
    records = show.counted(proof.chain.count, "record")
    if proof.ok:
        files = f", and {show.counted(proof.files, 'file')} of manifests, outcomes and policies" if proof.files else ""
        show.say(f"The audit is whole: {records}, each as it was written{files} ({show.span(seconds)}).", "green")
    elif proof.chain.ok and proof.broken_at is None:
        show.say(f"The chain is whole, {records}; what it was held against is not as recorded:", "bold red")
    if proof.chain.ok and proof.broken_at is None:
        _print_end(proof, can_sign=can_sign)
    else:
        _print_break(proof, broken, records)
    for doubt in proof.doubts[:_SHOWN]:
        show.say(f"Checkpoint {doubt.name}: {doubt.why}.", "bold red")
    for damage in proof.damages[:_SHOWN]:
        run = f", run {damage.run}" if damage.run else ""
        show.say(f"{damage.name} (record {damage.seq}{run}): {damage.why}.", "bold red")
    left_out = proof.damages_in_all - min(len(proof.damages), _SHOWN)
    if left_out:
        show.say(f"{show.counted(left_out, 'more file')} not as recorded: --json lists the first hundred.", "bold red")


def _print_end(proof: "Proof", *, can_sign: bool) -> None:
    facts = {"last hash": proof.chain.head}
    if proof.signed is not None:
        behind = show.counted(proof.chain.count - proof.signed, "record")
        checked = show.counted(proof.checkpoints, "checkpoint")
        facts["signed"] = f"up to record {show.number(proof.signed)} at {proof.signed_at}, {behind} ago ({checked})"
    show.facts(facts)
    if not can_sign:
        show.note("No checkpoint is signed or checked: ORCHESTRATOR_AUDIT_KEY is not set (docs/audit.md).")
    show.note(
        "Note it elsewhere; later this proves that no record was cut off:\n"
        f"  orchestrator audit verify --expect {proof.chain.count}:{proof.chain.head}"
    )


def _print_break(proof: "Proof", broken: "Stored | None", records: str) -> None:
    show.say(f"The audit is BROKEN at record {proof.broken_at}.", "bold red")
    facts: dict[str, str] = {}
    if not proof.chain.ok:
        facts |= {"why": str(proof.chain.why), "still good": f"{records} before it"}
        facts["last good hash"] = proof.chain.head
    if broken is not None:
        facts["it now says"] = f"{broken.at} {broken.event} by {broken.actor}"
    show.facts(facts)
    for one in proof.further:
        show.say(f"Record {one.at} too: {one.why}.", "bold red")
