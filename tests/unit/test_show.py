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
