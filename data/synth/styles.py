"""The random part of a picture: light, colours, patterns, the room, the camera, what stands before the person."""

import jax
import numpy as np

from hoijax.body_models import free_body_colors
from hoijax.data.objects import ProceduralObject
from hoijax.data.synth.pictures import HUMAN, OBJECT, PATTERNS, Appearance
from hoijax.data.synth.rig import turn, unit

_SKIN = np.array(
    [
        [0.96, 0.82, 0.72],
        [0.90, 0.72, 0.58],
        [0.78, 0.58, 0.44],
        [0.60, 0.42, 0.30],
        [0.42, 0.28, 0.20],
        [0.30, 0.20, 0.15],
    ]
)
_HAIR = np.array(
    [
        [0.10, 0.08, 0.07],
        [0.24, 0.17, 0.13],
        [0.42, 0.28, 0.16],
        [0.70, 0.55, 0.32],
        [0.55, 0.52, 0.50],
        [0.45, 0.20, 0.12],
    ]
)
_THINGS = np.array([[0.72, 0.55, 0.38], [0.45, 0.30, 0.20], [0.85, 0.83, 0.80], [0.22, 0.23, 0.25], [0.55, 0.57, 0.60]])


def cloth(rng: np.random.Generator) -> np.ndarray:
    """A colour of clothes: grey, muted or bright."""
    value = rng.uniform(0.12, 0.95)
    hue = rng.uniform(0, 1) * 6 + np.array([0.0, 4.0, 2.0])
    wheel = np.clip(np.abs(hue % 6 - 3) - 1, 0, 1)
    saturation = rng.choice([0.05, 0.35, 0.75])
    return value * (1 - saturation + saturation * wheel)


def person_colors(rng: np.random.Generator) -> np.ndarray:
    """Colours of the "default" body's vertices, sRGB."""
    tone = rng.uniform(0, len(_SKIN) - 1.001)
    skin = _SKIN[int(tone)] + (tone % 1) * (_SKIN[int(tone) + 1] - _SKIN[int(tone)])
    hair = np.clip(_HAIR[rng.integers(len(_HAIR))] * rng.uniform(0.8, 1.2), 0, 1)
    palette = {
        "skin": skin, "lips": np.clip(skin * [0.95, 0.75, 0.75], 0, 1), "hair": hair, "brows": hair * 0.9,
        "shirt": cloth(rng), "trousers": cloth(rng) * rng.uniform(0.5, 1.0), "shoes": cloth(rng),
        "irises": rng.uniform(0.1, 0.45, 3),
    }  # fmt: skip
    return free_body_colors("default", {k: tuple(float(x) for x in v) for k, v in palette.items()})


def object_colors(rng: np.random.Generator, obj: ProceduralObject) -> np.ndarray:
    """A colour per part, at the vertices."""
    table = []
    for _ in obj.part_names:
        wood = _THINGS[rng.integers(len(_THINGS))] * rng.uniform(0.75, 1.15)
        table.append(np.clip(wood if rng.random() < 0.55 else cloth(rng), 0.02, 0.98))
    if rng.random() < 0.35:
        table = [table[0]] * len(table)
    return np.array(table)[obj.vertex_labels].astype(np.float32)


def corner_normals(vertices: np.ndarray, faces: np.ndarray, crease: float = 50.0) -> np.ndarray:
    """Normals of face corners, (F, 3, 3): of the vertex where its faces look about the same way, else the face's."""
    own = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    total = np.stack([np.bincount(faces.reshape(-1), np.repeat(own[:, k], 3), len(vertices)) for k in range(3)], axis=1)
    total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    own /= np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-12)
    corner = total[faces]
    agree = np.einsum("fck,fk->fc", corner, own) > np.cos(np.radians(crease))
    return np.where(agree[..., None], corner, own[:, None]).astype(np.float32)


