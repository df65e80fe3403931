"""A thousand random tamperings with the audit and with what it binds: each is found, and its place is named."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from activities.audit import AuditLog, Event
from activities.ledger.checkpoints import keep_checkpoint, signed
from activities.ledger.records import GENESIS, chained_hash
from activities.ledger.signing import SigningKey, signing_key_of
from activities.manifests import HEAD, INDEX
from activities.storage import DirectoryStorage
from orchestrator.auditing.files import _Look
from orchestrator.auditing.period import period_report, period_sections
from orchestrator.auditing.proof import Proof, prove
from orchestrator.settings import load_settings
from tests.e2e.audit_databases import Forger
from tests.e2e.audit_runs import Keeper, new_key

pytest_plugins = ["tests.e2e.audit_fixtures"]

Row = dict[str, Any]


@dataclass
class Scene:
    """Four runs with everything that they left, a copy of it, and somebody who may write everywhere but to the key."""

    log: AuditLog
    storage: DirectoryStorage
    copy: Path
    key: SigningKey
    forger: Forger
    rows: list[Row]
    signed: list[int]

    def proof(self, *, files: bool = False) -> Proof:
        return prove(self.log, self.storage, (self.key.public,), files=files)

    def tampered(self, rows: list[Row]) -> Proof:
        self.forger.replace(rows)
        return self.proof()

    def restore(self, name: str) -> None:
        target = self.storage.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.copy / name, target)

    def records(self, event: str) -> list[Row]:
        return [row for row in self.rows if row["event"] == event]


@pytest.fixture
def scene(url: str, tmp_path: Path) -> Iterator[Scene]:
    log, storage, key = AuditLog(url), DirectoryStorage(tmp_path / "store"), signing_key_of(new_key())
    keeper, signed_at = Keeper(log, storage, tmp_path / "spill"), []
    keeper.apply(1)
    for number in range(4):
        paths = [f"/a/{number}/{name:02}" for name in range(8)]
        end = keeper.run(f"p-{number}", paths, {paths[1]: "checksum", paths[6]: "busy"}, approver="bob@host")
        if number != 1:
            keep_checkpoint(storage, signed(key, end.seq, end.hash))
            signed_at.append(end.seq)
    shutil.copytree(storage.root, tmp_path / "copy")
    forger = Forger(url)
    yield Scene(log, storage, tmp_path / "copy", key, forger, forger.rows(), signed_at)
    forger.close()
    log.close()


# Tamperings with the chain: each changes the rows, and gives the first record that is not as it was written.


def changed(dice: random.Random, rows: list[Row]) -> int:
    row = dice.choice(rows)
    name = dice.choice(["at", "actor", "run", "event", "key", "body", "prev_hash", "hash"])
    row[name] = "{}" if name == "body" else f"{row[name]}x"
    return int(row["seq"])


def changed_in_one_place_of_its_body(dice: random.Random, rows: list[Row]) -> int:
    row = dice.choice(rows)
    at = dice.randrange(len(row["body"]))
    row["body"] = row["body"][:at] + chr(ord(row["body"][at]) ^ 1) + row["body"][at + 1 :]
    return int(row["seq"])


def changed_with_a_new_hash(dice: random.Random, rows: list[Row]) -> int:
    row = dice.choice(rows[:-1])
    row["body"] = '{"forged":true}'
    row["hash"] = _hash(row)
    return int(row["seq"])


def dropped(dice: random.Random, rows: list[Row]) -> int:
    at = dice.randrange(len(rows) - 2)
    del rows[at : at + dice.choice([1, 1, 2])]
    return at + 1


def dropped_and_renumbered(dice: random.Random, rows: list[Row]) -> int:
    at = dice.randrange(len(rows) - 1)
    del rows[at]
    _renumber(rows)
    return at + 1


def inserted(dice: random.Random, rows: list[Row]) -> int:
    at = dice.randrange(len(rows))
    forged = {**rows[at], "key": "forged", "body": '{"forged":true}', "seq": at + 1}
    if dice.random() < 0.7:
        forged["hash"] = _hash(forged)
    rows.insert(at, forged)
    _renumber(rows)
    return at + 1


def inserted_before_all(dice: random.Random, rows: list[Row]) -> int:
    seq = -dice.randrange(5)
    rows.insert(0, {**rows[0], "key": "forged", "seq": seq})
    return seq


def swapped(dice: random.Random, rows: list[Row]) -> int:
    first, second = sorted(dice.sample(range(len(rows)), 2))
    rows[first], rows[second] = rows[second], rows[first]
    _renumber(rows)
    return first + 1


def moved(dice: random.Random, rows: list[Row]) -> int:
    first, second = sorted(dice.sample(range(len(rows)), 2))
    rows.insert(first, rows.pop(second))
    _renumber(rows)
    return first + 1


# Tamperings that leave a whole chain behind: only what was signed tells.


def cut_off(dice: random.Random, rows: list[Row]) -> int:
    at = dice.randrange(len(rows))
    del rows[at:]
    return at + 1


def rewritten_to_the_end(dice: random.Random, rows: list[Row]) -> int:
    at = dice.randrange(len(rows))
    rows[at]["body"] = '{"forged":true}'
    _chain(rows)
    return at + 1


def dropped_and_rewritten(dice: random.Random, rows: list[Row]) -> int:
    at = dice.randrange(len(rows) - 1)
    del rows[at]
    _chain(rows)
    return at + 1


CHAIN: dict[Callable[[random.Random, list[Row]], int], tuple[str, ...]] = {
    changed: ("changed",),
    changed_in_one_place_of_its_body: ("changed",),
    changed_with_a_new_hash: ("replaced",),
    dropped: ("removed",),
    dropped_and_renumbered: ("removed",),
    inserted: ("inserted", "changed"),
    inserted_before_all: ("inserted",),
    swapped: ("reordered",),
    moved: ("reordered",),
}
SIGNED: dict[Callable[[random.Random, list[Row]], int], str] = {
    cut_off: "cut off",
    rewritten_to_the_end: "rewritten",
    dropped_and_rewritten: "rewritten",
}


def test_a_thousand_tamperings_are_all_found_and_located(scene: Scene, url: str) -> None:
    """650 with the chain, 150 that only the checkpoints tell, 200 with the storage; a fifth of that on PostgreSQL."""
    share = 1 if url.startswith("sqlite") else 5
    assert scene.proof(files=True).ok
    kinds = list(CHAIN)
    for seed in range(650 // share):
        _tamper_with_the_chain(scene, kinds[seed % len(kinds)], seed)
    whole = list(SIGNED)
    for seed in range(150 // share):
        _tamper_and_leave_a_whole_chain(scene, whole[seed % len(whole)], seed)
    scene.forger.replace(scene.rows)
    stored = list(STORAGE)
    for seed in range(200 // share):
        _tamper_with_the_storage(scene, stored[seed % len(stored)], seed)
    assert scene.proof(files=True).ok


def test_several_tamperings_at_once_are_each_named(scene: Scene) -> None:
    for seed in range(20):
        rows = [dict(row) for row in scene.rows]
        dice = random.Random(seed)
        places = sorted(dice.sample(range(0, len(rows), 3), 4))
        for place in places[:3]:
            rows[place]["actor"] = "somebody else"
        rows[places[3]]["body"] = "{}"
        if seed % 2:
            del rows[places[1]]
        proof = scene.tampered(rows)
        assert [proof.broken_at, *(one.at for one in proof.further)] == [place + 1 for place in places], seed
        assert proof.further[0].why.startswith("removed" if seed % 2 else "changed"), seed
    rows = [dict(row) for row in scene.rows]
    rows[3]["actor"] = rows[4]["actor"] = "two in a row"
    proof = scene.tampered(rows)
    assert (proof.broken_at, [one.at for one in proof.further]) == (4, [5])


def test_a_forged_body_stops_nobody_from_reading_the_rest(scene: Scene, tmp_path: Path) -> None:
    look = _Look(scene.log, scene.storage, load_settings(state_dir=tmp_path), "/a/0/01")
    for body in ("no JSON", "[1]", "{}", '{"manifest":"../../etc","files":1,"policy":7}', "[" * 5000):
        rows = [{**row, "body": body} if place % 3 else dict(row) for place, row in enumerate(scene.rows)]
        scene.forger.replace(rows)
        proof = scene.proof(files=True)
        assert (proof.ok, proof.broken_at, len(proof.further)) == (False, 2, 20), body
        assert len(scene.log.find(limit=1000).records) == len(rows)
        assert list(period_sections(period_report(scene.log, None, None, proof)))
        assert look.look(None, 10, lambda looked_at, of: None).looked_at <= 4


def _tamper_with_the_chain(scene: Scene, kind: Callable[[random.Random, list[Row]], int], seed: int) -> None:
    rows = [dict(row) for row in scene.rows]
    expected = kind(random.Random(seed), rows)
    proof = scene.tampered(rows)
    about = f"{kind.__name__}, seed {seed}: {proof}"
    assert (proof.ok, proof.chain.ok, proof.broken_at) == (False, False, expected), about
    assert str(proof.chain.why).startswith(CHAIN[kind]), about


def _tamper_and_leave_a_whole_chain(scene: Scene, kind: Callable[[random.Random, list[Row]], int], seed: int) -> None:
    rows = [dict(row) for row in scene.rows]
    place = kind(random.Random(seed), rows)
    proof = scene.tampered(rows)
    about = f"{kind.__name__}, seed {seed}: {proof}"
    assert (proof.ok, proof.chain.ok) == (False, True), about
    before = max((seq for seq in scene.signed if seq < place), default=0)
    expected = place if kind is cut_off else before + 1
    if kind is dropped_and_rewritten and place > scene.signed[-2]:
        expected = len(rows) + 1  # The last checkpoint is of a record that is no more: the chain is one too short.
    assert proof.broken_at == expected, about
    assert before + 1 <= proof.broken_at <= len(scene.rows), about


# Tamperings with the storage: each gives the file that is not what it was.


def _any_manifest(dice: random.Random, scene: Scene) -> str:
    bodies = [json.loads(row["body"]) for row in scene.records(Event.PLAN_MADE) + scene.records(Event.ROUND_STARTED)]
    return str(dice.choice(bodies)["manifest"])


def _any_outcomes(dice: random.Random, scene: Scene) -> str:
    return f"runs/{dice.choice(scene.records(Event.RUN_ENDED))['run']}/outcomes.parquet"


def _flip(file: Path, dice: random.Random) -> None:
    content = bytearray(file.read_bytes())
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    file.write_bytes(content)


def a_bit_of_a_head(dice: random.Random, scene: Scene) -> list[str]:
    name = f"{_any_manifest(dice, scene)}/{HEAD}"
    _flip(scene.storage.root / name, dice)
    return [name]


def a_bit_of_a_part(dice: random.Random, scene: Scene) -> list[str]:
    name = f"{_any_manifest(dice, scene)}/part-00000.parquet"
    _flip(scene.storage.root / name, dice)
    return [name]


def a_bit_of_an_index(dice: random.Random, scene: Scene) -> list[str]:
    name = f"{_any_manifest(dice, scene)}/{INDEX}"
    _flip(scene.storage.root / name, dice)
    return [name]


def another_rule_with_a_head_that_agrees(dice: random.Random, scene: Scene) -> list[str]:
    """The list's digest covers files, not rules: only the digest of the head tells."""
    from activities.manifests import file_digest

    manifest = _any_manifest(dice, scene)
    part, head = (scene.storage.root / manifest / name for name in ("part-00000.parquet", HEAD))
    rows = pq.read_table(part)
    rule = pa.array(["forged"] * rows.num_rows)
    pq.write_table(rows.set_column(rows.schema.get_field_index("rule"), rows.schema.field("rule"), rule), part)
    told = json.loads(head.read_text())
    told["parts"][0]["sha256"] = file_digest(part)
    head.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")
    return [f"{manifest}/part-00000.parquet", f"{manifest}/{HEAD}"]


