"""Object affordance from keypoints of people in pictures (InteractAnything, section 3.3, equations 4 and 5).

People are seen from several views; where their keypoints fall near a point of the object, that point is likely to be
touched. The pictures may be a painter's, with a detector's keypoints, or, where nobody paints, the projections of
bodies that were posed beside the object. Lengths are taken relative to the object's own size in each view, so that
resolution and distance do not matter (the paper gives no unit).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.geometry.safe import ArrayLike

TAU = 0.08
"""Distance at which a point counts 1/e, over the diagonal of the object's box in the view."""
LEAST_CONFIDENCE = 0.3
"""Of a keypoint that counts."""
QUANTILE, LEAST_VERTICES, LEAST_MASS = 0.9, 32, 0.05
"""Of a contact area: vertices above the quantile, at least so many, in pieces that have at least this share."""
VIEWS, ELEVATION = 8, 15.0
"""Views around the object, and how far they look down, degrees."""

PART_JOINTS: dict[str, tuple[str, ...]] = {
    "hand": ("{s}_wrist", "{s}_index1", "{s}_middle1", "{s}_ring1", "{s}_pinky1", "{s}_index3", "{s}_middle3",
             "{s}_ring3", "{s}_pinky3", "{s}_thumb3"),
    "palm": ("{s}_wrist", "{s}_index1", "{s}_middle1", "{s}_ring1", "{s}_pinky1"),
    "fingers": ("{s}_index3", "{s}_middle3", "{s}_ring3", "{s}_pinky3", "{s}_thumb3"),
    "forearm": ("{s}_elbow", "{s}_wrist"),
    "arm": ("{s}_shoulder", "{s}_elbow"),
    "shoulder": ("{s}_shoulder", "{s}_collar"),
    "elbow": ("{s}_elbow",),
    "thigh": ("{s}_hip", "{s}_knee"),
    "leg": ("{s}_knee", "{s}_ankle"),
    "knee": ("{s}_knee",),
    "foot": ("{s}_ankle", "{s}_foot"),
    "seat": ("pelvis", "left_hip", "right_hip"),
    "back": ("spine1", "spine2", "spine3", "neck"),
    "chest": ("spine2", "spine3"),
    "belly": ("pelvis", "spine1"),
    "head": ("head", "neck"),
    "torso": ("pelvis", "spine1", "spine2", "spine3"),
}  # fmt: skip
"""Joints whose projections stand for a part; `{s}` is its side."""
_LIKE = {
    "finger_pads": "fingers", "thumb": "fingers", "index": "fingers", "middle": "fingers", "ring": "fingers",
    "pinky": "fingers", "back_of_hand": "palm", "thigh_back": "thigh", "thigh_front": "thigh", "shin": "leg",
    "calf": "leg", "sole": "foot", "heel": "foot", "toes": "foot", "buttocks": "seat", "hips": "seat",
    "upper_back": "back", "lower_back": "belly", "face": "head", "neck": "head",
    "back_of_head": "head",
}  # fmt: skip


def joints_of(part: str) -> tuple[str, ...]:
    """Names of the joints that stand for a part of the body.

    Raises:
      InputError: no such part.
    """
    side, _, rest = part.partition("_")
    if side not in ("left", "right"):
        side, rest = "", part
    rest = _LIKE.get(rest, rest)
    if rest not in PART_JOINTS or ("{s}" in PART_JOINTS[rest][0]) != bool(side):
        raise InputError(f"no keypoints are known for the body part {part!r}")
    return tuple(name.format(s=side) for name in PART_JOINTS[rest])


def view_affordance(
    pixels: Float[ArrayLike, "D 2"],
    keypoints: Float[ArrayLike, "K 2"],
    confidence: Float[ArrayLike, "K"],
    *,
    tau: float = TAU,
) -> tuple[Float[jax.Array, "D"], Bool[jax.Array, ""]]:
    """Equation 4 in one view: exp of minus the distance to the nearest keypoint, over `tau` times the object's size.

    Args:
      pixels: the object's points, projected; any unit.
      keypoints: of the part, the same unit.
      confidence: of each, in [0, 1]; those below `LEAST_CONFIDENCE` do not count.
      tau: see `TAU`.

    Returns:
      f in (0, 1], and whether the view has a keypoint at all; without one f is zero.
    """
    pixels, keypoints, confidence = (jnp.asarray(x) for x in (pixels, keypoints, confidence))
    size = jnp.linalg.norm(jnp.max(pixels, axis=0) - jnp.min(pixels, axis=0))
    seen = (confidence >= LEAST_CONFIDENCE) & jnp.all(jnp.isfinite(keypoints), axis=-1)
    gap = jnp.linalg.norm(pixels[:, None] - jnp.where(seen[:, None], keypoints, 0.0)[None], axis=-1)
    nearest = jnp.min(jnp.where(seen[None], gap, jnp.inf), axis=1)
    valid = jnp.any(seen)
    return jnp.where(valid, jnp.exp(-nearest / (tau * jnp.maximum(size, 1e-12))), 0.0), valid


