"""Base64 in JSON, of any length and however it is wrapped."""

import base64
import random

import pytest

from pinakes.data_urls import decode
from pinakes.errors import PinakesError

PIECE = 1 << 20
"""Characters that are decoded at a time."""

SIZES = [1, 2, 3, 4, 5, *(pieces * PIECE * 3 // 4 + more for pieces in (1, 2) for more in (-3, -2, -1, 0, 1, 2, 3))]


@pytest.mark.parametrize("size", SIZES)
def test_all_lengths(size: int) -> None:
    data = random.Random(size).randbytes(size)
    text = base64.b64encode(data).decode()
    cuts = (0, 1, len(text) // 2, PIECE - 1, PIECE, PIECE + 1, len(text) - 1, len(text))
    wrapped = [f"{text[:cut]}\r\n{text[cut:]}" for cut in cuts]
    for sent in (text, text.rstrip("="), f"data:image/png;base64,{text}", *wrapped):
        assert decode("image", sent)[0] == data


@pytest.mark.parametrize("sent", ["A", "AAAAA", "AA=A", "====", "AAA!", "é" * 4, "A" * PIECE + "A", "\ud800aaa", " "])
def test_what_is_none(sent: str) -> None:
    with pytest.raises(PinakesError, match="image: ") as caught:
        decode("image", sent)
    assert caught.value.code == "BAD_REQUEST"
