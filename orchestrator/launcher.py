"""Run a command that dies with the process that asked for it: `launcher.py PARENT_PID COMMAND ...`.

It stands alone (no import of ours, no site packages), because every service of the stack starts through it.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Bind this process to the life of the parent, then become the command."""
    parent, command = int(arguments[0]), arguments[1:]
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)  # The parent ended before the line above could bind us to it.
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
