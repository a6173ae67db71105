"""A box with its fields for the whole folder."""

import numpy as np
import pytest

from hoijax.geometry import Mesh
from hoijax.interaction import make_template


@pytest.fixture(scope="session")
def template():
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32) / 2
    faces = [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6]]
    faces += [[0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
    size = np.array((0.42, 0.3, 0.34), np.float32)
    return make_template(Mesh(vertices=corners * size, faces=np.asarray(faces, np.int32)), resolution=24)
