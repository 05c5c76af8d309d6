"""What a ZIP is made of: names that are safe wherever it is unpacked, and bytes whose number is known beforehand."""

import io
import re
import unicodedata
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinakes import archives
from pinakes.archive_names import MOST_FILE, MOST_FOLDER, Named, paths, safe, slug
from pinakes.archives import Entry
from pinakes.errors import PinakesError

CAT = Named("asset_1", "png", "42", "A cat is dancing", "ComfyUI", "The red forest, at night")
BARE = Named("asset_2", "jpg")
LONG = Named("asset_3", "png", prompt=" ".join(f"{letter * 40}" for letter in "abcdefgh"))
AT = "2026-01-31T11:19:41.579Z"


@pytest.mark.parametrize(
    ("template", "cat", "bare"),
    [
        ("<id>", "asset_1.png", "asset_2.jpg"),
        ("<description>-<id>", "red_forest_night-asset_1.png", "asset_2.jpg"),
        ("<prompt>/<id>", "cat_dancing/asset_1.png", "asset_2.jpg"),
        ("<num>_<seed>_<generator>", "1_42_ComfyUI.png", "2.jpg"),
        ("all/<num>", "all/1.png", "all/2.jpg"),
        ("<id>-<id>_<prompt>.<id>", "asset_1_cat_dancing.png", "asset_2.jpg"),
        ("<seed>/<seed>/<id>", "42/asset_1.png", "asset_2.jpg"),
        ("same", "same.png", "same.jpg"),
        ("<unknown> <id>", "unknown_ asset_1.png", "unknown_ asset_2.jpg"),
        ("", "asset_1.png", "asset_2.jpg"),
        ("../../<id>", "asset_1.png", "asset_2.jpg"),
        ("/etc/<id>", "etc/asset_1.png", "etc/asset_2.jpg"),
        ("C:\\temp\\<id>", "C__temp_asset_1.png", "C__temp_asset_2.jpg"),
        ("a.b/..<id>..", "a_b/asset_1.png", "a_b/asset_2.jpg"),
        ("con", "_con.png", "_con.jpg"),
        ("COM1.x/<id>", "COM1_x/asset_1.png", "COM1_x/asset_2.jpg"),
        ("nul/<id>", "_nul/asset_1.png", "_nul/asset_2.jpg"),
        ("a\0b\x1f\u202ec<id>", "abcasset_1.png", "abcasset_2.jpg"),
    ],
)
def test_names_follow_the_template(template: str, cat: str, bare: str) -> None:
    assert list(paths(template, [CAT, BARE])) == [cat, bare]


def test_flat_keeps_the_last_part() -> None:
    assert list(paths("<prompt>/a/<id>", [CAT, BARE], is_flat=True)) == ["asset_1.png", "asset_2.jpg"]


def test_no_two_names_are_the_same_to_any_system() -> None:
    shouting = CAT._replace(prompt="CAT. Dancing!")
    twins = [CAT, CAT, shouting, CAT._replace(generator="comfyui")]
    assert list(paths("<prompt>", twins)) == [
        "cat_dancing.png",
        "cat_dancing-2.png",
        "cat_dancing-3.png",
        "cat_dancing-4.png",
    ]
    assert list(paths("<generator>", [CAT, twins[3]])) == ["ComfyUI.png", "comfyui-2.png"]
    many = list(paths("x" * 300, [CAT] * 1_000))
    assert len({path.casefold() for path in many}) == 1_000
    assert max(map(len, many)) == MOST_FILE


def test_prompt_and_description_give_way_first() -> None:
    (path,) = paths("<prompt>/<prompt>", [LONG])
    assert len(path) == MOST_FILE
    (path,) = paths("<prompt>-<id>-z", [LONG])
    assert path.endswith("-asset_3-z.png")
    assert len(path) == MOST_FILE
    (path,) = paths(f"{'y' * 60}-<prompt>/<id>", [LONG])
    folder, _, name = path.partition("/")
    assert (len(folder), name) == (MOST_FOLDER, "asset_3.png")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A cat is dancing", "cat_dancing"),
        ("(masterpiece:1.2), best quality, <lora:forest:0.8> an owl", "masterpiece_best_quality_owl"),
        ("one two three four five six seven eight nine", "one_two_three_four_five_six_seven_eight"),
        ("to be or not to be", "to_be_or_not_to_be"),
        ("Ölgemälde, 森の中", "ölgemälde_森の中"),
        ("…!?", ""),
    ],
)
def test_slugs(text: str, words: str) -> None:
    assert slug(text) == words


anything = st.text(st.characters() | st.sampled_from("./\\:<>-_ \0\x1f\u202e"), max_size=200)
tokens = st.sampled_from(["<id>", "<seed>", "<prompt>", "<generator>", "<description>", "<num>", "/", "..", "-", "con"])


