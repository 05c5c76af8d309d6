"""A large file in parts: killed twice on its way, it arrives whole, in little memory."""

from pathlib import Path

import pytest
from large_upload import MIB, send_through_two_kills

SIZE = 320 * MIB + 12345
MOST_MEMORY_MB = 200


@pytest.mark.timeout(300)
def test_a_large_upload_through_two_kills(tmp_path: Path) -> None:
    """The second server waits until the lease of the first one's job has ended."""
    place, figures = send_through_two_kills(tmp_path, SIZE)
    assert max(figures.memory_mb) < MOST_MEMORY_MB
    stored = [path for path in (place.data / "blobs/blobs").rglob("*") if path.is_file()]
    assert [path.stat().st_size for path in stored] == [SIZE]