def affordance(
    pixels: Float[ArrayLike, "I D 2"],
    keypoints: Float[ArrayLike, "I K 2"],
    confidence: Float[ArrayLike, "I K"],
    *,
    tau: float = TAU,
) -> Float[jax.Array, "D"]:
    """Equations 4 and 5: the mean over the views that show the part, normalised to sum 1; uniform if none does.

    Args:
      pixels: the object's points in each of I views.
      keypoints: of the part in each view.
      confidence: of each keypoint.
      tau: see `TAU`.
    """
    f, valid = jax.vmap(lambda u, k, c: view_affordance(u, k, c, tau=tau))(pixels, keypoints, confidence)
    mean = jnp.sum(f, axis=0) / jnp.maximum(jnp.sum(valid.astype(f.dtype)), 1)
    total = jnp.sum(mean)
    uniform = jnp.full_like(mean, 1.0 / mean.shape[0])
    return jnp.where(total > 1e-30, mean / jnp.maximum(total, 1e-30), uniform)


def view_axes(views: int = VIEWS, elevation: float = ELEVATION) -> Float[np.ndarray, "I 2 3"]:
    """Right and up of cameras that look at the object from all around, far away (weak perspective)."""
    azimuth, e = 2 * np.pi * np.arange(views) / views, np.radians(elevation)
    right = np.stack([np.cos(azimuth), np.zeros(views), -np.sin(azimuth)], axis=1)
    look = np.stack([np.sin(azimuth) * np.cos(e), np.full(views, np.sin(e)), np.cos(azimuth) * np.cos(e)], axis=1)
    return np.stack([right, np.cross(look, right)], axis=1)


def affordance_of_bodies(
    points: Float[np.ndarray, "D 3"], joints: Float[np.ndarray, "C K 3"], views: int = VIEWS
) -> Float[np.ndarray, "D"]:
    """The affordance that bodies posed beside an object show: each is projected to every view.

    Args:
      points: of the object, its own frame.
      joints: of one part of C bodies, the object's frame.
      views: around the object.
    """
    axes = view_axes(views)
    pixels = np.einsum("ikc,dc->idk", axes, points)
    seen = np.einsum("ikc,njc->injk", axes, joints).reshape(views * len(joints), joints.shape[1], 2)
    pixels = np.repeat(pixels, len(joints), axis=0)
    return np.asarray(
        _affordance(
            jnp.asarray(pixels, jnp.float32), jnp.asarray(seen, jnp.float32), jnp.ones(seen.shape[:2], jnp.float32)
        )
    )


_affordance = jax.jit(affordance)


def lift(
    points: Float[np.ndarray, "D 3"], weights: Float[np.ndarray, "D"], vertices: Float[np.ndarray, "V 3"]
) -> Float[np.ndarray, "V"]:
    """Weights of samples for the vertices of a mesh: of the three nearest by inverse distance, sum 1. Host function."""
    distance, index = cKDTree(points).query(vertices, k=min(3, len(points)))
    distance, index = distance.reshape(len(vertices), -1), index.reshape(len(vertices), -1)
    near = 1.0 / np.maximum(distance, 1e-9)
    value = (near * weights[index]).sum(axis=1) / near.sum(axis=1)
    return value / max(value.sum(), 1e-30)


def contact_area(
    weights: Float[np.ndarray, "V"],
    mesh: Mesh,
    *,
    quantile: float = QUANTILE,
    least: int = LEAST_VERTICES,
    mass: float = LEAST_MASS,
) -> Int[np.ndarray, "N"]:
    """Vertices that are likely to be touched, in pieces that matter. Host function.

    Args:
      weights: affordance of each vertex.
      mesh: the object; its edges say what hangs together.
      quantile: vertices from this quantile of the weights on.
      least: at least so many, if there are.
      mass: least share of the chosen weight that a piece needs to stay.
    """
    weights = np.asarray(weights, np.float64)
    order = np.argsort(-weights, kind="stable")
    number = max(int((weights >= np.quantile(weights, quantile)).sum()) if len(weights) else 0, least)
    chosen = np.zeros(len(weights), bool)
    chosen[order[:number]] = True
    faces = np.asarray(mesh.faces)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = edges[chosen[edges].all(axis=1)]
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(weights), len(weights)))
    _, label = connected_components(graph, directed=False)
    share = np.bincount(label[chosen], weights[chosen], minlength=label.max() + 1) / max(weights[chosen].sum(), 1e-30)
    kept = chosen & (share[label] >= mass)
    return np.flatnonzero(kept if kept.any() else chosen)


def blend(maps: Sequence[Float[np.ndarray, "V"]]) -> Float[np.ndarray, "V"]:
    """One map of several parts: at each vertex the largest, each map first brought to a largest value of 1."""
    scaled = [m / max(float(np.max(m)), 1e-30) for m in maps]
    return np.max(scaled, axis=0)
