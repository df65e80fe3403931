"""Where the program begins, as `orchestrator` and as `python -m orchestrator`."""

import os
import sys


def main() -> None:
    """Run the command line; an interrupt while it is still being read ends as one later does."""
    try:
        from orchestrator.cli.main import main as run
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted.\n")
        sys.stderr.flush()
        os._exit(130)
    run()


if __name__ == "__main__":
    main()