def a_file_less(dice: random.Random, scene: Scene) -> list[str]:
    name = f"{_any_manifest(dice, scene)}/{dice.choice([HEAD, INDEX, 'part-00000.parquet'])}"
    (scene.storage.root / name).unlink()
    return [name]


def two_plans_exchanged(dice: random.Random, scene: Scene) -> list[str]:
    first, second = dice.sample([json.loads(row["body"])["manifest"] for row in scene.records(Event.PLAN_MADE)], 2)
    for file in (HEAD, INDEX, "part-00000.parquet"):
        shutil.copyfile(scene.copy / first / file, scene.storage.root / second / file)
    return [f"{second}/{file}" for file in (HEAD, INDEX, "part-00000.parquet")]


def another_outcome(dice: random.Random, scene: Scene) -> list[str]:
    name = _any_outcomes(dice, scene)
    rows = pq.read_table(scene.storage.root / name)
    place = dice.randrange(rows.num_rows)
    words = rows["outcome"].to_pylist()
    words[place] = "failed" if words[place] == "done" else "done"
    field = rows.schema.get_field_index("outcome")
    pq.write_table(rows.set_column(field, rows.schema.field("outcome"), pa.array(words)), scene.storage.root / name)
    return [name]


def no_outcomes(dice: random.Random, scene: Scene) -> list[str]:
    name = _any_outcomes(dice, scene)
    (scene.storage.root / name).unlink()
    return [name]


