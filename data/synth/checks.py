"""What a fitted interaction must pass to become a sample, and the contacts that become its labels. Host functions.

Measured on the "default" body by exact distances; `experiments/synth_quality.py` measures again, with other code.
"""

import dataclasses
import functools

import jax
import numpy as np
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyModel, BodyParams, contact_regions, free_body, joint_limits, pose_body
from hoijax.data.synth.solver import SolvedCandidate, join_meshes, pose_mesh
from hoijax.geometry import Mesh
from hoijax.metrics import signed_distance_host

TOUCHES = 0.01
"""A vertex touches what is nearer than this, metres (BEHAVE's threshold is 2 cm, on fits that are less exact)."""
DEPTH = 0.01
"""Largest depth of body and object in each other; a rigid body has no soft flesh, so seats give a little."""
_SHARE = 0.03
"""Share of a region's vertices, nearest first, whose mean distance tells whether the region touches."""
_REACHED = 0.006
"""Largest distance of that share, metres."""
_FLOOR = 0.012
"""How far things may hang above or sink into the floor, metres."""
_BALANCE = 0.06
"""How far the centre of mass may lie outside of its support, metres."""
_LIMIT = 0.12
"""Excess over a joint's range, radians."""
_NEAR = 0.05
"""Distances are exact up to this one, metres."""

LEVEL = "default"


@dataclasses.dataclass(frozen=True)
class Checked:
    """An interaction with its meshes, contacts and what is wrong with it."""

    fitted: SolvedCandidate
    vertices: np.ndarray
    """World vertices of the "default" body and joints, float64."""
    joints: np.ndarray
    object: Mesh
    """Meshes of the object and of the furniture in the world."""
    furniture: tuple[Mesh, ...]
    body_contact: np.ndarray
    """Which body vertices touch the object, the floor; which object vertices touch the body, the floor."""
    body_floor: np.ndarray
    object_contact: np.ndarray
    object_floor: np.ndarray
    depth: float
    """Deepest penetration of body and object or furniture, metres."""
    failed: tuple[str, ...]
    """Names of the failed checks; empty: accepted."""


@functools.cache
def _body() -> tuple[BodyModel, dict[str, np.ndarray]]:
    model = free_body(LEVEL)
    return model, contact_regions(model)


@functools.cache
def _pose():
    model = _body()[0]
    return jax.jit(lambda params: pose_body(model, params))


