"""What the header of a model file holds, whatever the format. Tensors themselves are never read."""

from math import prod

import msgspec

from pinakes.errors import PinakesError

MOST_DIMENSIONS = 64


class Tensor(msgspec.Struct, frozen=True):
    """`shape` as PyTorch has it: what varies slowest comes first."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        return prod(self.shape)


class Header(msgspec.Struct, frozen=True):
    """Tensors by name, and what else the file says: texts, with numbers and truths written out."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def refusal(reason: str) -> PinakesError:
    """Why a file is not accepted, as a sentence that starts with its type."""
    return PinakesError("BAD_REQUEST", reason)


def quoted(name: str) -> str:
    """A name out of a file, for a message."""
    return repr(name if len(name) <= 60 else name[:60] + "…")
