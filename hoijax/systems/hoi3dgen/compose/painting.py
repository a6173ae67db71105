"""Objects painted: a base colour for each part, the grain of its material, glTF's metallic and roughness factors."""

import dataclasses

import numpy as np
from jaxtyping import Float, UInt8

from hoijax.systems.hoi3dgen.compose.atlas import Atlas, make_atlas, rasterize_atlas
from hoijax.systems.hoi3dgen.compose.palette import MATERIALS, Color, Material
from hoijax.systems.hoi3dgen.compose.prompt import ObjectWords
from hoijax.systems.hoi3dgen.compose.shapes import ChosenShape

USUAL = {
    "backpack": "fabric", "ball": "rubber", "bat": "wood", "bed": "wood", "bench": "wood", "bicycle": "metal",
    "bottle": "plastic", "box": "cardboard", "chair": "wood", "cup": "ceramic", "desk": "wood", "door": "wood",
    "keyboard": "plastic", "laptop": "metal", "monitor": "plastic", "racket": "plastic", "skateboard": "wood",
    "sofa": "fabric", "stool": "wood", "suitcase": "plastic", "table": "wood", "trolley": "metal",
    "umbrella": "fabric", "armchair": "leather", "bag": "leather", "bin": "plastic", "cabinet": "wood",
    "lamp": "metal", "plant": "foliage", "toy": "fabric", "wheelbarrow": "metal",
}  # fmt: skip
"""Material of a category where the sentence names none."""
OWN: dict[str, tuple[str, Color]] = {
    "wheel": ("rubber", (0.10, 0.10, 0.11)), "handle": ("metal", (0.45, 0.46, 0.48)),
    "strap": ("fabric", (0.16, 0.16, 0.18)), "grip": ("rubber", (0.12, 0.12, 0.13)),
    "spokes": ("metal", (0.70, 0.71, 0.73)), "crank": ("metal", (0.35, 0.35, 0.37)),
    "pedal": ("rubber", (0.12, 0.12, 0.13)), "saddle": ("leather", (0.10, 0.09, 0.09)),
    "handlebar": ("metal", (0.60, 0.61, 0.63)), "fork": ("metal", (0.60, 0.61, 0.63)),
    "screen": ("glass", (0.07, 0.09, 0.13)), "keys": ("plastic", (0.14, 0.14, 0.15)),
    "key": ("plastic", (0.86, 0.86, 0.85)), "cap": ("plastic", (0.88, 0.88, 0.87)),
    "truck": ("metal", (0.60, 0.61, 0.63)), "hinge": ("metal", (0.30, 0.30, 0.32)),
    "strings": ("fabric", (0.90, 0.90, 0.86)), "shaft": ("metal", (0.60, 0.61, 0.63)),
    "mattress": ("fabric", (0.90, 0.90, 0.88)), "cushion": ("fabric", (0.70, 0.68, 0.66)),
    "foot": ("plastic", (0.15, 0.15, 0.16)), "post": ("plastic", (0.15, 0.15, 0.16)),
    "footrest": ("metal", (0.50, 0.51, 0.53)),
}  # fmt: skip
"""Parts that keep a material of their own when the object has others too."""
BALL = (0.82, 0.40, 0.16)
SIZE = 512


@dataclasses.dataclass(frozen=True)
class Painted:
    """An object's surface with texture coordinates and a texture."""

    atlas: Atlas
    texture: UInt8[np.ndarray, "H W 3"]
    materials: tuple[Material, ...]
    face_materials: np.ndarray
    """Material of each face, `(F,)`."""


