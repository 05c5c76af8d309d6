"""Model files, by their headers: what they are and say of themselves. Imported in a child process only.

Tensors are never read, so a file of 20 GB takes as long as a small one. Pickles (.ckpt, .pt, .pth) are never opened: to
read one is to run it.
"""

import io
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from msgspec import UNSET

from pinakes import data_urls
from pinakes.errors import PinakesError
from pinakes.media import kinds
from pinakes.media.probers import architectures, families, gguf_header, safetensors_header, training
from pinakes.media.probers import header_texts as texts
from pinakes.media.probers.header_texts import Metadata
from pinakes.media.probers.tensors import Header, Tensor
from pinakes.media.protocol import Answer, Decoded, Limits, Refused, Source
from pinakes.model_types import FileRole, ModelFacts

MOST_PICTURE = 8 << 20
MOST_COVERS = 10
_READERS = {"safetensors": safetensors_header.read, "gguf": gguf_header.read}
# `general.file_type` of GGUF: LlamaFileType in constants.py of PyPI's `gguf`.
_NAMES = """
    F32 F16 Q4_0 Q4_1 - - - Q8_0 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K IQ2_XXS IQ2_XS
    Q2_K_S IQ3_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ3_M IQ2_S IQ2_M IQ4_XS IQ1_M BF16 - - - TQ1_0 TQ2_0 MXFP4_MOE NVFP4 Q1_0
"""
_FILE_TYPES = {str(number): name for number, name in enumerate(_NAMES.split()) if name != "-"}


def probe(format: str, source: Source, limits: Limits) -> Answer:
    """Read the header, hold it to the rules of the format, and tell what it means."""
    try:
        with _opened(source) as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            header = _READERS[format](file, size)
        return Decoded(model=_facts(format, header), picture=_picture(header.metadata))
    except PinakesError as error:
        return Refused(error.message)
    except MemoryError:
        return Refused(f"has a header that needs more than {limits.memory_limit_bytes >> 20:,} MiB of memory.")


def _opened(source: Source) -> BinaryIO:
    return io.BytesIO(source.data) if source.path is None else Path(source.path).open("rb", buffering=1 << 18)


def _facts(format: str, header: Header) -> ModelFacts:
    metadata, look = header.metadata, architectures.look(header.tensors)
    said = [
        metadata.get(key, "") for key in ("modelspec.architecture", "ss_base_model_version", "general.architecture")
    ]
    family = families.settle(look.family, families.of_words(said))
    role = _role(look.role, metadata)
    return ModelFacts(
        format=format,
        role=role,
        type=families.type_of(role, family, [*said, metadata.get("ss_sd_model_name", "")]),
        family=family or UNSET,
        network=look.network or UNSET,
        parameters=training.parameters(metadata, look.rank),
        tensor_count=len(header.tensors),
        parameter_count=sum(tensor.count for tensor in header.tensors.values()),
        dtype=_dtype(header.tensors.values()) or UNSET,
        quantization=_FILE_TYPES.get(metadata.get("general.file_type", ""), UNSET),
        **training.facts(metadata),
    )


def _role(told: FileRole, metadata: Metadata) -> FileRole:
    """By the tensors, else by what the file says it is."""
    architecture = metadata.get("modelspec.architecture", "").lower()
    gguf = metadata.get("general.architecture", "").lower()
    said: tuple[tuple[bool, FileRole], ...] = (
        (architecture.endswith("/lora") or metadata.get("general.type") == "adapter", "lora"),
        (architecture.endswith(("/textual-inversion", "-textual-inversion")), "embedding"),
        (gguf in ("t5", "t5encoder", "clip"), "text-encoder"),
        (f"{gguf}.context_length" in metadata, "llm"),
        (families.of_words([architecture, gguf]) is not None, "checkpoint"),
    )
    return next((role for is_so, role in said if is_so), "unknown") if told == "unknown" else told


def _dtype(tensors: Iterable[Tensor]) -> str | None:
    """What most of the numbers are stored as."""
    counts = Counter[str]()
    for tensor in tensors:
        counts[tensor.dtype] += tensor.count
    return max(counts, key=counts.__getitem__, default=None)


def _picture(metadata: Metadata) -> bytes | None:
    """The first picture in it that is one, of a kind that is decoded. Others are left out: nobody sees them anyway."""
    for text in _pictures(metadata):
        try:
            data, _ = data_urls.decode("picture", text) if len(text) <= MOST_PICTURE * 3 // 2 else (b"", None)
        except PinakesError:
            continue
        type = kinds.sniff(data)
        if type is not None and type.name in kinds.DECODED and len(data) <= MOST_PICTURE:
            return data
    return None


def _pictures(metadata: Metadata) -> list[str]:
    """ModelSpec's thumbnail, a data URL, then the covers of sd-webui-additional-networks: JSON, a list of base64."""
    covers = texts.json(metadata, "ssmd_cover_images", list[str]) or []
    return [metadata.get("modelspec.thumbnail", ""), *covers[:MOST_COVERS]]
