"""A small body, a box with its fields, and one compiled batch refiner for the whole folder."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.body_models import BodyParams, free_body, named_pose
from hoijax.geometry import Mesh, RigidPose
from hoijax.interaction import make_template
from hoijax.optim.fields import body_field, object_field
from hoijax.optim.gradient import RefineConfig, Sizes

SIZES = Sizes(steps_per_round=5, body_points=128, contact_points=12, object_points=96)


def box_mesh(size=(0.42, 0.3, 0.34)) -> Mesh:
    """A box of twelve triangles centred at the origin, float32."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32) / 2
    faces = [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6]]
    faces += [[0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
    return Mesh(vertices=corners * np.asarray(size, np.float32), faces=np.asarray(faces, np.int32))


@pytest.fixture(scope="session")
def model():
    return free_body("test")


@pytest.fixture(scope="session")
def template():
    return make_template(box_mesh(), resolution=24)


@pytest.fixture(scope="session")
def body(model):
    return body_field(model)


@pytest.fixture(scope="session")
def thing(template):
    return object_field(template)


@pytest.fixture(scope="session")
def carry(model):
    """A body with its forearms forward, and a pose for the box between its hands; no leading axes, float32."""
    params = BodyParams.from_axis_angle(model, **named_pose("carry"), betas=np.zeros(10, np.float32))
    pose = RigidPose(
        rotation=jnp.eye(3, dtype=jnp.float32),
        translation=jnp.asarray([0.0, 1.2, 0.47], jnp.float32),
        scale=jnp.ones((), jnp.float32),
    )
    return jax.tree.map(jnp.asarray, (params, pose))


@pytest.fixture(scope="session")
def quick():
    """Few points and few steps: what is tested is behaviour, `experiments/refine_stats.py` measures quality."""
    return RefineConfig(sizes=SIZES).with_steps(80)


@pytest.fixture(scope="session")
def make_box():
    return box_mesh
