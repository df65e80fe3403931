"""Globs: the matcher, Python's regular expressions and RE2 agree with an independent reading of the rules."""

import re

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workflows.conditions import glob_regex
from workflows.globs import glob_matches, glob_parts

CASES = [
    ("*.mov", "a.mov", True),
    ("*.mov", "a/b.mov", False),
    ("**.mov", "a/b.mov", True),
    ("**/x", "x", True),
    ("**/x", "/x", True),
    ("**/x", "/a/b/x", True),
    ("**/x", "/a/bx", False),
    ("/a/**/b", "/a/b", True),
    ("/a/**/b", "/a/x/y/b", True),
    ("/a/**/b", "/axb", False),
    ("/a/**", "/a/b", True),
    ("/a/**", "/a", False),
    ("/a/**", "/ab", False),
    ("**/.snapshots/**", "/p/.snapshots/x", True),
    ("**/.snapshots/**", "/p/my.snapshots/x", False),
    ("/a/?", "/a/b", True),
    ("/a?b", "/a/b", False),
    ("[ab]", "b", True),
    ("[!ab]", "c", True),
    ("[!ab]", "/", False),
    ("[!a]", "\n", True),
    ("a*b", "a\nb", True),
    ("[+-9]", "/", False),
    ("[]]", "]", True),
    ("[a-]", "-", True),
    ("[^a]", "^", True),
    ("[[]", "[", True),
    ("a.b", "axb", False),
    ("a\\b", "a\\b", True),
    ("(a|b)+$", "(a|b)+$", True),
    ("?", "é", True),
    ("?", "\U0010f8ff", True),
]


def re2_matches(pattern: str, text: str) -> bool:
    row = duckdb.execute("SELECT regexp_full_match(?, ?)", [text, glob_regex(pattern)]).fetchone()
    assert row is not None
    return bool(row[0])


def python_matches(pattern: str, text: str) -> bool:
    return re.fullmatch(glob_regex(pattern), text) is not None


def plain(pattern: str, text: str, before: str = "/") -> bool:
    """Read the rules literally, by trying every way; `before` is the pattern's character before."""
    if not pattern:
        return not text
    if pattern.startswith("**/") and before == "/":
        cuts = [0, *(index + 1 for index, letter in enumerate(text) if letter == "/")]
        return any(plain(pattern[3:], text[cut:]) for cut in cuts)
    if pattern.startswith("**"):
        return any(plain(pattern[2:], text[cut:], "*") for cut in range(len(text) + 1))
    if pattern[0] == "*":
        reach = len(text.split("/", 1)[0])
        return any(plain(pattern[1:], text[cut:], "*") for cut in range(reach + 1))
    if not text:
        return False
    if pattern[0] == "?":
        return text[0] != "/" and plain(pattern[1:], text[1:], "?")
    if pattern[0] == "[":
        end = pattern.index("]", 3 if pattern[1] == "!" else 2)
        letters = pattern[2:end] if pattern[1] == "!" else pattern[1:end]
        fits = text[0] != "/" and (text[0] in letters) != (pattern[1] == "!")
        return fits and plain(pattern[end + 1 :], text[1:], "]")
    return pattern[0] == text[0] and plain(pattern[1:], text[1:], pattern[0])


@pytest.mark.parametrize(("pattern", "text", "expected"), CASES)
def test_a_glob_means_the_same_in_all_three_engines(pattern: str, text: str, expected: bool) -> None:
    assert glob_matches(pattern, text) is expected
    assert python_matches(pattern, text) is expected
    assert re2_matches(pattern, text) is expected


tokens = st.sampled_from(["a", "b", "/", "*", "**", "**/", "/**/", "?", "[ab]", "[!a]", ".", "\n", "é", "[!.\n]"])
patterns = st.lists(tokens, min_size=1, max_size=7).map("".join).filter(lambda text: "***" not in text)
texts = st.text(st.sampled_from("ab/.\né-"), max_size=10)


@given(patterns, texts)
@example("**/a", "/a")
@example("a/**/**/b", "a/b")
@settings(max_examples=600, deadline=None)
def test_a_glob_agrees_with_an_independent_reading(pattern: str, text: str) -> None:
    expected = plain(pattern, text)
    assert glob_matches(pattern, text) is expected
    assert python_matches(pattern, text) is expected


@given(patterns, st.lists(texts, min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_re2_agrees_on_many_paths_at_once(pattern: str, paths: list[str]) -> None:
    query = "SELECT list_transform(?::VARCHAR[], lambda path: regexp_full_match(path, ?))"
    row = duckdb.execute(query, [paths, glob_regex(pattern)]).fetchone()
    assert row is not None
    assert row[0] == [glob_matches(pattern, path) for path in paths]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0*?["), min_size=1, max_size=12))
@settings(max_examples=300, deadline=None)
def test_a_glob_without_wildcards_matches_itself_alone(text: str) -> None:
    assert glob_matches(text, text)
    assert python_matches(text, text)
    assert re2_matches(text, text)
    assert not glob_matches(text, text + "x")


def test_many_stars_take_no_exponential_time() -> None:
    assert not glob_matches("*a" * 30 + "b", "a" * 255)
    assert not glob_matches("/**/a*" * 15 + "b", "/a" * 1000)


@pytest.mark.parametrize("pattern", ["", "a***b", "[abc", "[z-a]", "[a/b]", "a\0b", "*a" * 33, "x" * 5000])
def test_a_bad_glob_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"glob|wildcard|`"):
        glob_parts(pattern)
