"""Workflows, and the Hub's configuration."""

import json

from orchestrator.localhub.call import Call, Problem, Reply, paged


def list_workflows(call: Call) -> Reply:
    """Answer `GET /workflows/`."""
    return paged(call, call.hub.workflows.all())


def get_workflow(call: Call) -> Reply:
    """Answer `GET /workflows/{id}/`."""
    workflow = call.hub.workflows.get(call.id)
    if workflow is None:
        raise Problem(404, "Not found.")
    return Reply(workflow)


def change_workflow(call: Call) -> Reply:
    """Answer `PATCH /workflows/{id}/`."""
    for name in ("enabled", "schedule_only", "visible"):
        call.member(name, bool)
    workflow = call.hub.workflows.change(call.id, call.document())
    if workflow is None:
        raise Problem(404, "Not found.")
    return Reply(workflow)


def get_configurations(call: Call) -> Reply:
    """Answer `GET /configurations/`."""
    return Reply(call.hub.configurations())


def change_configurations(call: Call) -> Reply:
    """Answer `PATCH /configurations/`."""
    known = call.hub.configurations()
    changes = {}
    for key, value in call.document().items():
        if key not in known:
            continue
        if not isinstance(value, type(known[key])) and not (isinstance(known[key], float) and isinstance(value, int)):
            raise Problem(400, f"{key}: a value of the wrong type")
        changes[key] = value
    with call.hub.store.write() as database:
        values = ("configurations", json.dumps(known | changes))
        database.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", values)
    return Reply(call.hub.configurations())