def another_policy(dice: random.Random, scene: Scene) -> list[str]:
    name = str(json.loads(scene.records(Event.POLICY_APPLIED)[0]["body"])["source"])
    _flip(scene.storage.root / name, dice)
    return [name]


STORAGE: dict[Callable[[random.Random, Scene], list[str]], str] = {
    a_bit_of_a_head: "changed",
    a_bit_of_a_part: "changed",
    a_bit_of_an_index: "changed",
    another_rule_with_a_head_that_agrees: "changed",
    a_file_less: "missing",
    two_plans_exchanged: "changed",
    another_outcome: "changed",
    no_outcomes: "missing",
    another_policy: "changed",
}


def _tamper_with_the_storage(scene: Scene, kind: Callable[[random.Random, Scene], list[str]], seed: int) -> None:
    names = kind(random.Random(seed), scene)
    proof = scene.proof(files=True)
    about = f"{kind.__name__}, seed {seed}: {proof.damages}"
    assert (proof.ok, proof.chain.ok, proof.doubts) == (False, True, ()), about
    assert {damage.name for damage in proof.damages} <= set(names), about
    for damage in proof.damages:
        assert damage.why.startswith(STORAGE[kind]), about
        folder = damage.name.removesuffix("/outcomes.parquet").rpartition("/")[0]
        told = next(row for row in scene.rows if row["seq"] == damage.seq)
        assert folder in told["body"] or folder in f"runs/{told['run']}", about
    for name in names:
        scene.restore(name)


def _renumber(rows: list[Row]) -> None:
    for seq, row in enumerate(rows, 1):
        row["seq"] = seq


def _chain(rows: list[Row]) -> None:
    """Make a whole chain of the rows, as anybody can who may write to the database."""
    before = GENESIS
    for seq, row in enumerate(rows, 1):
        row["seq"], row["prev_hash"] = seq, before
        row["hash"] = before = _hash(row)


def _hash(row: Row) -> str:
    return chained_hash(**{name: value for name, value in row.items() if name != "hash"})
