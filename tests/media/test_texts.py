"""Text and JSON: counts, the start, encodings, and what is neither."""

import json
from collections.abc import Iterator

import pytest
from shapes import Looker

from pinakes.asset_types import Facts


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looker]:
    looker = Looker(tmp_path_factory.mktemp("files"))
    yield looker
    looker.media.close()


def text(chars: int, words: int, preview: str, is_whole: bool = True) -> Facts:
    return Facts(char_count=chars, word_count=words, preview=preview, has_full_preview=is_whole)


@pytest.mark.parametrize(("name", "kind"), [("a.txt", "text"), ("a.md", "text"), ("a.csv", "text"), ("a.json", "json")])
def test_each_type(look: Looker, name: str, kind: str) -> None:
    found = look(b'{"a":\n [1, 2]}', name)
    assert (found.kind, found.is_probed, found.thumbnails) == (kind, True, {})
    assert found.facts == text(14, 3, '{"a":\n [1, 2]}')


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("Grüße, 世界 🎨".encode(), text(11, 3, "Grüße, 世界 🎨")),
        ("\ufeffa b".encode(), text(3, 2, "a b")),
        ("\ufeffa ß".encode("utf-16-le"), text(3, 2, "a ß")),
        ("\ufeffa 🎨".encode("utf-16-be"), text(3, 2, "a 🎨")),
        ("Grüße".encode("latin-1"), text(5, 1, "Grüße")),
        (b"Gr\xc3\xbc\xc3", text(5, 1, "Gr\xc3\xbc\xc3")),
        (b" \n\t ", text(4, 0, " \n\t ")),
    ],
    ids=["UTF-8", "marked", "UTF-16-LE", "UTF-16-BE", "Latin-1", "UTF-8 cut short", "white space"],
)
def test_encodings(look: Looker, data: bytes, expected: Facts) -> None:
    assert look(data, "a.txt").facts == expected


def test_the_start_is_cut_between_code_points(look: Looker) -> None:
    facts = look(("x" + "ü" * 600).encode(), "a.txt").facts
    assert facts == text(601, 1, "x" + "ü" * 511, is_whole=False)
    assert look(b"x" * 1024, "a.txt").facts.has_full_preview is True


def test_words_across_pieces(look: Looker) -> None:
    """It is counted a million code points at a time."""
    assert look(b"word " * 1_000_000 + b"x" * 3_000_000, "a.txt").facts.word_count == 1_000_001


def test_a_text_too_long_to_count(look: Looker) -> None:
    facts = look("ü".encode() * (33 << 20), "a.txt").facts
    assert facts == Facts(preview="ü" * 512, has_full_preview=False)


def test_the_longest_that_is_counted(look: Looker) -> None:
    """Four bytes a code point in memory, for the sake of one."""
    assert look(b"a " * ((32 << 20) - 2) + "🎨".encode(), "a.txt").facts.word_count == (32 << 20) - 1


def test_a_json_too_long_to_check(look: Looker) -> None:
    assert look(b"[" + b" " * (64 << 20), "a.json").facts.has_full_preview is False


def test_json_of_many_values(look: Looker) -> None:
    """Nothing is built of them: as objects they would take gigabytes."""
    data = b"[" + b"[],[[]]," * 8_000_000 + b"0]"
    assert look(data, "a.json").facts.char_count == len(data)


@pytest.mark.parametrize("data", ['"text"', "1", "null", "\ufeff[]", json.dumps({"ü": ["\n", 1e300, -0.1]})])
def test_json_of_each_kind(look: Looker, data: str) -> None:
    assert look(data.encode(), "a.json").kind == "json"
    assert look(data.lstrip("\ufeff").encode("utf-16"), "a.json").kind == "json"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b'{"a": 1,\n "b": nope}', "invalid character, line 2, column 8"),
        ('{"ü": 1,}'.encode(), "trailing comma in object, line 1, column 9"),
        (b"[1 2]", "expected ',' or ']', line 1, column 4"),
        (b"[1] x", "trailing characters, line 1, column 5"),
        (b"[NaN]", "invalid character, line 1, column 2"),
        (b"[01]", "invalid number, line 1, column 3"),
        (b"{'a': 1}", "expected '\"', line 1, column 2"),
        (b"[1, 2", "it ends too soon"),
        (b'"text', "it ends too soon"),
        (b" ", "it ends too soon"),
        (b"\xff", "invalid character, line 1, column 1"),
        (b"[" * 1_000_000, "it is nested too deep, by hundreds of lists or objects"),
        (b'{"a":' * 1_000_000, "it is nested too deep, by hundreds of lists or objects"),
        (b"[" * 100_000 + b"]" * 100_000, "it is nested too deep, by hundreds of lists or objects"),
    ],
)
def test_what_is_not_json(look: Looker, data: bytes, problem: str) -> None:
    assert look.refusal(data, "a.json") == f"file: the JSON is not valid JSON: {problem}."


@pytest.mark.parametrize("tenth", range(1, 10))
def test_json_cut_short_anywhere(look: Looker, tenth: int) -> None:
    data = json.dumps({"nodes": [{"id": at, "name": f"node {at}"} for at in range(50)]}).encode()
    assert "is not valid JSON" in look.refusal(data[: len(data) * tenth // 10], "a.json")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", b"a\0b"),
        ("a.csv", bytes(1000)),
        ("a.md", bytes(range(256))),
        ("a.json", b"\0[]"),
        ("a.txt", b"\xff\xfea"),
        ("a.txt", b"\xff\xfe\x00\xd8\x00\xd8"),
        ("a.txt", b"\xff\xfe\0\0a\0\0\0"),
        ("a.txt", b"\xef\xbb\xbf\xff"),
    ],
    ids=["NUL", "zeros", "all bytes", "JSON after NUL", "UTF-16 cut", "UTF-16 of halves", "UTF-32", "marked, but not"],
)
def test_what_is_not_text(look: Looker, name: str, data: bytes) -> None:
    label = name.partition(".")[2].upper()
    assert look.refusal(data, name) == f"file: the {label} is not text: it holds bytes that no text does."