def body_mesh(rotations: np.ndarray, betas: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and joints of the "default" body, float64."""
    params = BodyParams(*(np.asarray(x, np.float32) for x in (rotations, betas, translation)))
    body = _pose()(params)
    return np.asarray(body.vertices, np.float64), np.asarray(body.joints, np.float64)


def check(fitted: SolvedCandidate) -> Checked:
    """Measures an interaction."""
    model, regions = _body()
    start = fitted.candidate.start
    vertices, joints = body_mesh(fitted.rotations, start.puppet.betas, fitted.translation)
    body = Mesh(vertices, np.asarray(model.faces))
    obj = pose_mesh(start.placed.object, fitted.object_rotation, fitted.object_translation)
    furniture = tuple(pose_mesh(f.object, *at) for f, at in zip(start.furniture, fitted.furniture))
    to_object = _distances(vertices, obj)
    to_furniture = _distances(vertices, join_meshes(list(furniture))) if furniture else np.full(len(vertices), _NEAR)
    hard = join_meshes([_hard(fitted, obj), *furniture])
    to_hard = _distances(vertices, hard) if fitted.candidate.action.name == "wear" else to_object
    probes = np.concatenate([np.asarray(obj.vertices), _samples(hard)])
    to_body = _distances(probes, body)
    object_distance = to_body[: len(obj.vertices)]
    rigid = np.ones(len(probes), bool)
    rigid[: len(obj.vertices)] = np.isin(np.arange(len(obj.vertices)), np.asarray(_hard(fitted, obj).faces))
    depth = float(max(-to_hard.min(), -to_furniture.min(), -to_body[rigid].min(), 0.0))
    everything = join_meshes([obj, *furniture])
    object_floor = np.asarray(obj.vertices)[:, 1] < TOUCHES
    body_floor = vertices[:, 1] < TOUCHES
    failed = []
    reached = [_part_distance(to_hard[regions[name]]) for name in start.contact]
    reached += [_part_distance(to_furniture[regions[name]]) for name in start.support]
    if max(reached) > _REACHED:
        failed.append("contact")
    if depth > DEPTH:
        failed.append("penetration")
    lowest = min(vertices[:, 1].min(), everything.vertices[:, 1].min())
    grounded = start.floor or min(start.placed.box()[0][1], 1.0) < 0.01
    if lowest < -_FLOOR or (grounded and lowest > _FLOOR):
        failed.append("floor")
    if not _is_supported(everything, to_hard, regions):
        failed.append("support")
    if not _is_balanced(vertices, np.asarray(model.faces), everything, np.minimum(to_object, to_furniture)):
        failed.append("balance")
    if _excess(model, fitted.rotations) > _LIMIT:
        failed.append("limits")
    if _crosses_itself(joints, model):
        failed.append("self")
    return Checked(
        fitted=fitted, vertices=vertices, joints=joints, object=obj, furniture=furniture,
        body_contact=to_object < TOUCHES, body_floor=body_floor,
        object_contact=object_distance < TOUCHES, object_floor=object_floor, depth=depth, failed=tuple(failed),
    )  # fmt: skip


def _hard(fitted: SolvedCandidate, obj: Mesh) -> Mesh:
    """The object without the straps of a worn backpack: they are soft, and drawn as if they were stiff."""
    made = fitted.candidate.start.placed.object
    if fitted.candidate.action.name != "wear" or "strap" not in made.part_names:
        return obj
    return Mesh(obj.vertices, np.asarray(obj.faces)[np.asarray(made.part_labels) != made.part_names.index("strap")])


def _samples(mesh: Mesh, count: int = 1536) -> np.ndarray:
    """Points spread over a surface: equal steps of area choose the face, a low-discrepancy sequence the place in it."""
    a, b, c = np.moveaxis(np.asarray(mesh.vertices)[np.asarray(mesh.faces)], 1, 0)
    area = np.cumsum(np.linalg.norm(np.cross(b - a, c - a), axis=1))
    face = np.searchsorted(area, (np.arange(count) + 0.5) / count * area[-1]).clip(0, len(a) - 1)
    u, v = ((np.arange(count)[:, None] * np.array([0.7548776662, 0.5698402910]) + 0.5) % 1).T[:, :, None]
    root = np.sqrt(u)
    return (1 - root) * a[face] + root * (1 - v) * b[face] + root * v * c[face]


def _distances(points: np.ndarray, mesh: Mesh) -> np.ndarray:
    """Signed distances, positive outside, cut at `_NEAR`."""
    corners = np.asarray(mesh.vertices)
    out = np.full(len(points), _NEAR)
    near = np.all((points > corners.min(0) - _NEAR) & (points < corners.max(0) + _NEAR), axis=1)
    if near.any():
        out[near] = np.minimum(signed_distance_host(points[near], mesh), _NEAR)
    return out


def _part_distance(distance: np.ndarray) -> float:
    """Mean distance of a region's nearest vertices."""
    count = max(3, int(_SHARE * len(distance)))
    return float(np.abs(np.sort(np.abs(distance))[:count]).mean())


def _is_supported(everything: Mesh, to_object: np.ndarray, regions: dict[str, np.ndarray]) -> bool:
    """Object on the floor, or on furniture on the floor, or held by a hand, or borne by the body."""
    if everything.vertices[:, 1].min() < _FLOOR:
        return True
    carriers = ("left_hand", "right_hand", "back")
    return any((to_object[regions[name]] < TOUCHES).sum() >= 3 for name in carriers)


def _is_balanced(vertices: np.ndarray, faces: np.ndarray, everything: Mesh, distance: np.ndarray) -> bool:
    """The body's centre of mass over what it stands on: the floor, and what stands on the floor and is touched."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    volume = np.einsum("ij,ij->i", a, np.cross(b, c))
    centre = np.einsum("i,ij->j", volume, a + b + c) / (4 * volume.sum())
    support = [vertices[vertices[:, 1] < 0.02][:, [0, 2]]]
    obj = np.asarray(everything.vertices)
    if obj[:, 1].min() < _FLOOR:
        touched = vertices[distance < TOUCHES][:, [0, 2]]
        support.append(touched)
        if len(touched):
            support.append(obj[obj[:, 1] < 0.02][:, [0, 2]])
    points = np.concatenate(support)
    if len(points) < 3:
        return False
    try:
        hull = ConvexHull(points)
    except QhullError:
        return False
    return bool((hull.equations[:, :2] @ centre[[0, 2]] + hull.equations[:, 2]).max() < _BALANCE)


def _excess(model: BodyModel, rotations: np.ndarray) -> float:
    """By how much the worst joint leaves its range, radians."""
    limits = joint_limits(model)
    vectors = Rotation.from_matrix(rotations).as_rotvec()
    out = np.maximum(np.asarray(limits.lower) - vectors, vectors - np.asarray(limits.upper))
    return float(out.max())


_ARMS = (("elbow", "wrist", 0.03), ("wrist", "middle1", 0.018))
"""Bones as capsules: first and last joint, radius; arms against trunk, head and thighs."""
_TRUNK = (("pelvis", "spine2", 0.075), ("spine2", "neck", 0.075), ("neck", "head", 0.05))


def _crosses_itself(joints: np.ndarray, model: BodyModel) -> bool:
    """Whether a forearm or a hand is in the trunk, the head or a thigh."""
    at = {name: joints[i] for i, name in enumerate(model.joint_names)}
    trunk = [(at[a], at[b], r) for a, b, r in _TRUNK]
    trunk += [(at[f"{s}_hip"], at[f"{s}_knee"], 0.04) for s in ("left", "right")]
    for side in ("left", "right"):
        for a, b, radius in _ARMS:
            for c, d, other in trunk:
                if _segment_distance(at[f"{side}_{a}"], at[f"{side}_{b}"], c, d) < radius + other:
                    return True
    return False


def _segment_distance(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> float:
    """Distance of two segments, to the fineness of 12 points on each."""
    t = np.linspace(0, 1, 12)[:, None]
    p, q = a + t * (b - a), c + t * (d - c)
    return float(np.linalg.norm(p[:, None] - q[None], axis=-1).min())
