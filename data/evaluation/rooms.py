"""SynthHOI's rooms as scenes: points with normals on floor, walls, ceiling and furniture, in the world."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyModel, contact_regions
from hoijax.data.evaluation.states import SceneTruth
from hoijax.data.objects import random_object
from hoijax.metrics import contact_set_weights

_PER_POINT = 4e-4
"""Square metres of surface per scene point: they lie about 2 cm apart, as in a scan."""
_REGIONS = ("hands", "feet", "left_calf", "right_calf", "thighs", "buttocks", "back")
"""Regions of the body that take part, as PROX's contact segments do."""


def room_scene(sample: Mapping[str, Any], model: BodyModel) -> SceneTruth:
    """The scene of one human-scene sample.

    Args:
      sample: as `SynthSplit` decodes it: `room`, `furniture`.
      model: the free body.

    Returns:
      Points, normals and the body's contact set, world frame, metres.
    """
    low_x, high_x, low_z, high_z, height = (float(x) for x in sample["room"])
    room = trimesh.creation.box(bounds=[[low_x, 0.0, low_z], [high_x, height, high_z]])
    points, normals = _surface(room)
    parts = [(points, -normals)]  # seen from inside
    for piece in sample["furniture"]:
        mesh = random_object(piece["category"], int(piece["seed"])).mesh
        turn = Rotation.from_rotvec(piece["rotation"]).as_matrix()
        vertices = np.asarray(mesh.vertices) @ turn.T + piece["translation"]
        parts.append(_surface(trimesh.Trimesh(vertices, np.asarray(mesh.faces), process=False)))
    points, normals = (np.concatenate(arrays) for arrays in zip(*parts))
    regions = contact_regions(model)
    ids = np.unique(np.concatenate([regions[name] for name in _REGIONS]))
    weights = np.asarray(contact_set_weights(np.asarray(model.v_template), np.asarray(model.faces), ids))
    return SceneTruth(points.astype(np.float32), normals, ids, weights)


def _surface(mesh: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    points, face = trimesh.sample.sample_surface(mesh, max(64, int(mesh.area / _PER_POINT)), seed=0)
    return np.asarray(points), np.asarray(mesh.face_normals)[face]
