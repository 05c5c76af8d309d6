"""A large file in parts: killed twice on its way, it arrives whole, in little memory."""

import tempfile
from pathlib import Path

import pytest
from large_upload import MIB, send_through_two_kills

SIZE = 320 * MIB + 12345
MOST_MEMORY_MB = 200


@pytest.mark.timeout(300)
def test_a_large_upload_through_two_kills() -> None:
    """The last server waits until the lease of a job that was interrupted has ended."""
    with tempfile.TemporaryDirectory(prefix="large-upload-") as folder:  # pytest would keep what is in its own
        place, figures = send_through_two_kills(Path(folder), SIZE)
        stored = [path for path in (place.data / "blobs/blobs").rglob("*") if path.is_file()]
        assert [path.stat().st_size for path in stored] == [SIZE]
    assert max(figures.memory_mb) < MOST_MEMORY_MB
