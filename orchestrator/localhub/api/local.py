"""What only a local Hub has, beside the API: its faults, its speed, and its counters."""

from typing import Any

from orchestrator.localhub.call import Call, Problem, Reply
from orchestrator.localhub.faults import BadFaults
from orchestrator.localhub.names import text_of


def get_faults(call: Call) -> Reply:
    """Give the rules in force, and how often each was met and fired."""
    return Reply({"faults": call.hub.faults.document, "fired": call.hub.faults.counters()})


def set_faults(call: Call) -> Reply:
    """Put new rules in force."""
    try:
        call.hub.faults.set(call.document())
    except BadFaults as error:
        raise Problem(400, str(error)) from error
    return get_faults(call)


def clear_faults(call: Call) -> Reply:
    """Take all rules away; stuck jobs go on."""
    call.hub.faults.set({})
    call.hub.runner.unstick()
    return Reply(status=204)


def get_counters(call: Call) -> Reply:
    """Count the requests since the start, by operation."""
    return Reply(dict(sorted(call.hub.counters.items())))


def get_processed(call: Call) -> Reply:
    """Say how often each path was processed, of one workflow if wanted."""
    workflow, found = call.text("workflow"), dict[str, int]()
    for row in call.hub.store.read().execute(
        "SELECT * FROM processed WHERE ? IS NULL OR workflow = ?", (workflow, workflow)
    ):
        path = text_of(row["path"])
        found[path] = found.get(path, 0) + row["count"]
    return Reply(found)


def get_throttle(call: Call) -> Reply:
    """Say how slow the Hub is told to be."""
    throttle = call.hub.throttle
    return Reply({"file_delay": throttle.file_delay, "bytes_per_second": throttle.bytes_per_second})


def set_throttle(call: Call) -> Reply:
    """Make the Hub slow, or fast again, until it ends."""
    values: dict[str, Any] = {
        "file_delay": float(call.member("file_delay", (int, float), default=0)),
        "bytes_per_second": call.member("bytes_per_second", int),
    }
    call.hub.throttle.file_delay, call.hub.throttle.bytes_per_second = values["file_delay"], values["bytes_per_second"]
    return get_throttle(call)


def expire_tokens(call: Call) -> Reply:
    """Make every token that was given so far an expired one."""
    call.hub.auth.expire_tokens("access", *(["refresh"] if call.truth("refresh") else []))
    return Reply(status=204)


def recount(call: Call) -> Reply:
    """Count the pools' blocks now."""
    call.hub.pools.recount()
    return Reply({pool.name: {"used": pool.used, "capacity": pool.capacity} for pool in call.hub.measure()})