@given(st.lists(tokens | anything, max_size=8).map("".join), anything, anything, st.booleans())
def test_no_name_gets_out(template: str, prompt: str, generator: str, is_flat: bool) -> None:
    named = [Named(f"asset_{n % 2}", "png", "7", prompt, generator, prompt) for n in range(3)]
    found = list(paths(template, named, is_flat))
    assert len({unicodedata.normalize("NFC", path).casefold() for path in found}) == 3
    for path in found:
        *folders, name = path.split("/")
        assert name.endswith(".png")
        assert len(name) <= MOST_FILE
        assert all(len(folder) <= MOST_FOLDER and "." not in folder for folder in folders)
        for part in path.split("/"):
            assert part == part.strip(" .")
            assert not re.search(r'[\\:*?"<>|\x00-\x1f\x7f-\x9f]', part)
            assert not re.fullmatch(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", part, re.IGNORECASE)
            assert 0 < len(part.encode()) <= 255


def test_a_name_of_nothing_is_nothing() -> None:
    assert safe(" ..\0 ") == ""


def zeros(_sha256: str, size: int) -> Iterator[bytes]:
    piece = bytes(1 << 20)
    for at in range(0, size, len(piece)):
        yield piece[: size - at]


def test_an_archive_is_as_long_as_it_says_and_reads_as_zip() -> None:
    entries = [Entry("a/ä💚.txt", "1", 10, AT), Entry("b.bin", "2", 0, AT), Entry("c.bin", "3", 2_500_000, AT)]
    data = b"".join(archives.stream(entries, zeros))
    assert len(data) == archives.size(entries)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert [(info.filename, info.file_size) for info in archive.infolist()] == [
            (entry.path, entry.size) for entry in entries
        ]
        assert all(info.flag_bits & 1 << 11 for info in archive.infolist())
        assert {info.date_time for info in archive.infolist()} == {(2026, 1, 31, 11, 19, 40)}


def test_a_part_is_the_same_bytes() -> None:
    entries = [Entry("a", "1", 700_000, AT), Entry("b", "2", 300_000, AT)]
    whole = b"".join(archives.stream(entries, zeros))
    for start, end in (
        (0, 1),
        (0, len(whole)),
        (699_999, 700_500),
        (999_000, len(whole)),
        (len(whole) - 1, len(whole)),
    ):
        assert b"".join(archives.part(archives.stream(entries, zeros), start, end)) == whole[start:end]


def test_the_same_entries_have_the_same_tag() -> None:
    entries = [Entry("a", "1", 1, AT), Entry("b", "2", 1, AT)]
    assert archives.tag(entries) == archives.tag(list(entries))
    others = [entries[:1], entries[::-1], [entries[0]._replace(sha256="3"), entries[1]]]
    assert len({archives.tag(entries), *map(archives.tag, others)}) == 4


def test_bytes_that_are_cut_short_break_an_archive() -> None:
    def short(_sha256: str, size: int) -> Iterator[bytes]:
        yield bytes(size - 1)

    with pytest.raises(PinakesError, match="Only 9 of 10 bytes"):
        list(archives.stream([Entry("a", "1", 10, AT)], short))


def test_files_beyond_4_gib(tmp_path: Path) -> None:
    """Written as a file with holes, which costs no space."""
    entries = [Entry("large", "1", (1 << 32) + 5, AT), Entry("behind", "2", 7, AT)]
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        for chunk in archives.stream(entries, zeros):
            if chunk.count(0) == len(chunk):
                file.seek(len(chunk), io.SEEK_CUR)
            else:
                file.write(chunk)
    assert path.stat().st_size == archives.size(entries)
    with zipfile.ZipFile(path) as archive:
        assert [info.file_size for info in archive.infolist()] == [entry.size for entry in entries]
        assert archive.infolist()[1].header_offset > 1 << 32
        assert archive.read("behind") == bytes(7)


def test_sizes_at_the_limits_of_the_format() -> None:
    """Where numbers begin to need 8 bytes, the size grows by the fields for them and by nothing else."""
    sizes = [archives.size([Entry("a", "1", 0xFFFFFFFF + n, AT)]) for n in (-100, -99, 0, 1)]
    assert [later - before for before, later in pairwise(sizes)] == [1, 99 + 20 + 8 + 20 + 76, 1]


def test_more_files_than_the_format_can_count() -> None:
    entries = [Entry(f"{n}", "1", 0, AT) for n in range(70_000)]
    data = b"".join(archives.stream(entries, zeros))
    assert len(data) == archives.size(entries)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.infolist()) == 70_000
