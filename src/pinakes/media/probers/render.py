"""A picture of triangles without a GPU: rays cast by Embree, soft light from beside the camera, nothing behind.

Imported in a child process only.
"""

import os
import time
from typing import Any, NamedTuple

import numpy as np
import pyvips
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

Array = NDArray[Any]

_SAMPLES = 2
"""Rays a pixel, across and down."""
_DISTANCE = 4.0
"""From the camera to the middle of what is seen, whose points are all within 1 of it."""
_MARGIN = 1.05
_ROWS = 32
"""Rows of rays at a time: what they hit takes some 20 MB."""
_SEE_THROUGH = 4
"""How many surfaces that are cut out there (leaves, hair, fences) a ray goes through."""
_LIGHTS = (((-0.5, 0.6, 0.6), 0.85), ((0.9, 0.0, 0.4), 0.12))
_AMBIENT = 0.16
_YAW, _PITCH = np.radians(32), np.radians(20)


class Part(NamedTuple):
    """Triangles of one material. `colours` a point and `tint` are linear light from 0 to 1.

    `texture` is sRGB with alpha, (rows, columns, 4); where it is less opaque than `cutout` there is nothing.
    """

    points: Array
    triangles: Array
    normals: Array | None = None
    colours: Array | None = None
    uvs: Array | None = None
    texture: Array | None = None
    tint: tuple[float, float, float] = (0.6, 0.6, 0.6)
    cutout: float = 0.0


def picture(parts: list[Part], size: int, is_z_up: bool, until: float) -> pyvips.Image | None:
    """A square sRGB image with alpha, seen from the front, right and above.

    None when there is nothing to see, or it is not done by `until`, of `time.monotonic`.

    Every triangle must name points that exist; those with a point that is not finite are left out.
    """
    parts = [part for part in map(_finite, parts) if len(part.triangles)]
    if not parts:
        return None
    turn = _turn(is_z_up)
    seen = _in_view([part.points for part in parts], turn)
    low, side = _window(seen)
    if side == 0:
        return None
    scene = EmbreeScene(device=None)
    # One processor, so that building starts no threads: each would reserve address space, of which there is little.
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    try:
        for part, points in zip(parts, seen, strict=True):
            TriangleMesh(scene, points, part.triangles)
        return _draw(scene, parts, turn, low, side, size, until)
    finally:
        os.sched_setaffinity(0, processors)


def _finite(part: Part) -> Part:
    """Without the triangles that cannot be drawn."""
    is_finite = np.asarray(np.isfinite(part.points).all(axis=1))
    if is_finite.all():
        return part
    points = np.where(is_finite[:, None], part.points, np.float32(0))
    return part._replace(points=points, triangles=part.triangles[is_finite[part.triangles].all(axis=1)])


def _turn(is_z_up: bool) -> Array:
    """What turns a point so that the camera looks down the z axis and sees the y axis go up."""
    upright = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]] if is_z_up else np.eye(3))
    yaw = [[np.cos(_YAW), 0, -np.sin(_YAW)], [0, 1, 0], [np.sin(_YAW), 0, np.cos(_YAW)]]
    pitch = [[1, 0, 0], [0, np.cos(_PITCH), -np.sin(_PITCH)], [0, np.sin(_PITCH), np.cos(_PITCH)]]
    turn: Array = np.array(pitch) @ np.array(yaw) @ upright
    return turn.astype(np.float32)


def _in_view(clouds: list[Array], turn: Array) -> list[Array]:
    """Points turned, moved and scaled so that all of them are within 1 of the origin, whatever their unit."""
    low = np.min([points.min(axis=0) for points in clouds], axis=0).astype(np.float64)
    high = np.max([points.max(axis=0) for points in clouds], axis=0).astype(np.float64)
    middle, radius = (low + high) / 2, float(np.linalg.norm(high - low)) / 2 or 1.0
    return [(((points - middle) / radius).astype(np.float32) @ turn.T) for points in clouds]


def _window(clouds: list[Array]) -> tuple[Array, float]:
    """The corner and the side of the square, at a distance of 1 from the camera, behind which everything lies."""
    seen = [points[:, :2] / (_DISTANCE - points[:, 2:]) for points in clouds]
    low = np.min([points.min(axis=0) for points in seen], axis=0).astype(np.float64)
    high = np.max([points.max(axis=0) for points in seen], axis=0).astype(np.float64)
    side = float((high - low).max()) * _MARGIN
    return (low + high - side) / 2, side


