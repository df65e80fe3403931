"""The pool triggers of a hub policy as threshold triggers: marks, and where the data goes."""

from dataclasses import dataclass
from typing import Any

from orchestrator.importing.account import Account
from orchestrator.importing.given import Given, as_flag, as_list, as_number, said
from orchestrator.importing.wording import is_line
from orchestrator.importing.yaml_text import Fields, Note
from workflows.units import percent_text

_MARKS = ("upper_threshold", "lower_threshold", "premigrate_threshold", "max_utilisation")


@dataclass(frozen=True)
class Pool:
    """One pool trigger of the Hub: pools are named in the order in which data flows."""

    name: str
    cloud: bool
    upper: float | None
    lower: float | None
    premigrate: float | None
    most: float | None


@dataclass(frozen=True)
class PoolMarks:
    """The triggers, with comments; and the pool that the data goes to, None for the Hub's target."""

    triggers: list[Any]
    destination: str | None
    marked: bool
    to_target: bool = False


def pool_marks(found: Any, filesystem: str | None, account: Account) -> PoolMarks:
    """Write a threshold trigger for each pool with marks; the next pool of the list is where its data goes."""
    listed = as_list(found)
    if listed is None:
        return PoolMarks([account.lose(f"pool triggers {said(found)}", "they are not a list")], None, False)
    triggers: list[Any] = []
    pools: list[Pool] = []
    for one in listed:
        pool, notes = _pool(one, account)
        triggers += notes
        if pool is not None:
            pools.append(pool)
    marked = False
    for pool, following in zip(pools, [*pools[1:], None], strict=False):
        if pool.upper is None and pool.lower is None:
            if pool.premigrate is not None or (pool is pools[0] and pool.most is not None):
                triggers.append(account.lose(f"marks of the pool {pool.name}", "there is no upper and lower one"))
            continue
        triggers += _trigger(pool, following, filesystem, account)
        marked = True
    ends = [pool for pool in pools[1:] if not pool.cloud]
    return PoolMarks(triggers, ends[0].name if ends else None, marked, any(pool.cloud for pool in pools[1:]))


def _pool(found: Any, account: Account) -> tuple[Pool | None, list[Note]]:
    given = Given(found)
    given.ignore("id", "policy")
    name, cloud = given.text("pool_name", "pool"), as_flag(given.take("is_cloud")) or False
    if name is None or not is_line(name):
        return None, [account.lose(f"pool trigger {said(found)}", "its pool has no name that a policy can hold")]
    marks: list[float | None] = []
    notes: list[Note] = []
    for key in _MARKS:
        value = given.take(key)
        mark, number = None, as_number(value)
        if number is not None and (1 < number < 100 or (number == 100 and key == "upper_threshold")):
            mark = number
        elif value is not None and number not in (0, 100):
            notes.append(account.lose(f"{key} {said(value)} of {name}", "it is not a percentage above 1 and up to 100"))
        marks.append(mark)
    return Pool(name, cloud, *marks), [*notes, *account.lose_rest(given)]


def _trigger(pool: Pool, following: Pool | None, filesystem: str | None, account: Account) -> list[Any]:
    words = f"marks of the pool {pool.name}"
    if pool.upper is None or pool.lower is None or pool.lower >= pool.upper:
        said_marks = f"upper {_text(pool.upper)}, lower {_text(pool.lower)}"
        return [account.lose(f"{words}: {said_marks}", "a drain needs both, the lower one below the upper one")]
    trigger = Fields().add("pool", pool.name).add("filesystem", filesystem)
    trigger.add("upper", _text(pool.upper)).add("lower", _text(pool.lower))
    if pool.premigrate is not None and pool.premigrate < pool.lower:
        trigger.add("premigrate", _text(pool.premigrate))
    elif pool.premigrate is not None:
        trigger.note(
            account.lose(f"premigrate {_text(pool.premigrate)} of {pool.name}", "it is not below the lower mark")
        )
    if pool.most is not None:
        why = "the drain begins and ends at its marks"
        trigger.note(account.lose(f"max_utilisation {_text(pool.most)} of {pool.name}", why))
    if following is not None and not following.cloud and following.name != pool.name:
        trigger.add("max_utilisation", None if following.most is None else _text(following.most))
        trigger.add("destination_pool", following.name)
    account.keep(f"{words}: {_text(pool.upper)} down to {_text(pool.lower)}")
    return [Fields().add("threshold", trigger)]


def _text(mark: float | None) -> str:
    return "none" if mark is None else percent_text(mark)
