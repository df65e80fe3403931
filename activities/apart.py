"""Heavy work in a process of its own, so that what it takes of memory is given back when it ends.

The child is `python -m activities.apart`. It reads what it is to do from its standard input and writes its stages and
the end of its work to its standard output, each pickled behind its length. A byte on its input, or the end of it,
tells it to stop: so it never outlives the process that asked, however that ended.
"""

import asyncio
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, TypeVar

from temporalio.exceptions import ApplicationError

from activities.bulk import Bulk, in_thread
from activities.memory import use_little_memory

Value = TypeVar("Value")

SMALL = 50_000
"""Up to so many files are looked at in the process that asks: a start of Python would take longer than they do."""

AT_ONCE = 2
"""So many heavy pieces of work share the memory of this machine; others wait for their turn."""

STAGE_EVERY = 0.5
STOPS_WITHIN = 10.0
"""Seconds after which a child that was told to stop is killed."""


class Died(ApplicationError):
    """The process of a heavy piece of work ended without a word, as when memory is short: it is tried again."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type="Died")


@dataclass
class Apart:
    """Where heavy work is done: here when it is small, else in a process of its own, a few at once."""

    at_once: int = AT_ONCE
    _turns: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._turns = asyncio.Semaphore(self.at_once)

    async def do(self, bulk: Bulk, work: Callable[[Bulk], Value], files: int) -> Value:
        """Do what can be pickled to so many files; errors are the same wherever it is done."""
        if files <= SMALL:
            return await in_thread(bulk, work)
        if self._turns.locked():
            bulk.stage = "waiting for other selections on this machine"
        async with self._turns:
            return await in_process(bulk, work)


async def in_process(bulk: Bulk, work: Callable[[Bulk], Value]) -> Value:
    """Do the work in a fresh process and tell its stages; a cancellation stops it and waits for its end.

    Raises what the work raises, and Died.
    """
    asked = pickle.dumps((bulk.memory_limit, bulk.temp_dir, work))
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", __name__, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        with suppress(ConnectionError):  # A child that cannot start ends without a word, and that is told below.
            child.stdin.write(_framed(asked))
            await child.stdin.drain()
        done: Value = await _end_of(child, child.stdout, bulk)
        return done
    finally:
        await asyncio.shield(_ended(child, child.stdin))


async def _end_of(child: asyncio.subprocess.Process, said: asyncio.StreamReader, bulk: Bulk) -> Any:
    while True:
        try:
            size = int.from_bytes(await said.readexactly(_LENGTH), "big")
            kind, value = pickle.loads(await said.readexactly(size))
        except asyncio.IncompleteReadError:
            raise Died(f"the process for {bulk.stage or 'heavy work'} ended with {_code(await child.wait())}") from None
        if kind == "stage":
            bulk.stage = value
        elif kind == "raised":
            raise _chained(value)
        else:
            return value


async def _ended(child: asyncio.subprocess.Process, told: asyncio.StreamWriter) -> None:
    """Let the child stop and clean up, or make it end."""
    told.close()
    try:
        async with asyncio.timeout(STOPS_WITHIN):
            await child.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


# The child.

_LENGTH = 8


def main() -> None:
    """Do one piece of work for the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that asked: it says when to stop.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _offer_to_be_killed()
    use_little_memory()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # Whatever prints must not come between.
    asked = sys.stdin.buffer
    memory_limit, temp_dir, work = pickle.loads(asked.read(int.from_bytes(asked.read(_LENGTH), "big")))
    bulk = Bulk(memory_limit, temp_dir)
    over = threading.Event()
    telling = threading.Thread(target=_tell_stages, args=(bulk, answers, over))
    telling.start()
    threading.Thread(target=_stop_when_told, args=(asked, bulk), daemon=True).start()
    try:
        end = ("done", work(bulk))
    except BaseException as error:
        end = ("raised", _told(error))
    over.set()
    telling.join()
    with suppress(BrokenPipeError):
        answers.write(_framed(pickle.dumps(end)))
        answers.flush()
    os._exit(0)  # Threads of the libraries must not hold up the end.


def _offer_to_be_killed() -> None:
    """When memory is short, the work that can be done again is to go, and not the worker."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def _tell_stages(bulk: Bulk, answers: IO[bytes], over: threading.Event) -> None:
    told = ""
    while not over.wait(STAGE_EVERY):
        if bulk.stage != told:
            told = bulk.stage
            try:
                answers.write(_framed(pickle.dumps(("stage", told))))
                answers.flush()
            except BrokenPipeError:
                return


def _stop_when_told(asked: IO[bytes], bulk: Bulk) -> None:
    asked.read(1)
    bulk.stop()
    time.sleep(STOPS_WITHIN)
    os._exit(1)


_Parts = tuple[type[BaseException], tuple[Any, ...], dict[str, Any]]
"""What an error is made of; to call its class again would ask for what only the class knows."""


def _told(error: BaseException) -> list[_Parts]:
    """Give the error and its causes, the innermost last."""
    error.add_note("In a process of its own:\n" + "".join(traceback.format_exception(error)))
    found: list[_Parts] = []
    at: BaseException | None = error
    while at is not None:
        found.append(_parts(at))
        at = at.__cause__
    return found


def _parts(error: BaseException) -> _Parts:
    parts = (type(error), error.args, dict(vars(error)))
    try:
        if str(_error(pickle.loads(pickle.dumps(parts)))) == str(error):
            return parts
    except Exception:  # An error of a library may hold anything.
        pass
    return _parts(ApplicationError(str(error), type=type(error).__name__))


def _error(parts: _Parts) -> BaseException:
    kind, args, attributes = parts
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(attributes)
    return error


def _chained(told: list[_Parts]) -> BaseException:
    errors = [_error(parts) for parts in told]
    for error, cause in pairwise(errors):
        error.__cause__ = cause
    return errors[0]


def _framed(content: bytes) -> bytes:
    return len(content).to_bytes(_LENGTH, "big") + content


def _code(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"code {code}"


if __name__ == "__main__":
    main()
