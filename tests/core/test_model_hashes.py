"""Hashes of model files, against the same hashes computed the slow way, as those who made them up publish them."""

import hashlib
import random
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from pinakes.model_hashes import ModelHasher, ModelHashes


def hashes(data: bytes, sizes: list[int] | None = None) -> ModelHashes:
    """Of data that comes in pieces of these sizes, the last of them again and again."""
    hasher, at, left = ModelHasher(), 0, list(sizes or [1 << 20])
    while at < len(data):
        size = left.pop(0) if len(left) > 1 else left[0]
        hasher.update(memoryview(data)[at : at + size])
        at += size
    return hasher.result()


def published(data: bytes) -> tuple[str, str, str]:
    """`model_hash`, `calculate_sha256` and `addnet_hash_safetensors` as A1111 and kohya have them: seek, then read."""
    file = BytesIO(data)
    file.seek(0x100000)
    old = hashlib.sha256(file.read(0x10000)).hexdigest()[0:8]
    file.seek(0)
    whole = hashlib.sha256(file.read()).hexdigest()
    file.seek(0)
    file.seek(int.from_bytes(file.read(8), "little") + 8)
    return old, whole, hashlib.sha256(file.read()).hexdigest()


def model(kilobytes: int, **metadata: str) -> bytes:
    noise = np.random.default_rng(7).integers(0, 255, (kilobytes, 1024), dtype=np.uint8)
    return save({"b": noise, "a.lora_down.weight": np.ones((4, 320), np.float32)}, metadata or None)


@pytest.mark.parametrize("kilobytes", [1025, 1087, 1088, 1089, 3000])
def test_all_as_published(kilobytes: int) -> None:
    data = model(kilobytes, ss_network_dim="4")
    old, whole, tensors = published(data)
    assert hashes(data) == ModelHashes(whole, old, whole[:10], tensors[:12], tensors)


def test_known_values() -> None:
    data = bytes(0x100000) + b"abc"
    assert hashes(data).auto_v1 == "ba7816bf"  # FIPS 180-2: the sha256 of "abc" is ba7816bf8f01cfea…
    small = (2).to_bytes(8, "little") + b"{}" + b"abc"
    assert (hashes(small).auto_v3, hashes(small).auto_v1) == ("ba7816bf8f01", None)
    empty = (8).to_bytes(8, "little") + b"{}      "
    assert hashes(empty).tensors == hashlib.sha256().hexdigest()


def test_the_trainers_hash_survives_a_change_of_the_metadata() -> None:
    """kohya hashes the file with its own metadata alone, before it adds `modelspec.…` and what people write later."""
    trained, edited = model(1100, ss_steps="7"), model(1100, ss_steps="7", ssmd_description="x" * 5000)
    assert hashes(trained).auto_v3 == hashes(edited).auto_v3 == published(trained)[2][:12]
    assert hashes(trained).sha256 != hashes(edited).sha256


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GGUF" + bytes(100),
        (2).to_bytes(8, "little"),
        (2).to_bytes(8, "little") + b"[]",
        (3).to_bytes(8, "little") + b"{}",
        (100_000_001).to_bytes(8, "little") + b"{}",
        b"\xff" * 8 + b"{}",
        b"PK\3\4" + random.Random(1).randbytes(2 << 20),
    ],
)
def test_other_files_have_no_hash_of_their_tensors(data: bytes) -> None:
    found = hashes(data)
    assert (found.auto_v3, found.tensors) == (None, None)
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert found.auto_v2 == found.sha256[:10]


MODEL = model(1100)


@settings(deadline=None)
@given(st.lists(st.integers(1, 400_000), max_size=30), st.integers(10_000, 400_000))
def test_pieces_of_any_size(sizes: list[int], others: int) -> None:
    assert hashes(MODEL, [*sizes, others]) == hashes(MODEL, [len(MODEL)])


def test_single_bytes_around_the_edges() -> None:
    start = int.from_bytes(MODEL[:8], "little") + 8
    edge = [1] * (start + 2) + [0x100000 - start - 3, 1, 1, 0x10000 - 2, 1, 1, 1 << 20]
    assert hashes(MODEL, edge) == hashes(MODEL, [len(MODEL)])