def paint_object(shape: ChosenShape, words: ObjectWords, size: int = SIZE) -> Painted:
    """Paints a shape as a prompt says.

    Args:
      shape: what is painted.
      words: what the prompt says of it.
      size: side of the texture, texels.
    """
    usual = words.material or MATERIALS[USUAL.get(shape.category, "plastic")]
    main = words.color or (BALL if shape.category == "ball" and words.material is None else usual.color)
    look: list[tuple[Material, Color]] = []
    accents = [name in OWN for name in shape.parts]
    for name, accent in zip(shape.parts, accents):
        if accent and not all(accents):
            kind, color = OWN[name]
            look.append((MATERIALS[kind], color))
        else:
            look.append((usual, main))
    kinds = tuple({material.name: material for material, _ in look}.values())
    vertices, faces = np.asarray(shape.mesh.vertices, np.float64), np.asarray(shape.mesh.faces)
    atlas = make_atlas(vertices, faces, shape.labels, size)
    texels = rasterize_atlas(atlas, size)
    points = texels.spread(vertices, faces)
    part = np.asarray(shape.labels)[texels.face]
    texture = np.array([color for _, color in look])[part]
    for number, (material, _) in enumerate(look):
        own = part == number
        texture[own] = grained(texture[own], points[own], material.grain)
        if words.pattern is not None and not (accents[number] and not all(accents)):
            texture[own] = patterned(texture[own], points[own], words.pattern)
    face_materials = np.array([[k.name for k in kinds].index(m.name) for m, _ in look])[np.asarray(shape.labels)]
    return Painted(atlas, to_bytes(texture), kinds, face_materials)


def to_bytes(texture: Float[np.ndarray, "*N 3"]) -> UInt8[np.ndarray, "*N 3"]:
    """sRGB in [0, 1] as bytes."""
    return np.round(255 * np.clip(texture, 0, 1)).astype(np.uint8)


def grained(colors: Float[np.ndarray, "N 3"], points: Float[np.ndarray, "N 3"], grain: str) -> Float[np.ndarray, "N 3"]:
    """Colours with the grain of a material, which goes by the place in space, metres."""
    if not len(points) or grain == "plain":
        return colors
    x, y, z = points.T
    if grain == "wood":  # rings about a line along x, bent a little
        rings = np.hypot(y + 0.02 * np.sin(9 * x), z + 0.015 * np.sin(7 * x + 1.0))
        amount = 0.12 * np.sin(2 * np.pi * rings / 0.018) + 0.04 * np.sin(2 * np.pi * (rings + 0.2 * x) / 0.004)
    elif grain == "weave":
        amount = 0.04 * np.sin(2 * np.pi * (x + z) / 0.006) * np.sin(2 * np.pi * (y - z) / 0.006) + 0.03 * _noise(
            points
        )
    elif grain == "brushed":
        amount = 0.03 * _noise(points * [1.0, 12.0, 1.0])
    else:
        amount = 0.10 * _noise(points)
    return colors * (1 + amount)[:, None]


def patterned(
    colors: Float[np.ndarray, "N 3"], points: Float[np.ndarray, "N 3"], pattern: str
) -> Float[np.ndarray, "N 3"]:
    """Colours with stripes, checks or dots in white, or in black on what is light."""
    x, y, z = points.T
    if pattern == "stripes":
        other = np.mod(y, 0.06) < 0.03
    elif pattern == "checks":
        other = (np.mod(x + z, 0.07) < 0.035) ^ (np.mod(y, 0.07) < 0.035)
    else:
        cell = np.mod(np.stack([x + z, y], axis=1), 0.06) - 0.03
        other = np.linalg.norm(cell, axis=1) < 0.013
    second = np.where(colors.mean(axis=1, keepdims=True) < 0.6, 0.92, 0.10)
    return np.where(other[:, None], second, colors)


def _noise(points: np.ndarray) -> np.ndarray:
    """Smooth noise in [-1, 1]: a few waves of unrelated lengths."""
    waves = np.array([[61.0, 23.0, 37.0], [-29.0, 71.0, 43.0], [53.0, -41.0, 79.0], [131.0, 97.0, -113.0]])
    return np.sin(points @ waves.T + np.arange(4)).mean(axis=1)
