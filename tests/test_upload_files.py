"""Which files are sent, and that they are what they were."""

import os
from pathlib import Path

import pytest

from pinakes.cli.files import File, find_files
from pinakes.errors import PinakesError

MIB = 1 << 20


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_files_that_change_are_not_what_was_to_be_sent() -> None:
    Path("a.bin").write_bytes(bytes(3 * MIB))
    (file,) = find_files([Path("a.bin")])
    file.require_unchanged()
    with Path("a.bin").open("r+b") as opened:
        opened.truncate(MIB + 1)
    for act in (file.require_unchanged, lambda: list(file.read(MIB, MIB)), lambda: file.digest("md5", 2 * MIB, MIB)):
        with pytest.raises(PinakesError, match="while it was sent"):
            act()
    Path("a.bin").unlink()
    for act in (file.require_unchanged, lambda: list(file.read(0, MIB))):
        with pytest.raises(PinakesError, match="no such file"):
            act()


def test_what_is_found() -> None:
    Path("in/c").mkdir(parents=True)
    for name in ("in/b", "in/a", "in/c/d", "in/.e", ".f"):
        Path(name).write_bytes(b"x")
    os.mkfifo("in/pipe")
    Path("in/loop").symlink_to("loop")
    Path("in/folder").symlink_to("c")
    found = list(find_files([Path("in"), Path(".f"), Path("in/a"), Path("in/pipe")]))
    assert [(str(file.path), file.error) for file in found] == [
        ("in/a", None),
        ("in/b", None),
        ("in/loop", "it cannot be read: Too many levels of symbolic links."),
        ("in/c/d", None),
        (".f", None),
        ("in/pipe", "it is no file."),
    ]
    Path(os.fsdecode(b"bad-\xff")).write_bytes(b"x")
    assert [File(path).name for path in Path().glob("bad-*")] == ["bad-\ufffd"]
