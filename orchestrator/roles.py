"""Roles: what the holder of a token may do."""

from enum import StrEnum
from typing import Final


class Right(StrEnum):
    """One thing that somebody may do."""

    READ = "read"
    STEER = "steer"
    APPROVE = "approve"
    ADMINISTER = "administer"


class Role(StrEnum):
    """The role of a person; operator and approver know nothing of each other, so that four eyes stay four."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"

    def may(self, right: Right) -> bool:
        """Tell whether somebody in this role may do that."""
        return right in RIGHTS[self]


RIGHTS: Final[dict[Role, frozenset[Right]]] = {
    Role.VIEWER: frozenset({Right.READ}),
    Role.OPERATOR: frozenset({Right.READ, Right.STEER}),
    Role.APPROVER: frozenset({Right.READ, Right.APPROVE}),
    Role.ADMIN: frozenset(Right),
}


def who_may(right: Right) -> str:
    """Name the roles that may do something, for a sentence."""
    return " or ".join(role for role in Role if role.may(right))


def roles_of_groups(text: str) -> dict[str, Role]:
    """Read `GROUP=ROLE, ...`; raises ValueError for a word that is no role."""
    found: dict[str, Role] = {}
    for one in filter(None, (part.strip() for part in text.split(","))):
        group, equals, role = (part.strip() for part in one.rpartition("="))
        if not equals or not group or role not in list(Role):
            raise ValueError(f"{one!r}: expected GROUP=ROLE with one of the roles {', '.join(Role)}")
        found[group] = Role(role)
    return found
