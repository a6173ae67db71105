"""The free body dressed: a texture atlas, a picture with skin, hair and clothes, and which faces are which garment."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float, Int, UInt8

from hoijax.body_models import (
    FREE_BODY_PALETTE,
    BodyModel,
    free_body,
    free_body_regions,
    part_labels,
    part_names,
)
from hoijax.errors import InputError
from hoijax.systems.hoi3dgen.compose.atlas import Atlas, Texels, make_atlas, rasterize_atlas
from hoijax.systems.hoi3dgen.compose.garments import GARMENTS, ORDER, Cut
from hoijax.systems.hoi3dgen.compose.painting import grained, patterned, to_bytes
from hoijax.systems.hoi3dgen.compose.palette import MATERIALS, Color, Material
from hoijax.systems.hoi3dgen.compose.prompt import Garment, PersonWords

SIZES = {"render": 2048, "default": 1024, "light": 512, "test": 256}
"""Side of the texture by the body's level of detail, texels."""
_ARMS = ("shoulder", "elbow", "wrist", "hand")
_LEGS = ("hip", "knee", "ankle", "foot")
_WAIST, _NECK = 0.04, 0.52
"""Heights of the trousers' upper border and of collars above the pelvis in the rest pose, metres."""
_BROWN, _SKIN = (0.24, 0.17, 0.13), FREE_BODY_PALETTE["skin"]


@dataclasses.dataclass(frozen=True)
class Dressed:
    """The body's surface with texture coordinates, a texture, and a material for each face."""

    atlas: Atlas
    texture: UInt8[np.ndarray, "H W 3"]
    materials: tuple[Material, ...]
    """Named "skin", "hair" and by the garments."""
    face_materials: Int[np.ndarray, "F"]


@dataclasses.dataclass(frozen=True)
class _Skin:
    """What of a body does not depend on the clothes, at every texel."""

    atlas: Atlas
    texels: Texels
    points: Float[np.ndarray, "H W 3"]
    """In the rest pose of the mean body, metres."""
    regions: Int[np.ndarray, "H W"]
    names: tuple[str, ...]
    """Of the regions: "skin", "hair", "shirt", ..."""
    arm: np.ndarray
    leg: np.ndarray
    trunk: np.ndarray
    head: np.ndarray


@functools.lru_cache(maxsize=4)
def _skin(lod: str, size: int) -> _Skin:
    model = free_body(lod)
    vertices, faces = np.asarray(model.v_template, np.float64), np.asarray(model.faces)
    labels, names = part_labels(model, "24"), part_names("24")
    own = labels[faces[:, 0]]
    # Charts of a few parts together, so that seams are few.
    group = {"head": 0, "neck": 0}
    group |= {f"{s}_{p}": 1 + i for i, s in enumerate(("left", "right")) for p in _ARMS}
    group |= {f"{s}_{p}": 3 + i for i, s in enumerate(("left", "right")) for p in _LEGS}
    atlas = make_atlas(vertices, faces, np.array([group.get(n, 5) for n in names])[own], size)
    texels = rasterize_atlas(atlas, size)
    points = texels.spread(vertices, faces)
    regions, region_names = free_body_regions(lod)
    region = _strongest(texels, regions, faces)
    part = _strongest(texels, labels, faces)
    kind = np.array([n.partition("_")[2] or n for n in names])[part]
    arm, leg = np.isin(kind, _ARMS), np.isin(kind, _LEGS)
    head = np.isin(kind, ("head", "neck"))
    return _Skin(atlas, texels, points, region, region_names, arm, leg, ~(arm | leg | head), head)