def _draw(
    scene: EmbreeScene, parts: list[Part], turn: Array, low: Array, side: float, size: int, until: float
) -> pyvips.Image | None:
    steps = (np.arange(size * _SAMPLES) + 0.5) / (size * _SAMPLES) * side
    across, down = (low[0] + steps).astype(np.float32), (low[1] + side - steps).astype(np.float32)
    strips = []
    for at in range(0, len(down), _ROWS):
        if time.monotonic() > until:
            return None
        x, y = np.meshgrid(across, down[at : at + _ROWS])
        rays = np.stack([x.ravel(), y.ravel(), np.full(x.size, -1, np.float32)], axis=1)
        strips.append(_average(_light(scene, parts, turn, rays).reshape(*x.shape, 4)))
    pixels = np.ascontiguousarray(np.concatenate(strips))
    return pyvips.Image.new_from_memory(pixels.data, size, size, 4, "uchar").copy(interpretation="srgb").copy_memory()


def _light(scene: EmbreeScene, parts: list[Part], turn: Array, rays: Array) -> Array:
    """Linear light and alpha (0 or 1) that comes back along each ray."""
    light = np.zeros((len(rays), 4), np.float32)
    origins = np.zeros_like(rays)
    origins[:, 2] = _DISTANCE
    live = np.arange(len(rays))
    for _ in range(_SEE_THROUGH):
        hit = scene.run(origins[live], rays[live], query="INTERSECT", output=True)
        is_hit = hit["primID"] >= 0
        live, hit = live[is_hit], {name: values[is_hit] for name, values in hit.items()}
        is_open = np.zeros(len(live), bool)
        for number in np.unique(hit["geomID"]):
            chosen = np.flatnonzero(hit["geomID"] == number)
            one = {name: values[chosen] for name, values in hit.items()}
            light[live[chosen], :3], is_open[chosen] = _shade(parts[number], turn, one, rays[live[chosen]])
        light[live[~is_open], 3] = 1
        origins[live] += rays[live] * (hit["tfar"] + 1e-4)[:, None]
        live = live[is_open]
        if not len(live):
            break
    light[light[:, 3] == 0] = 0
    return light


def _shade(part: Part, turn: Array, hit: dict[str, Array], rays: Array) -> tuple[Array, Array]:
    """The light from where rays hit, and where they hit nothing after all."""
    corners = part.triangles[hit["primID"]]
    weights = np.stack([1 - hit["u"] - hit["v"], hit["u"], hit["v"]], axis=1)[:, :, None]
    normals = hit["Ng"] if part.normals is None else (part.normals[corners] * weights).sum(axis=1) @ turn.T
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        normals = np.nan_to_num(normals / np.linalg.norm(normals, axis=1, keepdims=True))
    normals = np.where((normals * rays).sum(axis=1, keepdims=True) > 0, -normals, normals)  # both sides are seen
    colour, is_open = np.full((len(corners), 3), part.tint, np.float32), np.zeros(len(corners), bool)
    if part.colours is not None:
        colour *= (part.colours[corners] * weights).sum(axis=1)
    if part.texture is not None and part.uvs is not None:
        texels = _texels(part.texture, (part.uvs[corners] * weights).sum(axis=1))
        colour *= _linear(texels[:, :3])
        is_open = texels[:, 3] < part.cutout * 255
    return colour * _lit(normals)[:, None], is_open


def _lit(normals: Array) -> Array:
    light = np.full(len(normals), _AMBIENT, np.float32)
    for direction, strength in _LIGHTS:
        towards = np.array(direction, np.float32) / np.float32(np.linalg.norm(direction))
        light += np.float32(strength) * np.maximum(normals @ towards, 0)
    return light


def _texels(texture: Array, uvs: Array) -> Array:
    """The nearest ones; a texture repeats itself."""
    rows, columns = texture.shape[:2]
    at = np.nan_to_num(uvs, posinf=0, neginf=0).astype(np.float64) % 1.0 * (columns, rows)
    x, y = np.minimum(at, (columns - 1, rows - 1)).astype(np.intp).T
    found: Array = texture[y, x]
    return found


def _linear(values: Array) -> Array:
    """sRGB as light, near enough for a picture this size."""
    return (np.arange(256, dtype=np.float32) / 255)[values] ** np.float32(2.2)


def _average(light: Array) -> Array:
    """Pixels of a strip of samples. Where only some samples hit, the edge is as transparent."""
    rows, columns = light.shape[0] // _SAMPLES, light.shape[1] // _SAMPLES
    total = light.reshape(rows, _SAMPLES, columns, _SAMPLES, 4).sum(axis=(1, 3))
    colour = np.clip(total[:, :, :3] / np.maximum(total[:, :, 3:], 1), 0, 1) ** np.float32(1 / 2.2)
    pixels: Array = np.concatenate([colour, total[:, :, 3:] / _SAMPLES**2], axis=2) * 255
    return np.rint(pixels).astype(np.uint8)
