"""What people and scripts read: tables and figures for the one, JSON documents for the other.

Names, messages and values come from outside and may hold anything. Who prints one puts it on one line with `shown` or
`printable` (`workflows/names.py`); whatever was forgotten is escaped here, so that nothing steers a terminal.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from workflows.names import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, ConsoleRenderable
    from rich.segment import Segment
    from rich.table import Table

_PIPE_WIDTH = 240
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


@cache
def out() -> "Console":
    """The console of a command's answer: standard output."""
    from rich.console import Console

    # In a pipe nobody looks at the width: names and digests stay in one piece.
    return _harmless(Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH))


@cache
def err() -> "Console":
    """The console of what goes on meanwhile, and of errors: standard error."""
    from rich.console import Console

    return _harmless(Console(stderr=True, highlight=False, emoji=False))


def harmless(text: str) -> str:
    """Escape whatever could steer a terminal or mislead its reader; the ends of lines stay."""
    return "\n".join(map(printable, text.split("\n")))


def say(text: str = "", style: str | None = None, *, whole: bool = False) -> None:
    """Print a line of the answer; `whole` keeps it in one piece however long it is, so that it can be copied."""
    out().print(harmless(text), style=style, markup=False, soft_wrap=whole or not out().is_terminal)


def marked(mark: str, text: str) -> None:
    """Print a line behind a mark (markup); on a terminal it wraps by words beside the mark."""
    from rich.table import Table
    from rich.text import Text

    text = harmless(text)
    if not out().is_terminal or " " not in text:
        out().print(Text.from_markup(f"{mark}  ") + Text(text), soft_wrap=True)
        return
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_column(no_wrap=True)
    line.add_column(overflow="fold")
    line.add_row(mark, Text(text))
    out().print(line)


def table(rows: "Table") -> None:
    """Print a table; in a pipe without the blanks that make it airy."""
    if out().is_terminal:
        out().print(rows)
        return
    with out().capture() as drawn:
        out().print(rows)
    lines = "\n".join(line.rstrip() for line in drawn.get().splitlines())
    sys.stdout.write(dedent(lines.strip("\n")) + "\n")
    sys.stdout.flush()


def note(text: str, style: str | None = "dim") -> None:
    """Print a line about what goes on, apart from the answer."""
    err().print(harmless(text), style=style, markup=False, soft_wrap=not err().is_terminal)


def document(value: Any) -> None:
    """Print one JSON document on a line of its own; any byte of a name survives every locale."""
    sys.stdout.write(json.dumps(value, default=_plain) + "\n")
    sys.stdout.flush()


def plain(text: str) -> None:
    """Print text for another program as it is."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def grid(*columns: str, title: str | None = None) -> "Table":
    """An airy table without lines; a column that starts with `>` holds figures."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", header_style="bold", pad_edge=False)
    for column in columns:
        figures = column.startswith(">")
        table.add_column(
            column.removeprefix(">"), justify="right" if figures else "left", no_wrap=figures, overflow="fold"
        )
    return table


def facts(pairs: Mapping[str, str]) -> None:
    """Print names with their values, aligned."""
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        marked(f"[dim]{name:<{width}}[/]", value)


@contextmanager
def waiting(text: str) -> Iterator[Any]:
    """Show that something longer goes on; the line goes away at the end."""
    if not err().is_terminal:
        yield None
        return
    with err().status(text, spinner="dots") as status:
        yield status


def size(count: int | float) -> str:
    """Bytes as people read them."""
    value, unit = float(count), 0
    while abs(value) >= 1023.95 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{int(value)} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def number(count: int | float) -> str:
    """A count with separators."""
    return f"{count:,.0f}"


def span(length: timedelta | float) -> str:
    """A length of time in its two greatest units."""
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    parts = []
    rest = round(seconds)
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        value, rest = divmod(rest, unit)
        if value:
            parts.append(f"{value} {name}")
    return " ".join(parts[:2])


def moment(when: datetime | None) -> str:
    """A time in the zone of the reader."""
    return "" if when is None else when.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def stamp(when: datetime | None) -> str | None:
    """A time for a script: RFC 3339 in UTC."""
    return None if when is None else when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def counted(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def state(word: str) -> str:
    """A run's or job's state, in the colour of its kind, as markup."""
    colour = {"succeeded": "green", "running": "cyan", "waiting": "yellow", "paused": "yellow", "failed": "red"}
    return f"[{colour.get(word, 'magenta')}]{word}[/]"


def actor() -> str:
    """Who gives this command, for the audit."""
    import getpass
    import socket

    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.getuid()}"
    return f"{name}@{socket.gethostname()}"


def _harmless(console: "Console") -> "Console":
    """Let this console write nothing but its own control codes."""
    console.push_render_hook(_Escaping())  # type: ignore[arg-type]  # Its base would cost every command the import.
    return console


class _Escaping:
    """Puts everything that is printed behind an escape."""

    def process_renderables(self, renderables: "list[ConsoleRenderable]") -> "list[ConsoleRenderable]":
        return [_Escaped(one) for one in renderables]


class _Escaped:
    """A thing to print whose text is escaped at last; what its author escaped already is not changed."""

    def __init__(self, whole: "ConsoleRenderable") -> None:
        self._whole = whole

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterable[Segment]":
        from rich.segment import Segment

        for segment in console.render(self._whole, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return str(value)
