"""A question to the person at the terminal, while the engine's connections stay open."""

import asyncio
import sys


async def confirmed(question: str) -> bool:
    """Ask until the answer is yes or no; no is what Enter and the end of input say.

    No thread waits for the answer: the event loop would wait for the thread, and Ctrl-C for the next Enter.
    """
    while True:
        sys.stdout.write(f"{question} [y/N]: ")
        sys.stdout.flush()
        match (await _line()).strip().lower():
            case "y" | "yes":
                return True
            case "" | "n" | "no":
                return False
        sys.stdout.write("Please answer y or n.\n")


async def _line() -> str:
    loop, there = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(sys.stdin)
    return sys.stdin.readline()