def _strongest(texels: Texels, labels: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Label at each texel: of the corner, or the corners of one label, that weighs most."""
    corner = labels[faces[texels.face]]
    votes = [(texels.weights * (corner == corner[..., k : k + 1])).sum(axis=-1) for k in range(3)]
    return np.take_along_axis(corner, np.argmax(votes, axis=0)[..., None], axis=-1)[..., 0]


def dress(model: BodyModel, person: PersonWords, lod: str, seed: int = 0, size: int | None = None) -> Dressed:
    """Paints clothes, hair and skin.

    What the words leave open is drawn from the seed: quiet colours, trousers, a shirt.

    Args:
      model: the free body.
      person: from `read_prompt`.
      lod: the body's level of detail.
      seed: of what is left open.
      size: side of the texture, texels; None: that of `SIZES`.

    Raises:
      InputError: another body, which has no clothing regions.
    """
    if model.kind != "free":
        raise InputError(f"the free body can be dressed; this is a body of the kind {model.kind}")
    s = _skin(lod, size or SIZES[lod])
    rng = np.random.default_rng([seed, 77])
    palette = _palette(person, rng)
    colors = np.array([palette[name] for name in s.names])[s.regions]
    owner = np.where(np.isin(s.regions, [s.names.index("hair"), s.names.index("brows")]), 1, 0)
    worn = _outfit(person, rng)
    shirt, trousers, shoes = (s.regions == s.names.index(n) for n in ("shirt", "trousers", "shoes"))
    colors[shirt | trousers] = palette["skin"]
    colors[shoes] = palette["skin"]
    materials = [
        Material("skin", palette["skin"], 0.0, 0.55), Material("hair", palette["hair"], 0.0, 0.6),
    ]  # fmt: skip
    for garment in worn:
        cut = GARMENTS.get(garment.name) or GARMENTS["shirt"]
        mask = _mask(s, cut, shirt, trousers, shoes)
        material = MATERIALS.get(garment.material or "")
        color = np.array(garment.color or (material.color if material else cut.color))
        painted = grained(np.broadcast_to(color, (int(mask.sum()), 3)), s.points[mask], cut.grain)
        if garment.pattern is not None:
            painted = patterned(painted, s.points[mask], garment.pattern)
        colors[mask] = painted
        if cut.open:
            x, y, z = np.moveaxis(s.points, -1, 0)
            line = mask & (np.abs(x) < 0.006) & (z > 0) & (y > _low(cut))
            colors[line] = 0.35 * color + (0.02 if color.mean() > 0.2 else 0.25)
        owner[mask] = len(materials)
        rough = material.roughness if material else cut.roughness
        materials.append(Material(garment.name, tuple(map(float, color)), 0.0, rough, cut.grain))
    owners = _majority(owner[s.texels.covered], s.texels.face[s.texels.covered], len(s.atlas.faces), len(materials))
    return Dressed(s.atlas, to_bytes(colors), tuple(materials), owners)


def _slot(garment: Garment) -> str:
    return GARMENTS[garment.name].slot if garment.name in GARMENTS else "top"


def _palette(person: PersonWords, rng: np.random.Generator) -> dict[str, Color]:
    tone = np.array(_SKIN) * rng.uniform(0.72, 1.08)
    skin = np.clip(person.skin or tone, 0.05, 0.98)
    hair = np.clip(np.array(person.hair or _BROWN) * (1.0 if person.hair else rng.uniform(0.5, 1.5)), 0, 1)
    if person.bald:
        hair = skin
    brows = skin * 0.7 if person.bald else hair * 0.9
    chosen = {"skin": skin, "hair": hair, "brows": brows, "lips": np.clip(skin * [0.95, 0.75, 0.75], 0, 1)}
    return FREE_BODY_PALETTE | {k: tuple(float(x) for x in v) for k, v in chosen.items()}


def _outfit(person: PersonWords, rng: np.random.Generator) -> list[Garment]:
    """What is worn, from the skin outward; a shirt, trousers and shoes where the words name none."""
    given = list(person.garments)
    slots = {_slot(g) for g in given if g.known or g.color is not None}
    quiet = [(0.30, 0.36, 0.44), (0.55, 0.53, 0.49), (0.72, 0.72, 0.70), (0.36, 0.42, 0.36), (0.46, 0.36, 0.36)]
    shirt, dark = quiet[int(rng.integers(len(quiet)))], quiet[int(rng.integers(2))]
    if not slots & {"top", "dress"}:
        given.append(Garment("t-shirt", (0.85, 0.85, 0.83) if slots & {"outer", "suit"} else shirt))
    if not slots & {"bottom", "dress", "suit"}:
        given.append(Garment("trousers", tuple(0.55 * c for c in dark)))
    if "feet" not in slots:
        given.append(Garment("shoes"))
    kept = [g for g in given if g.known or g.color is not None]
    return sorted(kept, key=lambda g: ORDER.index(_slot(g)))


def _low(cut: Cut) -> float:
    return cut.hem if cut.hem is not None and cut.slot != "suit" else _WAIST


def _mask(s: _Skin, cut: Cut, shirt: np.ndarray, trousers: np.ndarray, shoes: np.ndarray) -> np.ndarray:
    """Texels that a garment covers."""
    x, y, z = np.moveaxis(s.points, -1, 0)
    reach = np.abs(x)
    sleeves = s.arm & (reach < cut.sleeve)
    # The region of the shirt ends in short sleeves; without sleeves it ends before.
    trunk = shirt & ~(s.arm & (reach >= max(cut.sleeve, 0.17)))
    below = (trousers | (shirt & s.leg)) & (y >= (cut.hem if cut.hem is not None else np.inf))
    if cut.slot == "top":
        return trunk | sleeves
    if cut.slot == "bottom":
        return trousers & (y >= cut.hem)
    if cut.slot in ("outer", "dress", "suit"):
        return trunk | sleeves | below
    if cut.slot == "feet":
        return shoes | ((trousers | shoes) & (y < cut.hem)) if cut.hem is not None else shoes
    if cut.slot == "head":
        return s.head & (y > 0.715)
    if cut.slot == "hands":
        return s.arm & (reach > cut.sleeve)
    if cut.slot == "neck":
        return (np.abs(y - _NECK) < 0.05) & (reach < 0.11) & ~s.arm
    if cut.slot == "waist":
        return (np.abs(y - _WAIST) < 0.02) & ~s.arm
    if cut.slot == "tie":
        return (reach < 0.012 + 0.03 * np.clip(0.48 - y, 0, 1)) & (y > 0.12) & (y < 0.5) & (z > 0) & ~s.arm
    return (reach < 0.15) & (y < 0.40) & (y >= cut.hem) & (z > 0.0) & ~s.arm & ~s.head  # an apron


def _majority(owner: np.ndarray, face: np.ndarray, faces: int, kinds: int) -> np.ndarray:
    """The owner of most texels of each face; of a face without a texel the first."""
    votes = np.bincount(face * kinds + owner, minlength=faces * kinds).reshape(faces, kinds)
    return votes.argmax(axis=1)
