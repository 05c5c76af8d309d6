"""Files as a studio has them, made by code: no two alike, and their bytes as many as those of real ones.

Pictures differ in a text inside, which costs nothing to make; decoding them costs what it costs for real ones.
"""

import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from itertools import count, cycle, islice
from pathlib import Path

import pyvips

sys.path.append(str(Path(__file__).parents[1] / "tests" / "media"))  # the files that the tests use

import clips
import shapes
import weights_files
from pictures import encode, photo

FOLDERS = {"pictures": 0.7, "clips": 0.1, "shapes": 0.1, "models": 0.1}
"""What there is, and its share of all files. `shapes` are meshes, drawings and texts."""

_SIZES = ((1024, 1024), (832, 1216), (1344, 768), (1536, 1024), (640, 960))
_PROMPT = "a red fox in the snow, {n}\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: {n}"


def make(folder: Path, files: int) -> dict[str, list[Path]]:
    """That many files in folders of their own, by folder."""
    makers = {"pictures": _pictures, "clips": _clips, "shapes": _shapes, "models": _models}
    made: dict[str, list[Path]] = {}
    for name, share in FOLDERS.items():
        (folder / name).mkdir(parents=True)
        made[name] = [_write(folder / name, *file) for file in islice(makers[name](), round(files * share))]
    return made


def _write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _pictures() -> Iterator[tuple[str, bytes]]:
    """PNG as often as JPEG and WebP together."""
    bases = [(format, _base(format, *size)) for size in _SIZES for format in ("png", "jpeg", "png", "webp")]
    for number, (format, data) in enumerate(cycle(bases)):
        text = _PROMPT.format(n=number).encode()
        yield f"{number:05}.{format}", _TELLERS[format](data, text)


def _base(format: str, width: int, height: int) -> bytes:
    """About as many bytes as a generated picture of that size has."""
    if format == "png":
        return encode(_painting(width, height, 0.8), "png", compression=6)
    return encode(_painting(width, height, 7), format, Q=92)


def _painting(width: int, height: int, grain: float) -> pyvips.Image:
    """Smooth shapes with some grain."""
    clouds = photo(width // 8, height // 8).gaussblur(1.5).resize(8.0)
    clouds = clouds.crop(0, 0, min(clouds.width, width), min(clouds.height, height))
    noise = pyvips.Image.gaussnoise(clouds.width, clouds.height, mean=0, sigma=grain, seed=3)
    return (clouds + noise).cast("uchar").copy(interpretation="srgb").copy_memory()


def _tell_png(data: bytes, text: bytes) -> bytes:
    """After the header, where AUTOMATIC1111 writes it."""
    chunk = b"tEXt" + b"parameters\0" + text
    return data[:33] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


def _tell_jpeg(data: bytes, text: bytes) -> bytes:
    return data[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + data[2:]


def _tell_webp(data: bytes, text: bytes) -> bytes:
    """A chunk that decoders do not know, at the end."""
    text += b" " * (len(text) % 2)
    body = data[8:] + b"note" + struct.pack("<I", len(text)) + text
    return b"RIFF" + struct.pack("<I", len(body)) + body


_TELLERS: dict[str, Callable[[bytes, bytes], bytes]] = {"png": _tell_png, "jpeg": _tell_jpeg, "webp": _tell_webp}


def _clips() -> Iterator[tuple[str, bytes]]:
    """Two seconds each, of film as often as of sound."""
    for number, ending in enumerate(cycle(("mp4", "mp3", "webm", "flac", "mov", "wav"))):
        title = {"title": f"clip {number}"}
        made = (
            clips.video(ending, size=(640, 360), texts=title) if number % 2 == 0 else clips.sound(ending, texts=title)
        )
        yield f"{number:05}.{ending}", made


def _shapes() -> Iterator[tuple[str, bytes]]:
    for number, ending in enumerate(cycle(("glb", "obj", "txt", "json", "svg"))):
        yield f"{number:05}.{ending}", _SHAPES[ending](number)


def _mesh(format: str, number: int) -> bytes:
    model = shapes.bracket().subdivide().subdivide()
    model.apply_scale(1 + number / 1000)
    made = model.export(file_type=format)
    return made if isinstance(made, bytes) else made.encode()


_SHAPES: dict[str, Callable[[int], bytes]] = {
    "glb": lambda n: _mesh("glb", n),
    "obj": lambda n: _mesh("obj", n),
    "txt": lambda n: f"Notes on picture {n}.\n".encode() * 200,
    "json": lambda n: b'{"number": %d, "steps": [1, 2, 3]}' % n,
    "svg": lambda n: shapes.drawing(f'<circle cx="{n % 90}" cy="30" r="20" fill="#c0{n % 256:02x}40"/>'),
}


def _models() -> Iterator[tuple[str, bytes]]:
    """LoRAs of some 200 kB."""
    for number in count():
        metadata = {"ss_output_name": f"style_{number}", "ss_base_model_version": "sdxl_base_v1-0"}
        layers = {weights_files.DOWN + f"_attn{at}_to_{to}": 640 for at in (1, 2) for to in "kv"}
        data = weights_files.safetensors(weights_files.kohya(layers, rank=32), metadata)
        yield f"{number:05}.safetensors", data
