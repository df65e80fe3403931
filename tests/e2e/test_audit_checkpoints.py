"""Checkpoints: written beside the records by whoever writes them, signed, and good for nothing when they are not."""

import asyncio
from pathlib import Path

import pytest

from activities.audit import Audit, AuditLog, AuditRecord, Event
from activities.checkpointing import Checkpointing
from activities.ledger.checkpoints import FOLDER, Checkpoint, keep_checkpoint, read_checkpoints, signed
from activities.ledger.signing import PublicKey, SigningKey, public_keys_of, signing_key_of
from activities.storage import DirectoryStorage
from orchestrator.auditing.proof import prove
from orchestrator.settings import SettingsError, load_settings
from tests.e2e.audit_runs import new_key


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    return AuditLog(f"sqlite:///{tmp_path / 'audit.sqlite'}")


@pytest.fixture
def storage(tmp_path: Path) -> DirectoryStorage:
    return DirectoryStorage(tmp_path / "store")


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return signing_key_of(new_key())


def told(number: int, event: str = Event.JOB_ENDED) -> AuditRecord:
    return AuditRecord(event=event, actor="engine", run="r", key=f"{event}/{number}", body={"n": number})


def kept(storage: DirectoryStorage) -> list[int]:
    return [one.seq for _, one in read_checkpoints(storage) if one is not None]


async def test_records_are_signed_every_so_many_and_when_a_run_ends(
    log: AuditLog, storage: DirectoryStorage, key: SigningKey
) -> None:
    checkpointing = Checkpointing(storage, key, every=10)
    audit = Audit(log, checkpointing)
    for number in range(25):
        await audit.write(told(number))
        await checkpointing.finish()
    assert kept(storage) == [10, 20]
    await audit.write(told(0, Event.RUN_ENDED))
    await checkpointing.finish()
    await audit.write(told(24))  # A retry: nothing is written, nothing is signed.
    await checkpointing.finish()
    assert kept(storage) == [10, 20, 26]
    proof = prove(log, storage, (key.public,))
    assert (proof.ok, proof.checkpoints, proof.signed) == (True, 3, 26)


async def test_a_worker_that_begins_anew_goes_on_from_the_newest_checkpoint(
    log: AuditLog, storage: DirectoryStorage, key: SigningKey
) -> None:
    for first in (0, 6):
        checkpointing = Checkpointing(storage, key, every=8)
        await asyncio.gather(*(Audit(log, checkpointing).write(told(number)) for number in range(first, first + 6)))
        await checkpointing.finish()
    assert len(kept(storage)) == 1
    assert kept(storage)[0] in range(8, 13)


async def test_a_storage_that_is_away_costs_no_record_anything(
    log: AuditLog, storage: DirectoryStorage, key: SigningKey
) -> None:
    checkpointing = Checkpointing(storage, key, every=1)
    audit = Audit(log, checkpointing)
    await audit.write(told(0))
    await checkpointing.finish()
    folder = storage.root / FOLDER
    folder.rename(folder.with_name("gone"))
    folder.write_text("in the way")
    assert (await audit.write(told(1)))[0].seq == 2
    await checkpointing.finish()
    folder.unlink()
    await audit.write(told(2))
    await checkpointing.finish()
    assert kept(storage) == [3]


def test_what_is_not_signed_by_a_named_key_proves_nothing_and_is_said(
    log: AuditLog, storage: DirectoryStorage, key: SigningKey
) -> None:
    first = log.append(told(1))
    good, other = signed(key, first.seq, first.hash), signing_key_of(new_key())
    keep_checkpoint(storage, good)
    assert prove(log, storage, (key.public,)).ok
    assert prove(log, storage, (other.public, key.public)).ok, "an earlier key still counts"
    assert "not in ORCHESTRATOR_AUDIT_PUBLIC_KEYS" in prove(log, storage, (other.public,)).doubts[0].why
    for change in ({"seq": 2}, {"hash": "0" * 64}, {"at": "2020-01-01T00:00:00.000000Z"}, {"signature": "AAAA"}):
        forged = good.model_copy(update=change)
        why = prove(log, None, (key.public,), [("noted", forged)]).doubts[0].why
        assert why == "its signature is not that of what it says"
    assert prove(log, None, (key.public,), [("noted", good.model_copy(update={"signature": "!"}))]).doubts
    (storage.root / FOLDER / "000000000009-x.json").write_text("{")
    assert "cannot be read" in prove(log, storage, (key.public,)).doubts[0].why
    assert not prove(log, storage, (key.public,)).ok


def test_a_checkpoint_that_was_kept_elsewhere_tells_what_both_places_lost(
    log: AuditLog, storage: DirectoryStorage, key: SigningKey
) -> None:
    stored = log.append_many([told(number) for number in range(5)])
    kept_elsewhere = Checkpoint.model_validate_json(signed(key, 5, stored[-1].hash).line())
    log.close()
    file = Path(str(log._database._url.database))
    for one in file.parent.glob("audit.sqlite*"):
        one.unlink()
    log = AuditLog(f"sqlite:///{file}")
    log.append_many([told(number) for number in range(3)])
    proof = prove(log, storage, (key.public,), [("noted", kept_elsewhere)])
    assert (proof.ok, proof.chain.ok, proof.broken_at) == (False, True, 4)
    assert proof.doubts[0].why.startswith("cut off: ")


def test_keys_come_from_pem_and_base64_and_are_never_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = new_key()
    secret = text.splitlines()[1]
    file = tmp_path / "key.pem"
    file.write_text(text)
    monkeypatch.setenv("ORCHESTRATOR_AUDIT_KEY_FILE", str(file))
    settings = load_settings()
    key = settings.signing_key
    assert key is not None
    assert settings.public_keys == (key.public,)
    assert secret not in f"{settings!r} {key!r} {key.public!r}"
    other = signing_key_of(new_key()).public
    monkeypatch.setenv("ORCHESTRATOR_AUDIT_PUBLIC_KEYS", f"{other.text}, {key.public.text}")
    assert load_settings().public_keys == (key.public, other)
    for wrong in ("nonsense", f"-----BEGIN PRIVATE KEY-----\n{secret[:-4]}\n-----END PRIVATE KEY-----"):
        file.write_text(wrong)
        with pytest.raises(SettingsError, match=r"ORCHESTRATOR_AUDIT_KEY: is no private key in PEM") as refused:
            load_settings()
        assert secret[:20] not in str(refused.value)
    for words in (text, "AAAA", "nonsense!"):
        with pytest.raises(ValueError, match="public key"):
            public_keys_of(words)


def test_a_public_key_is_read_from_pem_too() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = signing_key_of(new_key()).public
    raw = Ed25519PublicKey.from_public_bytes(public.raw)
    pem = raw.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert public_keys_of(f"{pem}\n{public.text}") == (public, PublicKey(raw))
