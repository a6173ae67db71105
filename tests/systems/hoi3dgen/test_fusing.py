"""Two meshes made one surface: it is closed, encloses both, and knows what belongs to whom."""

import numpy as np
import pytest
import trimesh

from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.systems.hoi3dgen.fusing import FuseConfig, fuse_meshes

CONFIG = FuseConfig(spacing=0.02, resolution=32, faces=4000)


def mesh_of(shape, place):
    return Mesh(np.float32(shape.vertices + place), np.asarray(shape.faces, np.int32))


def test_two_balls_that_overlap_are_one_surface():
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.25)
    small = trimesh.creation.icosphere(subdivisions=3, radius=0.15)
    fused = fuse_meshes(mesh_of(ball, [0, 0, 0]), mesh_of(small, [0.32, 0, 0]), CONFIG)
    whole = trimesh.Trimesh(fused.mesh.vertices, fused.mesh.faces, process=False)
    assert whole.is_watertight and whole.body_count == 1
    # The two caps that each ball loses to the other (spherical caps' volume).
    middle = (0.32**2 + 0.25**2 - 0.15**2) / (2 * 0.32)
    lens = sum(np.pi * h**2 * (3 * r - h) / 3 for r, h in ((0.25, 0.25 - middle), (0.15, 0.15 - (0.32 - middle))))
    assert whole.volume == pytest.approx(4 / 3 * np.pi * (0.25**3 + 0.15**3) - lens, rel=0.03)
    x = fused.mesh.vertices[:, 0]
    assert (fused.labels[x < middle - 0.02] == 0).all() and (fused.labels[x > middle + 0.02] == 1).all()
    far = np.abs(np.linalg.norm(fused.mesh.vertices - np.where(fused.labels[:, None], [0.32, 0, 0], 0), axis=1)
                 - np.where(fused.labels, 0.15, 0.25))  # fmt: skip
    assert far.max() < 0.02 and far.mean() < 0.005


@pytest.mark.parametrize("place", [[80.0, 80.0, 80.0], [np.nan, 0, 0]])
def test_meshes_in_other_units_are_told(place):
    box = trimesh.creation.box((0.2, 0.2, 0.2))
    with pytest.raises(InputError, match="are both in metres"):
        fuse_meshes(mesh_of(box, [0, 0, 0]), mesh_of(box, place))
