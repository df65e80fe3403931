"""Tokens and client keys."""

from orchestrator.localhub.auth import Unauthorized
from orchestrator.localhub.call import Call, Problem, Reply, paged


def log_in(call: Call) -> Reply:
    """Answer `POST /auth/token/`."""
    username, password = call.member("username", str, required=True), call.member("password", str, required=True)
    try:
        return Reply(call.hub.auth.log_in(username, password))
    except Unauthorized as error:
        raise Problem(401, str(error)) from error


def refresh(call: Call) -> Reply:
    """Answer `POST /auth/token/refresh/`."""
    try:
        return Reply({"access": call.hub.auth.refresh(call.member("refresh", str, required=True))})
    except Unauthorized as error:
        raise Problem(401, str(error), code="token_not_valid") from error


def verify(call: Call) -> Reply:
    """Answer `POST /auth/token/verify/`."""
    token, kind = call.member("token", str, required=True), call.member("type", str, default="access")
    try:
        call.hub.auth.verify(token, kind)
    except Unauthorized as error:
        raise Problem(401, str(error), code="token_not_valid") from error
    return Reply({})


def list_keys(call: Call) -> Reply:
    """Answer `GET /auth/clientkeys/`."""
    return paged(
        call, [_shape(call, row["id"], row["name"]) | {"user": row["user"]} for row in call.hub.auth.list_keys()]
    )


def make_key(call: Call) -> Reply:
    """Answer `POST /auth/clientkeys/`: the only time that the key is shown."""
    name = call.member("name", str, required=True)
    number, key = call.hub.auth.make_key(name, call.identity.username if call.identity else "admin")
    return Reply(_shape(call, number, name) | {"api_key": key}, 201)


def get_key(call: Call) -> Reply:
    """Answer `GET /auth/clientkeys/{id}/`."""
    for row in call.hub.auth.list_keys():
        if row["id"] == call.id:
            return Reply(_shape(call, row["id"], row["name"]) | {"user": row["user"]})
    raise Problem(404, "Not found.")


def rename_key(call: Call) -> Reply:
    """Answer `PATCH /auth/clientkeys/{id}/`."""
    if not call.hub.auth.rename_key(call.id, call.member("name", str, required=True)):
        raise Problem(404, "Not found.")
    return get_key(call)


def revoke_key(call: Call) -> Reply:
    """Answer `DELETE /auth/clientkeys/{id}/`."""
    if not call.hub.auth.revoke_key(call.id):
        raise Problem(404, "Not found.")
    return Reply(status=204)


def _shape(call: Call, number: int, name: str) -> dict[str, object]:
    return {"id": number, "name": name, "url": call.url(f"/auth/clientkeys/{number}/")}
