"""Hub schedules with their workflows, hub policies, and the list of both."""

from typing import Any

from orchestrator.localhub.call import Call, Problem, Reply, paged, raw_path
from orchestrator.localhub.documents import POLICY, SCHEDULE, SCHEDULE_WORKFLOW, blank_policy, blank_schedule
from orchestrator.localhub.jobs import NewJob

_READ_ONLY = ("id", "url", "created")


def list_schedules(call: Call) -> Reply:
    """Answer `GET /schedules/`."""
    found = call.hub.documents.all(SCHEDULE)
    if call.whole("site_id") not in (None, 1):
        found = []
    if (space := call.whole("space_id")) is not None:
        row = call.hub.spaces.get(space)
        found = [one for one in found if row is not None and one["space"] == row["name"]]
    return paged(call, [_schedule(call, one) for one in found])


def get_schedule(call: Call) -> Reply:
    """Answer `GET /schedules/{id}/`."""
    return Reply(_schedule(call, _one(call, SCHEDULE, call.id)))


def make_schedule(call: Call) -> Reply:
    """Answer `POST /schedules/`."""
    call.member("name", str, required=True)
    _check_site(call, call.member("site", str, required=True))
    number = call.hub.documents.make(SCHEDULE, blank_schedule(call.hub.config.site) | _given(call))
    return Reply(_schedule(call, _one(call, SCHEDULE, number)), 201)


def change_schedule(call: Call) -> Reply:
    """Answer `PATCH /schedules/{id}/`."""
    return Reply(_schedule(call, _changed(call, SCHEDULE, call.id)))


def delete_schedule(call: Call) -> Reply:
    """Answer `DELETE /schedules/{id}/`."""
    return _deleted(call, SCHEDULE, call.id)


def run_schedule(call: Call) -> Reply:
    """Answer `POST /schedules/{id}/run/`: a job for each of its workflows over the managed paths."""
    schedule, hub = _one(call, SCHEDULE, call.id), call.hub
    paths = [raw_path(path, "managed_paths") for path in schedule["managed_paths"]]
    jobs = []
    for workflow in hub.documents.all(SCHEDULE_WORKFLOW, schedule["id"]):
        if hub.workflows.named(workflow["workflow"]) is None or workflow["queue"] not in hub.queues or not paths:
            continue
        new = NewJob(
            workflow=workflow["workflow"],
            site=hub.config.site,
            queue=workflow["queue"],
            paths=paths,
            discovery=schedule["discovery"],
            fields=workflow["fields"],
            schedule=schedule["id"],
            stuck=hub.faults.sticks(workflow["workflow"]),
        )
        jobs.append(hub.jobs.make(new))
        hub.take_up(jobs[-1])
    return Reply(_schedule(call, schedule) | {"jobs": jobs})


def list_schedule_workflows(call: Call) -> Reply:
    """Answer `GET /schedules/{parent}/workflows/`."""
    parent = _parent(call)
    found = call.hub.documents.all(SCHEDULE_WORKFLOW, parent)
    return paged(call, [_schedule_workflow(call, parent, one) for one in found])


def make_schedule_workflow(call: Call) -> Reply:
    """Answer `POST /schedules/{parent}/workflows/`."""
    parent = _parent(call)
    _check_site(call, call.member("site", str, required=True))
    call.member("workflow", str, required=True)
    body = {"queue": "default", "fields": {}} | _given(call)
    number = call.hub.documents.make(SCHEDULE_WORKFLOW, body, parent)
    return Reply(_schedule_workflow(call, parent, _one(call, SCHEDULE_WORKFLOW, number, parent)), 201)


def get_schedule_workflow(call: Call) -> Reply:
    """Answer `GET /schedules/{parent}/workflows/{id}/`."""
    parent = _parent(call)
    return Reply(_schedule_workflow(call, parent, _one(call, SCHEDULE_WORKFLOW, call.id, parent)))


def change_schedule_workflow(call: Call) -> Reply:
    """Answer `PATCH /schedules/{parent}/workflows/{id}/`."""
    parent = _parent(call)
    return Reply(_schedule_workflow(call, parent, _changed(call, SCHEDULE_WORKFLOW, call.id, parent)))


def delete_schedule_workflow(call: Call) -> Reply:
    """Answer `DELETE /schedules/{parent}/workflows/{id}/`."""
    _one(call, SCHEDULE_WORKFLOW, call.id, _parent(call))
    return _deleted(call, SCHEDULE_WORKFLOW, call.id)


