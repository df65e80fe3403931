"""What is printed for people keeps names as they are, and is clean in a pipe."""

import pytest

from orchestrator.cli import show


@pytest.fixture(autouse=True)
def fresh_console() -> None:
    show.out.cache_clear()


def test_a_table_in_a_pipe_has_no_blank_lines_and_no_trailing_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    table = show.grid("run", ">files", "state")
    table.add_row("a", "1", "")
    table.add_row("b", "10", "running")
    show.table(table)
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], lines[2]) == ("run   files   state", "a         1")
    assert len(lines) == 4


def test_a_name_that_looks_like_markup_or_an_emoji_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    name = "/p/:apple: [red]x[/red].mov"
    show.say(name)
    show.marked("[green]ok[/]", name)
    show.facts({"File": name})
    assert capsys.readouterr().out.splitlines() == [name, f"ok  {name}", f"File  {name}"]


def test_a_long_line_in_a_pipe_stays_in_one_piece(capsys: pytest.CaptureFixture[str]) -> None:
    show.marked("ok", "word " * 100 + "end")
    assert len(capsys.readouterr().out.splitlines()) == 1


HOSTILE = "/p/\x1b[31mred\x1b[0m\x07\u202egpj\udcff\x9b1m.mov"
ESCAPED = "/p/\\x1b[31mred\\x1b[0m\\x07\\u202egpj\\xff\\u009b1m.mov"


def test_nothing_from_outside_steers_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show.say(HOSTILE)
    show.say(HOSTILE, whole=True)
    show.marked("[green]ok[/]", HOSTILE)
    show.facts({"File": HOSTILE})
    show.note(HOSTILE)
    table = show.grid("path")
    table.add_row(HOSTILE.replace("[", "\\["))
    show.table(table)
    said = capsys.readouterr()
    lines = [line for line in (said.out + said.err).splitlines() if "red" in line]
    assert len(lines) == 6
    for line in lines[:4] + lines[5:]:
        assert line.removeprefix("ok  ").removeprefix("File  ") == ESCAPED
    assert "\x1b" not in lines[4] and "\u202e" not in lines[4]


def test_the_ends_of_lines_and_plain_words_stay_as_they_are() -> None:
    assert show.harmless("é日本…\n  two") == "é日本…\n  two"


def test_colours_are_still_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from rich.console import Console

    screen = Console(force_terminal=True, color_system="standard", file=io.StringIO(), highlight=False)
    show._harmless(screen).print("[green]ok[/] \x1b[31m")
    written = screen.file.getvalue()  # type: ignore[attr-defined]
    assert written == "\x1b[32mok\x1b[0m \\x1b[31m\n"
