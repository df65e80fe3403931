"""What became of each path, and the tasks that worked on them."""

import sqlite3
from typing import Any

from orchestrator.localhub.api.jobs import percent
from orchestrator.localhub.call import Call, Page, Problem, Reply, envelope, raw_path
from orchestrator.localhub.names import text_of


def list_jobstats(call: Call) -> Reply:
    """Answer `GET /jobstats/`."""
    terms, values = ["state != 'discovered'"], list[Any]()
    if (job := call.whole("job")) is not None:
        terms.append("job = ?")
        values.append(job)
    if states := [state.lower() for state in call.words("state")]:
        terms.append(f"state IN ({','.join('?' * len(states))})")
        values.extend(states)
    if path := call.text("path"):
        terms.append("path = ?")
        values.append(raw_path(path))
    rows, count, page = select(call, "paths", " AND ".join(terms), values)
    return Reply(envelope(call, page, count, [jobstat_shape(call, row) for row in rows]))


def get_jobstat(call: Call) -> Reply:
    """Answer `GET /jobstats/{id}/`."""
    shape = jobstat_shape(call, _row(call, "paths"))
    del shape["url"]
    return Reply(shape)


def history_of_jobstat(call: Call) -> Reply:
    """Answer `GET /jobstats/{id}/history/`: the row as it is, with what it was before each resubmission."""
    row = _row(call, "paths")
    before = call.hub.store.read().execute("SELECT * FROM history WHERE path = ? ORDER BY id", (row["id"],))
    shape = jobstat_shape(call, row)
    del shape["url"]
    states = [{"state": old["state"], "code": old["code"] or "", "message": old["message"] or ""} for old in before]
    return Reply(shape | {"history": states})


def list_tasks(call: Call) -> Reply:
    """Answer `GET /tasks/`."""
    terms, values = ["1"], list[Any]()
    for column, value in (
        ("job", call.whole("job_id")),
        ("tasktype", call.text("tasktype")),
        ("task_id", call.text("task_id")),
    ):
        if value is not None:
            terms.append(f"{column} = ?")
            values.append(value)
    if states := [state.upper() for state in call.words("state")]:
        terms.append(f"state IN ({','.join('?' * len(states))})")
        values.extend(states)
    rows, count, page = select(call, "tasks", " AND ".join(terms), values)
    return Reply(envelope(call, page, count, [task_shape(call, row) for row in rows]))


def get_task(call: Call) -> Reply:
    """Answer `GET /tasks/{id}/`."""
    return Reply(_task_detail(call, _row(call, "tasks")))


def files_of_task(call: Call) -> Reply:
    """Answer `GET /tasks/{id}/files/`: the task, with a page of its paths as `results`."""
    task = _row(call, "tasks")
    terms, values = ["task = ? AND job = ? AND state != 'discovered'"], [task["id"], task["job"]]
    if state := call.text("state"):
        terms.append("state = ?")
        values.append(state.lower())
    rows, count, page = select(call, "paths", " AND ".join(terms), values)
    paging = envelope(call, page, count, [jobstat_shape(call, row) for row in rows])
    return Reply(_task_detail(call, task) | paging)


def jobstat_shape(call: Call, row: sqlite3.Row) -> dict[str, Any]:
    """Write one path's outcome."""
    number, dialect = call.hub.dialect.number, call.hub.dialect
    return {
        "id": number(row["id"]),
        "url": call.url(f"/jobstats/{row['id']}/"),
        "job": number(row["job"]),
        "task": number(row["task"]),
        "path": text_of(row["path"]),
        "state": dialect.path_states[row["state"]],
        "code": row["code"] or "",
        "message": row["message"] or "",
    }


def task_shape(call: Call, row: sqlite3.Row) -> dict[str, Any]:
    """Write one task."""
    number = call.hub.dialect.number
    return {
        "id": number(row["id"]),
        "url": call.url(f"/tasks/{row['id']}/"),
        "job": number(row["job"]),
        "task_id": row["task_id"],
        "tasktype": row["tasktype"],
        "site": call.hub.config.site,
        "state": row["state"],
        "started": call.hub.dialect.time(row["started"]),
        "parents": [],
        "dynamic_parents": [],
    }


def select(call: Call, table: str, where: str, values: list[Any]) -> tuple[list[sqlite3.Row], int, Page]:
    """Read one page of a table, and count what meets the condition."""
    page, database = call.page(), call.hub.store.read()
    count = database.execute(f"SELECT count(*) FROM {table} WHERE {where}", values).fetchone()[0]
    limit = -1 if page.size is None else page.size
    sql = f"SELECT * FROM {table} WHERE {where} ORDER BY id LIMIT ? OFFSET ?"
    return database.execute(sql, (*values, limit, page.offset)).fetchall(), int(count), page


def _task_detail(call: Call, row: sqlite3.Row) -> dict[str, Any]:
    job = call.hub.jobs.get(row["job"])
    runtime = None if row["completed"] is None or row["started"] is None else (row["completed"] - row["started"]) / 1e6
    result = {} if job is None else {"progress": percent(job), "processed": job["processed"], "failed": job["failed"]}
    return task_shape(call, row) | {
        "completed": call.hub.dialect.time(row["completed"]),
        "friendly_name": row["tasktype"].rpartition(".")[2].capitalize(),
        "paths": [],
        "result": result,
        "runtime": runtime,
    }


def _row(call: Call, table: str) -> sqlite3.Row:
    row: sqlite3.Row | None = (
        call.hub.store.read().execute(f"SELECT * FROM {table} WHERE id = ?", (call.id,)).fetchone()
    )
    if row is None:
        raise Problem(404, "Not found.")
    return row
