"""Names that are not UTF-8 survive every store, and people can read them."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workflows.names import extension, name_of, printable, shown, to_path, to_text

ANY = st.text(st.characters(codec=None), max_size=40)
NASTY = st.text(
    st.one_of(
        st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF, categories=["Cs"]),
        st.characters(min_codepoint=0x10F800, max_codepoint=0x10FFFF),
        st.sampled_from("a/.\n"),
    ),
    max_size=12,
)


def as_sent(path: str) -> str:
    """The path after a trip through JSON, which joins the two halves of a surrogate pair."""
    return str(json.loads(json.dumps(path)))


@given(st.one_of(ANY, NASTY))
@example("\udcff.mov")
@example("\U0010ffff")
def test_path_text_is_valid_utf8_and_gives_the_exact_path_back(path: str) -> None:
    text = to_text(path)
    assert text.encode("utf-8").decode("utf-8") == text
    assert as_sent(to_path(text)) == as_sent(path)


@given(st.binary(max_size=60))
def test_every_name_made_of_bytes_comes_back_as_the_same_bytes(name: bytes) -> None:
    path = name.decode("utf-8", "surrogateescape")
    assert to_path(to_text(path)) == path
    assert to_path(to_text(path)).encode("utf-8", "surrogateescape") == name


@given(NASTY, NASTY)
def test_different_names_have_different_texts(left: str, right: str) -> None:
    assert (to_text(left) == to_text(right)) <= (as_sent(left) == as_sent(right))


def test_ordinary_names_are_their_own_text() -> None:
    for path in ("/mmfs1/a b/c.mov", "/mmfs1/ünï/日本.mxf", "/mmfs1/🎬.dpx"):
        assert to_text(path) == path
        assert to_path(path) == path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a/x.MOV", "mov"),
        ("/a/x.tar.gz", "gz"),
        ("/a.b/x", None),
        ("/a/.bashrc", None),
        ("/a/.config.JSON", "json"),
        ("/a/x.", None),
        ("/a/x.İMG", "İmg"),
        ("/a/\n.m\nv", "m\nv"),
        ("/a/b.d/", None),
    ],
)
def test_the_extension_is_what_follows_the_last_dot_of_the_name(path: str, expected: str | None) -> None:
    assert extension(path) == expected


def test_the_name_is_the_last_component() -> None:
    assert name_of("/a/b.c") == "b.c"
    assert name_of("b") == "b"


def test_people_see_bytes_and_control_characters_escaped_on_one_line() -> None:
    assert shown("/a/\udcff\n\t\x1b[31m\x7f.mov") == "/a/\\xff\\n\\t\\x1b[31m\\x7f.mov"
    assert shown(to_text("/a/\udcff")) == "/a/\\xff"
    assert shown("/a/\u202egpj.exe") == "/a/\\u202egpj.exe"
    assert shown("/a\\n") == "/a\\\\n" != shown("/a\n")
    assert printable("lost: " + shown("/a\n")) == "lost: /a\\n"
    assert shown("/ünï/日本") == "/ünï/日本"
