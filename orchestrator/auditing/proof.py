"""The proof of the audit: the chain, the signed checkpoints, hashes noted elsewhere, and what the storage holds."""

from collections.abc import Callable, Iterator, Sequence

from activities.ledger.checkpoints import Checkpoint, read_checkpoints
from activities.ledger.log import AuditLog
from activities.ledger.signing import PublicKey
from activities.ledger.verdict import Break, Verdict
from activities.storage import Storage
from orchestrator.auditing.evidence import Damage, Evidence
from workflows.payload import Payload

MOST_DAMAGES = 100
"""Of more files that are not what they were the rest is counted, not listed."""

Tell = Callable[[str], None]


class Doubt(Payload):
    """A checkpoint that the chain does not keep (`at` is the first record that is not proven), or that proves nothing.

    `name` is the checkpoint's in the storage, or where it was noted.
    """

    name: str
    at: int | None = None
    why: str


class Proof(Payload):
    """What was looked at, and all that was found; `ok` only when nothing is wrong.

    `chain` says which record is the first that is broken, `further` up to twenty others; `signed` is the last record
    whose hash a good checkpoint has, and `signed_at` when that was signed; `doubts` speak of checkpoints, `damages` of
    the storage.
    """

    ok: bool
    chain: Verdict
    further: tuple[Break, ...] = ()
    checkpoints: int = 0
    signed: int | None = None
    signed_at: str | None = None
    doubts: tuple[Doubt, ...] = ()
    files: int | None = None
    damages: tuple[Damage, ...] = ()
    damages_in_all: int = 0

    @property
    def broken_at(self) -> int | None:
        """The first record that is not as it was written, as far as chain and checkpoints tell."""
        places = [self.chain.broken_at, *(doubt.at for doubt in self.doubts)]
        return min((place for place in places if place is not None), default=None)


def prove(
    log: AuditLog,
    storage: Storage | None = None,
    keys: Sequence[PublicKey] = (),
    noted: Sequence[tuple[str, Checkpoint]] = (),
    *,
    files: bool = True,
    tell: Tell = lambda text: None,
) -> Proof:
    """Walk the whole chain and hold it against all that was signed, and against what the storage holds.

    `noted` are checkpoints that were kept elsewhere, each with a name. Without public keys the storage's checkpoints
    say nothing; without a storage, or with `files=False`, no file is looked at. May raise AuditUnavailable.
    """
    chain = log.verify(tell=lambda count: tell(f"record {count:,}"))
    found = list(noted)
    doubts: list[Doubt] = []
    if storage is not None and keys:
        tell("the signed checkpoints")
        for name, checkpoint in read_checkpoints(storage):
            if checkpoint is None:
                doubts.append(Doubt(name=name, why="it cannot be read"))
            else:
                found.append((name, checkpoint))
    good = []
    for name, checkpoint in found:
        trouble = checkpoint.trouble(keys)
        if trouble is None:
            good.append((name, checkpoint))
        else:
            doubts.append(Doubt(name=name, why=trouble))
    good.sort(key=lambda one: one[1].seq)
    kept = log.hashes([checkpoint.seq for _, checkpoint in good])
    doubts += _broken(good, kept, chain)
    standing = [checkpoint for _, checkpoint in good if kept.get(checkpoint.seq) == checkpoint.hash]
    damages: list[Damage] = []
    in_all, looked_at = 0, None
    if storage is not None and files:
        evidence = Evidence(log, storage, lambda count: tell(f"file {count:,} of manifests and outcomes"))
        for damage in evidence.damages():
            in_all += 1
            if in_all <= MOST_DAMAGES:
                damages.append(damage)
        looked_at = evidence.files
    return Proof(
        ok=chain.ok and not doubts and not in_all,
        chain=chain,
        further=() if chain.broken_at is None else tuple(log.further_breaks(chain.broken_at)),
        checkpoints=len(good),
        signed=standing[-1].seq if standing else None,
        signed_at=standing[-1].at if standing else None,
        doubts=tuple(doubts),
        files=looked_at,
        damages=tuple(damages),
        damages_in_all=in_all,
    )


def _broken(good: Sequence[tuple[str, Checkpoint]], kept: dict[int, str], chain: Verdict) -> Iterator[Doubt]:
    """Name the first checkpoint whose record is another now, and the last one whose record is gone.

    The first record in doubt follows the last one that a checkpoint still fits. What lies behind a break of the chain
    says no more than the break did.
    """
    sound = 0
    gone: tuple[str, Checkpoint] | None = None
    for name, checkpoint in good:
        found = kept.get(checkpoint.seq)
        if found is None:
            gone = name, checkpoint
        elif chain.broken_at is not None and checkpoint.seq >= chain.broken_at:
            break
        elif found == checkpoint.hash:
            sound = checkpoint.seq
        else:
            span = f"records {sound + 1} to {checkpoint.seq}" if checkpoint.seq > sound + 1 else f"record {sound + 1}"
            why = f"rewritten: {_said(checkpoint)}, and it has {found}; look at {span}"
            yield Doubt(name=name, at=sound + 1, why=why)
            break
    if gone is not None and chain.ok:
        name, checkpoint = gone
        yield Doubt(
            name=name, at=chain.count + 1, why=f"cut off: {_said(checkpoint)}, and the chain ends at {chain.count}"
        )


def _said(checkpoint: Checkpoint) -> str:
    return f"at {checkpoint.at} it was signed that record {checkpoint.seq} has the hash {checkpoint.hash}"
