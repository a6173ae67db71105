"""Nested levels of detail of the dressed surface, in one vertex order shared by all of them."""

import numpy as np
from scipy.spatial.transform import Rotation

from .decimate import Decimator
from .regions import REGION
from .skeleton import FINGERS, INDEX, JOINTS, PARENTS

LEVELS = {"render": 12450, "default": 6900, "light": 3000, "test": 1500}
_FLIP_POSE = np.array([1.0, -1.0, -1.0])  # mirror image of an axis-angle vector


def pose(entries):
    """Axis-angle (52, 3) from a dict; a name `*x` sets left_x and, mirrored, right_x."""
    result = np.zeros((len(JOINTS), 3))
    for name, value in entries.items():
        if name.startswith("*"):
            result[INDEX["left_" + name[1:]]] = value
            result[INDEX["right_" + name[1:]]] = np.array(value) * _FLIP_POSE
        else:
            result[INDEX[name]] = value
    return result


def skin(vertices, joints, weights, axis_angle):
    """Linear blend skinning of one body; returns vertices and joints."""
    local = Rotation.from_rotvec(axis_angle).as_matrix()
    world, placed = local.copy(), joints.copy()
    for i, p in enumerate(PARENTS):
        if p >= 0:
            world[i] = world[p] @ local[i]
            placed[i] = placed[p] + world[p] @ (joints[i] - joints[p])
    shift = placed - np.einsum("jab,jb->ja", world, joints)
    blended = np.einsum("vj,jab->vab", weights, world)
    return np.einsum("vab,vb->va", blended, vertices) + weights @ shift, placed


_FIST = {f"*{f}{k}": [0, 0, -1.2] for f in FINGERS if f != "thumb" for k in (1, 2, 3)}
_FIST |= {"*thumb2": [0, -0.5, -0.3], "*thumb3": [0, -0.6, -0.3]}
STRAIN_POSES = (
    {"*hip": [-1.4, 0, 0.15], "*knee": [1.5, 0, 0], "*ankle": [0.3, 0, 0], "*elbow": [0, -1.6, 0]}
    | {"*shoulder": [0, 0, -1.1]},
    _FIST | {"*shoulder": [0, -1.0, 0], "*wrist": [0, 0, -0.8], "neck": [0.3, 0, 0]}
    | {f"spine{k}": [0.3, 0, 0] for k in (1, 2, 3)},
    {"*hip": [0.5, 0, 0.5], "*knee": [2.2, 0, 0], "*shoulder": [0, 0, 1.0], "*wrist": [0, 0, 0.9]}
    | {"*collar": [0, 0, 0.4]},
)  # fmt: skip


def landmarks(surface, labels):
    """Named surface points: SMPL-X's extra keypoints and the top of the head -> vertex id."""
    mean, weights, mirror = surface.mean, surface.weights, surface.mirror
    x, y, z = mean.T
    middle = mirror == np.arange(len(mirror))
    best = lambda score, mask: int(np.argmax(np.where(mask, score, -np.inf)))  # noqa: E731
    head = weights[:, INDEX["head"]] > 0.5
    shoe = (labels == REGION["shoes"]) & (x > 0)
    inner = x < np.median(x[shoe & (z > 0.08)])
    eye = (labels == REGION["irises"]) & (x > 0)
    centre = mean[eye].mean(0)
    vertex_ids = {
        "nose": best(z, head & middle & (labels == REGION["skin"])),
        "head_top": best(y, head & middle),
        "left_eye": best(-np.linalg.norm(mean - centre, axis=1), eye),
        "left_ear": best(x, head & (y < centre[1] + 0.02) & (labels == REGION["skin"])),
        "left_big_toe": best(z, shoe & inner),
        "left_small_toe": best(x + z, shoe & ~inner),
        "left_heel": best(-z, shoe & (y < y.min() + 0.03)),
    }
    for finger in FINGERS:
        tip = weights[:, INDEX[f"left_{finger}3"]] > 0.6
        vertex_ids[f"left_{finger}"] = best(x + (z if finger == "thumb" else 0), tip)
    vertex_ids |= {"right_" + name[5:]: int(mirror[v]) for name, v in vertex_ids.items() if name.startswith("left_")}
    return vertex_ids


def importance(surface, labels):
    """Cost factor per vertex: hands, face and eyes matter more than their size says, the closed mouth does not."""
    w, mean = surface.weights, surface.mean
    hands = w[:, INDEX["left_wrist"] :].sum(1)
    head = w[:, INDEX["head"]]
    hair = labels == REGION["hair"]
    face = head * (mean[:, 2] > mean[head > 0.9, 2].mean()) * ~hair
    factor = 1 + 6 * hands + 0.5 * head + 8 * face
    factor[labels == REGION["shoes"]] = 0.6
    factor[surface.mouth] = 1e-3
    factor[surface.eye] = 8.0
    return factor


def build_levels(surface, joints, labels, progress):
    """Decimates the surface to all levels.

    Args:
      surface: the dressed `BodySurface`.
      joints: (52, 3) of the mean body.
      labels: (V,) regions.
      progress: wraps an iterable with a label.

    Returns:
      order: original ids, those of the coarsest level first, so that each level is a prefix; faces per level in the new
      numbering; landmark ids in the new numbering.
    """
    mean, shape = surface.fields[0], surface.fields[1:]
    configurations = [mean] + [skin(mean, joints, surface.weights, pose(p))[0] for p in STRAIN_POSES]
    configurations += [mean + 2 * shape[0], mean + 2.5 * shape[1], mean - 2.5 * shape[1], mean + 2.5 * shape[2]]
    points = landmarks(surface, labels)
    decimator = Decimator(
        np.stack(configurations), surface.faces, surface.mirror, labels, importance(surface, labels),
        list(points.values()), surface.mouth,
    )  # fmt: skip
    rank = np.zeros(len(mean), int)  # number of levels a vertex is in
    faces = {}
    for name, count in progress(list(LEVELS.items()), "levels"):
        alive, faces[name] = decimator.run(count)
        rank += alive
    order = np.lexsort((np.arange(len(rank)), -rank))[: np.sum(rank > 0)]
    number = np.full(len(rank), -1)
    number[order] = np.arange(len(order))
    new_faces = {}
    for name, f in faces.items():
        f = number[f]
        f = np.take_along_axis(f, (np.argmin(f, axis=1)[:, None] + np.arange(3)) % 3, axis=1)  # smallest id first
        new_faces[name] = f[np.lexsort(f.T[::-1])]
    return order, new_faces, {name: int(number[v]) for name, v in points.items()}
