"""Skinned meshes of glTF files in the pose of their skeleton's nodes: what a viewer shows of a still.

Reference: the Khronos glTF 2.0 specification, section 3.7.3 (skins).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from hoijax.io.gltf_file import GltfFile


def bone_matrices(file: GltfFile, number: int, world: Mapping[int, np.ndarray]) -> Float[np.ndarray, "J 4 4"] | None:
    """Where each joint of a skin takes points of the mesh as it was modelled.

    Args:
      file: the file.
      number: of the skin.
      world: matrices of the scene's nodes by their numbers.

    Returns:
      World matrices; None, with a note, where a joint stands outside the scene.

    Raises:
      InputError: a damaged skin.
    """
    skin = file.entry("skins", number)
    joints = file.numbers(skin, "joints")
    if not joints:
        raise file.damage(f"skins[{number}] has no joints")
    for joint in joints:
        file.entry("nodes", joint)
    if any(joint not in world for joint in joints):
        file.notes.append("a skeleton stands outside the scene: its mesh is read as it is modelled")
        return None
    bones = np.stack([world[joint] for joint in joints])
    if "inverseBindMatrices" in skin:
        inverse = file.accessor(skin["inverseBindMatrices"])
        if inverse.shape[1] != 16 or len(inverse) < len(joints) or not np.isfinite(inverse).all():
            raise file.damage(f"skins[{number}] has no matrix for each of its {len(joints)} joints")
        bones = bones @ inverse[: len(joints)].astype(np.float64).reshape(-1, 4, 4).transpose(0, 2, 1)
    return bones


def bend(
    file: GltfFile, attributes: Mapping[str, Any], points: Float[np.ndarray, "N 3"], bones: Float[np.ndarray, "J 4 4"]
) -> Float[np.ndarray, "N 3"]:
    """Points under their joints' matrices, weighted; those without weights stay.

    Args:
      file: the file.
      attributes: of the primitive; JOINTS_0 and WEIGHTS_0, JOINTS_1 and WEIGHTS_1, and so on.
      points: as modelled.
      bones: of its skin, from `bone_matrices`.

    Raises:
      InputError: joints and weights that do not fit the points or the skin.
    """
    moved, total = np.zeros((len(points), 3)), np.zeros(len(points))
    place = np.concatenate([points.astype(np.float64), np.ones((len(points), 1))], axis=1)
    number = 0
    while f"JOINTS_{number}" in attributes and f"WEIGHTS_{number}" in attributes:
        joints = file.accessor(attributes[f"JOINTS_{number}"])
        weights = file.attribute(attributes[f"WEIGHTS_{number}"]).astype(np.float64)
        fits = joints.shape == weights.shape == (len(points), 4) and joints.dtype.kind != "f"
        if not fits or not np.isfinite(weights).all() or (weights < 0).any():
            raise file.damage(f"JOINTS_{number} and WEIGHTS_{number} are no four joints and weights of each vertex")
        used = weights > 0
        if used.any() and (joints[used].min() < 0 or joints[used].max() >= len(bones)):
            raise file.damage(f"a vertex names joint {joints[used].max()} of {len(bones)}")
        for k in range(4):
            matrices = bones[np.where(used[:, k], joints[:, k], 0), :3]
            moved += weights[:, k, None] * np.einsum("nij,nj->ni", matrices, place)
        total += weights.sum(axis=1)
        number += 1
    held = total > 0
    moved[held] /= total[held, None]
    return np.where(held[:, None], moved, points).astype(np.float32)
