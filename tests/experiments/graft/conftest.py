"""The test body, what GRAFT must know of it, and made-up rooms: one of each for the whole folder."""

import jax
import jax.numpy as jnp
import pytest

from hoijax.body_models import free_body
from hoijax.experiments.graft.rooms import Rooms
from hoijax.systems.graft import body_spec


@pytest.fixture(scope="session")
def model():
    return free_body("test")


@pytest.fixture(scope="session")
def spec(model):
    return body_spec(model)


@pytest.fixture(scope="session")
def rooms(model, spec):
    return Rooms(model, spec, count=8, points=1024)


@pytest.fixture(scope="session")
def sample(rooms):
    return jax.tree.map(jnp.asarray, rooms[0])