def look(rng: np.random.Generator, room: np.ndarray) -> Appearance:
    """Light and surfaces of one picture.

    Args:
      rng: source of chance.
      room: see `Look.room`.
    """
    height, around = rng.uniform(0.5, 1.3), rng.uniform(0, 2 * np.pi)
    warm = np.array([1.0, rng.uniform(0.88, 1.0), rng.uniform(0.75, 1.05)])
    key = rng.uniform(0.35, 1.1)
    ambient = rng.uniform(0.25, 0.6)
    strength = np.where(rng.random(PATTERNS) < 0.5, rng.uniform(0.1, 0.6, PATTERNS), 0.0)
    strength[HUMAN] = 0.0
    strength[4:] = rng.uniform(0.0, 0.7, 2)
    scale = rng.uniform(0.04, 0.2, PATTERNS)
    scale[4:] = rng.uniform(0.08, 0.6, 2)
    specular = rng.uniform(0, 0.25, PATTERNS) * (rng.random(PATTERNS) < 0.5)
    specular[HUMAN], specular[OBJECT] = rng.uniform(0, 0.06), rng.uniform(0, 0.35)
    colors = np.clip(
        [_THINGS[rng.integers(len(_THINGS))] * rng.uniform(0.6, 1.1), 1 - (1 - cloth(rng)) * rng.uniform(0.3, 1.0)],
        0.03,
        0.97,
    )
    second = np.stack([cloth(rng) for _ in range(PATTERNS)])
    values = Appearance(
        light=unit([np.cos(around), height, np.sin(around)]), light_color=key * warm, shade=rng.uniform(0.5, 1.0),
        above=ambient * np.array([rng.uniform(0.85, 1.05), 1.0, rng.uniform(0.95, 1.15)]),
        below=ambient * rng.uniform(0.3, 0.8) * np.ones(3), second=second**2.2, scale=scale, strength=strength,
        kind=rng.integers(0, 3, PATTERNS), specular=specular, shininess=rng.uniform(8, 80, PATTERNS),
        room_colors=colors, room=room,
        gain=rng.uniform(0.85, 1.75) * np.array([rng.uniform(0.92, 1.08), 1.0, rng.uniform(0.92, 1.08)]),
        noise=rng.uniform(0.0, 0.025), key=np.asarray(rng.integers(0, 2**32, 2), np.uint32),
    )  # fmt: skip
    return jax.tree.map(
        lambda x: np.asarray(x, x.dtype if np.asarray(x).dtype in (np.uint32, np.int64) else np.float32), values
    )


def camera(rng: np.random.Generator, points: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A camera that holds points: intrinsics (3, 3), T_camera_world (4, 4), its place (3,).

    Args:
      rng: source of chance.
      points: what must be in the picture, (N, 3) world.
      size: side of the picture, pixels.
    """
    fov = np.radians(rng.uniform(32, 62))
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.clip(rng.normal(12, 11), -6, 42)
    roll = rng.normal(0, 2.5)
    slope = np.tan(fov / 2) * rng.uniform(0.74, 0.95)
    shift = rng.uniform(-0.08, 0.08, 2)
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    for raised in range(0, 60, 4):
        rotation = _look_at(azimuth, np.radians(elevation + raised), roll)
        local = (points - centre) @ rotation.T
        distance = max((np.abs(local[:, k] + shift[k]) / slope - local[:, 2]).max() for k in (0, 1))
        eye = centre - rotation.T @ np.array([shift[0], shift[1], distance])
        if eye[1] > 0.12:  # not under the floor
            break
    transform = np.eye(4)
    transform[:3, :3], transform[:3, 3] = rotation, -rotation @ eye
    focal = 0.5 * size / np.tan(fov / 2)
    intrinsics = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    return intrinsics.astype(np.float32), transform.astype(np.float32), eye


def _look_at(azimuth: float, elevation: float, roll: float) -> np.ndarray:
    """World to camera for a camera that stands at an azimuth and an elevation, radians, rolled by degrees."""
    forward = -np.array([np.cos(elevation) * np.sin(azimuth), np.sin(elevation), np.cos(elevation) * np.cos(azimuth)])
    right = unit(np.cross(forward, [0.0, 1.0, 0.0]))
    return turn("Z", roll) @ np.stack([right, np.cross(forward, right), forward])


def room_around(rng: np.random.Generator, points: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """A room that holds things and camera: x from, x to, z from, z to, height."""
    both = np.concatenate([points, eye[None]])
    low, high = both.min(axis=0) - rng.uniform(0.15, 2.5, 3), both.max(axis=0) + rng.uniform(0.15, 2.5, 3)
    return np.array([low[0], high[0], low[2], high[2], max(rng.uniform(2.4, 3.4), both[:, 1].max() + 0.3)])


def project(points: np.ndarray, intrinsics: np.ndarray, transform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 2) and depths (N,)."""
    local = points @ transform[:3, :3].astype(float).T + transform[:3, 3]
    pixels = local[:, :2] / np.maximum(local[:, 2:], 1e-3) * intrinsics[0, 0] + intrinsics[:2, 2]
    return pixels, local[:, 2]