def list_policies(call: Call) -> Reply:
    """Answer `GET /policies/`."""
    return paged(call, [_policy(call, one) for one in call.hub.documents.all(POLICY)])


def get_policy(call: Call) -> Reply:
    """Answer `GET /policies/{id}/`."""
    return Reply(_policy(call, _one(call, POLICY, call.id)))


def make_policy(call: Call) -> Reply:
    """Answer `POST /policies/`."""
    call.member("name", str, required=True)
    number = call.hub.documents.make(POLICY, blank_policy() | _given(call))
    return Reply(_written_policy(call, _one(call, POLICY, number)), 201)


def change_policy(call: Call) -> Reply:
    """Answer `PATCH /policies/{id}/`."""
    return Reply(_written_policy(call, _changed(call, POLICY, call.id)))


def delete_policy(call: Call) -> Reply:
    """Answer `DELETE /policies/{id}/`."""
    return _deleted(call, POLICY, call.id)


def list_automated_schedules(call: Call) -> Reply:
    """Answer `GET /automatedschedules/`: the timetable of schedules and policies together."""
    found = []
    for schedule in call.hub.documents.all(SCHEDULE):
        workflows = call.hub.documents.all(SCHEDULE_WORKFLOW, schedule["id"])
        discovery = {
            "discovery_id": schedule["id"],
            "discovery_name": schedule["discovery"],
            "discovery_workflow": workflows[0]["workflow"] if workflows else None,
            "discovery_managed_paths": schedule["managed_paths"],
        }
        found.append(_timetable(call, schedule, schedule, "discovery", [schedule["space"]]) | discovery)
    for policy in call.hub.documents.all(POLICY):
        if not policy["schedule"]:
            continue
        names = {"policy_id": policy["id"], "policy_name": policy["name"]}
        found.append(_timetable(call, policy, policy["schedule"], "policy", policy["spaces"]) | names)
    return paged(call, found)


def _timetable(call: Call, one: dict[str, Any], cron: dict[str, Any], kind: str, spaces: list[Any]) -> dict[str, Any]:
    fields = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
    shape = {field: cron.get(field, "*") for field in fields}
    about = {"name": one["name"], "enabled": one["enabled"], "schedule_type": kind}
    return shape | about | {"site_name": call.hub.config.site, "spaces": spaces}


def _schedule(call: Call, one: dict[str, Any]) -> dict[str, Any]:
    return one | {"url": call.url(f"/schedules/{one['id']}/")}


def _schedule_workflow(call: Call, parent: int, one: dict[str, Any]) -> dict[str, Any]:
    return one | {"url": call.url(f"/schedules/{parent}/workflows/{one['id']}/")}


def _policy(call: Call, one: dict[str, Any]) -> dict[str, Any]:
    return one | {"created": call.hub.dialect.file_time(one["created"])}


def _written_policy(call: Call, one: dict[str, Any]) -> dict[str, Any]:
    """What was written is answered with the number of its order, not with the order itself."""
    order = one["order"]
    return _policy(call, one) | {"order": order.get("id", 1) if isinstance(order, dict) else order}


def _given(call: Call) -> dict[str, Any]:
    return {key: value for key, value in call.document().items() if key not in _READ_ONLY}


def _changed(call: Call, kind: str, number: int, parent: int | None = None) -> dict[str, Any]:
    one = _one(call, kind, number, parent) | _given(call)
    call.hub.documents.change(number, {key: value for key, value in one.items() if key != "id"})
    return _one(call, kind, number, parent)


def _deleted(call: Call, kind: str, number: int) -> Reply:
    if not call.hub.documents.delete(kind, number):
        raise Problem(404, "Not found.")
    return Reply(status=204)


def _one(call: Call, kind: str, number: int, parent: int | None = None) -> dict[str, Any]:
    found = call.hub.documents.get(kind, number, parent)
    if found is None:
        raise Problem(404, "Not found.")
    return found


def _parent(call: Call) -> int:
    text = call.path_params["parent_lookup_schedule"]
    if not text.isdecimal():
        raise Problem(404, "Not found.")
    return int(_one(call, SCHEDULE, int(text))["id"])


def _check_site(call: Call, site: str) -> None:
    if site not in (call.hub.config.site, "1"):
        raise Problem(400, f"site: there is no site {site!r}")
