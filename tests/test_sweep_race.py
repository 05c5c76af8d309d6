"""Bytes that somebody stores again while a sweep deletes them: never an asset without its bytes, wherever they are."""

from collections.abc import Callable

import pytest
from shelves import left

from pinakes import asset_bytes
from pinakes.blobs import Blobs
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.upkeep import sweep

pytestmark = pytest.mark.parametrize("blob_kind", ["local", "s3"], indirect=True)


def test_whoever_stores_what_a_sweep_is_deleting_is_told(
    library: Library, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst moment: the sweep has seen that the bytes are old, and deletes them just after they were made young."""
    data = b"about to go"
    sha256 = library.blobs.put(data)
    later(2)
    real, told = Blobs.delete, []

    def overtaken(blobs: Blobs, gone: str) -> None:
        assert library.blobs.put(data) == gone
        with pytest.raises(PinakesError) as caught:
            asset_bytes.confirm(library, gone)
        told.append(caught.value.code)
        real(blobs, gone)
        with pytest.raises(PinakesError) as caught:
            asset_bytes.confirm(library, gone)
        told.append(caught.value.code)

    monkeypatch.setattr(Blobs, "delete", overtaken)
    assert sweep(library).blobs == 1
    assert told == ["UNAVAILABLE"] * 2
    with pytest.raises(PinakesError, match="swept while they were uploaded"):
        asset_bytes.confirm(library, sha256)
    library.blobs.put(data)
    asset_bytes.confirm(library, sha256)


def test_no_transaction_is_open_while_a_sweep_deletes(
    library: Library, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    library.blobs.put(b"an orphan")
    later(2)
    real = Blobs.delete

    def looked_at(blobs: Blobs, gone: str) -> None:
        with library.store.write() as tx:  # would wait for the sweep
            tx.upkeep.set_setting("a test", gone)
        real(blobs, gone)

    monkeypatch.setattr(Blobs, "delete", looked_at)
    assert sweep(library).blobs == 1


def test_two_sweeps_are_not_at_it_at_once(
    library: Library, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    orphans = {library.blobs.put(data) for data in (b"one", b"two")}
    later(2)
    real, seen = Blobs.delete, []

    def another(blobs: Blobs, gone: str) -> None:
        seen.append(sweep(library).blobs)
        real(blobs, gone)

    monkeypatch.setattr(Blobs, "delete", another)
    assert sweep(library).blobs == 2
    assert (seen, left(library, orphans)) == ([0, 0], set())


def test_a_sweep_that_was_killed_holds_up_the_next_for_ten_minutes(
    library: Library, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    orphans = {library.blobs.put(data) for data in (b"one", b"two")}
    later(2)

    def killed(_blobs: Blobs, _gone: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Blobs, "delete", killed)
        with pytest.raises(KeyboardInterrupt):
            sweep(library)
    assert sweep(library).blobs == 0
    later(2 + 601 / 86_400)
    assert sweep(library).blobs == 2
    assert left(library, orphans) == set()
