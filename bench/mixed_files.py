"""Files as a studio has them, made by code: no two alike, and their bytes as many as those of real ones."""

import sys
from collections.abc import Callable, Iterator
from itertools import count, cycle, islice
from pathlib import Path

from bench import pictures

sys.path.append(str(Path(__file__).parents[1] / "tests" / "media"))  # the files that the tests use

import clips
import shapes
import weights_files

FOLDERS = {"pictures": 0.7, "clips": 0.1, "shapes": 0.1, "models": 0.1}
"""What there is, and its share of all files. `shapes` are meshes, drawings and texts."""


def make(folder: Path, files: int) -> dict[str, list[Path]]:
    """That many files in folders of their own, by folder."""
    makers = {"pictures": pictures.mixed, "clips": _clips, "shapes": _shapes, "models": _models}
    made: dict[str, list[Path]] = {}
    for name, share in FOLDERS.items():
        (folder / name).mkdir(parents=True)
        made[name] = [_write(folder / name, *file) for file in islice(makers[name](), round(files * share))]
    return made


def _write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


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
