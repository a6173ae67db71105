"""What equations 6 to 9 of InteractAnything speak of: contact areas by the affordance, the size of the object."""

from collections.abc import Mapping, Sequence
from typing import Literal

import jax
import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.interaction import ObjectRegion, region_of_vertices
from hoijax.interaction.cone import Cones, cones_of
from hoijax.optim.gradient import EquationTargets, EquationWeights
from hoijax.systems.interactanything.affordance import contact_area
from hoijax.systems.interactanything.relations import Relations

CLOSURE: Mapping[str, Mapping[str, float]] = {
    "none": {},
    "wrench": {"wrench_closure": 0.01},
    "literal": {"literal_closure": 10.0},
}
"""Weights of force closure, of the wrench's square and of square metres."""
PENETRATION = ("grid", "cone")
CONES = 1000
"""Most triangles that cones stand on; larger meshes are decimated to them."""
_OFF = dict(interaction=0.0, normals=0.0, scale=0.0, penetration=0.0, ground=0.0)


def stage_weights(stage: Literal["global", "fine"], terms: str, closure: str, rests: bool) -> EquationWeights:
    """Weights of the equations in a stage.

    Args:
      stage: "global", equations 6 and 7; "fine", equations 8 and 9.
      terms: "paper": the paper's in the place of the house's; "house": force closure beside the house's alone.
      closure: in the fine stage.
      rests: s' of equation 6.
    """
    own = dict(_OFF) if terms == "house" else {"ground": 10.0 * rests}
    if terms == "paper" and stage == "fine":
        own |= {"normals": 0.0, "scale": 0.0, "ground": 0.0}
    return EquationWeights(**own, **(CLOSURE[closure] if stage == "fine" else {}))


def equation_targets(
    mesh: Mesh,
    relations: Relations,
    regions: Sequence[Mapping[str, ObjectRegion]],
    maps: Mapping[str, Float[np.ndarray, "V"]],
    penetration: str = "grid",
) -> EquationTargets:
    """Targets of a batch of starts, with the default weights.

    Args:
      mesh: the object at its size.
      relations: of the sentence.
      regions: of each start, by part: where on the object it is to touch; parts without one have their contact area.
      maps: by part, the affordance of each vertex.
      penetration: "grid", the depth in the object's distance grid; "cone", the conical field of its triangles, which
        must face outward.
    """
    vertices = np.asarray(mesh.vertices, np.float64)
    tree = cKDTree(vertices)
    areas = {part: _area(part, mesh, weights) for part, weights in maps.items()}
    rows = []
    for own in regions:
        points, normals, weights = [], [], []
        for part in relations.body_parts or ("",):
            region = own.get(part) or areas.get(part)
            if region is None:
                region = ObjectRegion("", np.zeros((1, 3)), np.zeros((1, 3)), 0.0)
            near = tree.query(region.points)[1]
            share = maps[part][near] if part in maps else np.zeros(len(region.points))
            points.append(region.points)
            normals.append(region.normals)
            weights.append(share / share.sum() if share.sum() > 0 else share)
        rows.append((_pad(points), _pad(normals), _pad(weights)))
    size = max(row[2].shape[1] for row in rows)
    grasps = [float(c.kind == "grasp") for c in _once(relations)] or [0.0]
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    batch = len(rows)
    ones = np.ones(batch, np.float32)
    return EquationTargets(
        points=np.stack([_grow(r[0], size) for r in rows]).astype(np.float32),
        normals=np.stack([_grow(r[1], size) for r in rows]).astype(np.float32),
        affordance=np.stack([_grow(r[2], size) for r in rows]).astype(np.float32),
        grasps=np.tile(np.float32(grasps), (batch, 1)),
        centre=np.tile(((low + high) / 2).astype(np.float32), (batch, 1)),
        radius=ones * np.float32(np.linalg.norm(high - low) / 2),
        weights=EquationWeights(*(ones * np.float32(w) for w in vars(EquationWeights()).values())),
        cones=None if penetration == "grid" else jax.tree.map(lambda x: np.stack([x] * batch), _cones(mesh)),
    )


def _cones(mesh: Mesh) -> Cones:
    """Cones of a mesh's faces that have an area."""
    vertices, faces = np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int32)
    if len(faces) > CONES:
        import fast_simplification

        vertices, faces = fast_simplification.simplify(vertices, faces, target_count=CONES)
    triangles = np.asarray(vertices, np.float64)[faces]
    sides = triangles[:, 1:] - triangles[:, :1]
    area = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1)
    kept = triangles[area > 1e-9 * np.ptp(vertices, axis=0).max() ** 2]
    return jax.tree.map(lambda x: np.asarray(x, np.float32), cones_of(kept))


def with_weights(targets: EquationTargets, weights: EquationWeights) -> EquationTargets:
    """The targets with other weights, the same for all of the batch."""
    ones = np.ones(len(targets.radius), np.float32)
    return targets.replace(weights=EquationWeights(*(ones * np.float32(w) for w in vars(weights).values())))


def _once(relations: Relations) -> list:
    """The first contact of each part, in the order of `body_parts`."""
    return [next(c for c in relations.contacts if c.body_part == part) for part in relations.body_parts]


def _area(part: str, mesh: Mesh, weights: np.ndarray) -> ObjectRegion | None:
    try:
        return region_of_vertices(part, mesh, contact_area(weights, mesh))
    except InputError:  # no face has all its corners in the area
        return None


def _pad(arrays: Sequence[np.ndarray]) -> np.ndarray:
    size = max(len(a) for a in arrays)
    return np.stack([np.concatenate([a, np.zeros((size - len(a), *a.shape[1:]))]) for a in arrays])


def _grow(array: np.ndarray, size: int) -> np.ndarray:
    """Padded along its second axis."""
    return np.pad(array, [(0, 0), (0, size - array.shape[1])] + [(0, 0)] * (array.ndim - 2))
