"""Small shapes and clouds shared by the interaction tests."""

import numpy as np
import pytest
import trimesh

from hoijax.geometry import Mesh


@pytest.fixture(scope="session")
def sphere():
    """Icosphere of radius 0.3 m around (0.1, 0.2, -0.1), with its exact unit normals."""
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.3)
    centre = np.array([0.1, 0.2, -0.1])
    return Mesh(ball.vertices + centre, ball.faces.astype(np.int32)), ball.vertices / 0.3, centre


@pytest.fixture(scope="session")
def box():
    """Closed box 0.4 x 0.6 x 0.2 m around the origin."""
    shape = trimesh.creation.box(extents=(0.4, 0.6, 0.2))
    return Mesh(np.asarray(shape.vertices, np.float64), np.asarray(shape.faces, np.int32))


@pytest.fixture(scope="session")
def clouds():
    """A body of 40 points and an object of 12 beside it, in general position, with masks."""
    rng = np.random.default_rng(0)
    body, object = rng.normal(size=(40, 3)) * 0.2, rng.normal(size=(12, 3)) * 0.1 + np.array([0.3, 0.0, 0.1])
    return body, object, rng.random(40) < 0.5, rng.random(12) < 0.5


def random_motion(rng):
    """A rotation matrix (by QR, no hoijax code) and a translation."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    q[:, 0] *= np.linalg.det(q)
    return q, rng.normal(size=3)


@pytest.fixture(scope="session")
def motion():
    return random_motion(np.random.default_rng(3))
