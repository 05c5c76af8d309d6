"""The header of a safetensors file, read and held to the rules of the format. Imported in a child process only.

Source: https://github.com/huggingface/safetensors, README ("Format") and `Metadata::validate` in tensor.rs: 8 bytes,
the header's length; the header, a JSON object that starts with `{`, of at most 100 MB, without duplicate keys; the
tensors' bytes, one after another with no gap, to the end of the file.
"""

import json
from collections import Counter
from typing import Annotated, Any, BinaryIO

import msgspec
from msgspec import Meta

from pinakes.media.probers.tensors import MOST_DIMENSIONS, Header, Tensor, quoted, refusal

MOST_HEADER = 100_000_000
# In memory, objects and lists cost a hundred times their text. Real headers have some 10,000 tensors at most; brackets
# and commas within texts (captions, mostly) count too.
MOST_BRACKETS = 500_000
MOST_COMMAS = 2_000_000

_BITS = {
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
_Count = Annotated[int, Meta(ge=0)]


class _Info(msgspec.Struct, frozen=True):
    """A tensor as the header has it."""

    dtype: str
    shape: Annotated[tuple[_Count, ...], Meta(max_length=MOST_DIMENSIONS)]
    data_offsets: tuple[_Count, _Count]


def read(file: BinaryIO, size: int) -> Header:
    """The header of a file of `size` bytes. Raises BAD_REQUEST for one that breaks the format's rules."""
    start = file.read(8)
    if len(start) < 8:
        raise refusal("is damaged or truncated: it ends within the length of its header.")
    length = int.from_bytes(start, "little")
    if length > MOST_HEADER:
        raise refusal(f"says that its header has {length:,} bytes; at most {MOST_HEADER:,} are accepted.")
    if length > size - 8:
        raise refusal(f"is damaged or truncated: it ends before its header of {length:,} bytes does.")
    found = _decoded(file.read(length))
    metadata = _metadata(found.pop("__metadata__", None))
    infos = {name: _info(name, value) for name, value in found.items()}
    _check_cover(infos, size - 8 - length)
    return Header({name: Tensor(info.dtype, info.shape) for name, info in infos.items()}, metadata)


def _decoded(text: bytes) -> dict[str, Any]:
    """The JSON object, at first without a look at its values. Refuses what would not fit into memory beforehand."""
    if not text.startswith(b"{"):
        raise refusal("is damaged: its header is not a JSON object.")
    if text.count(b"{") + text.count(b"[") > MOST_BRACKETS or text.count(b",") > MOST_COMMAS:
        raise refusal(f"has a header with more than {MOST_BRACKETS:,} brackets or {MOST_COMMAS:,} commas.")
    try:
        found: dict[str, Any] = json.loads(text.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError):  # not UTF-8, not JSON, a number of 5,000 digits, 1,000 lists in lists
        raise refusal("is damaged: its header is not JSON.") from None
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise refusal(f"names {quoted(name)} twice in its header.")
    return found


def _metadata(value: object) -> dict[str, str]:
    try:
        return msgspec.convert(value, dict[str, str] | None) or {}
    except msgspec.ValidationError:
        raise refusal("has metadata that are not texts by name.") from None


def _info(name: str, value: object) -> _Info:
    try:
        info = msgspec.convert(value, _Info)
    except msgspec.ValidationError as error:
        raise refusal(f"describes tensor {quoted(name)} wrongly: {error}.") from None
    if info.dtype not in _BITS:
        raise refusal(f"has tensor {quoted(name)} of the unknown type {quoted(info.dtype)}.")
    begin, end = info.data_offsets
    if Tensor(info.dtype, info.shape).count * _BITS[info.dtype] != 8 * (end - begin):
        raise refusal(f"gives tensor {quoted(name)} a shape and type that need another number of bytes than it has.")
    return info


def _check_cover(infos: dict[str, _Info], size: int) -> None:
    """Each tensor starts where another ends, and the last one ends with the file."""
    at = 0
    for name, info in sorted(infos.items(), key=lambda item: item[1].data_offsets):
        if info.data_offsets[0] != at:
            raise refusal(f"is damaged: tensor {quoted(name)} does not start where the one before it ends.")
        at = info.data_offsets[1]
    if at > size:
        raise refusal(f"is truncated: {at - size:,} bytes of its tensors are missing.")
    if at < size:
        raise refusal(f"has {size - at:,} bytes at its end that belong to no tensor.")
