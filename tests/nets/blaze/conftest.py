"""The photograph of the tests, the networks' weights, and answers of the published files (tools/blaze/answers.py)."""

import functools
import pathlib
import types

import numpy as np
import pytest
from PIL import Image

from hoijax.nets.blaze import find_people, load

HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="session")
def weights():
    """Weights by network, each read once."""
    return functools.cache(load)


@pytest.fixture(scope="session")
def answers():
    with np.load(HERE / "answers.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="session")
def photograph():
    """Eileen Collins by NASA (public domain, from scikit-image's data), 320 x 320, values in [0, 1]."""
    return np.asarray(Image.open(HERE / "astronaut.jpg").convert("RGB"), np.float32) / 255


@pytest.fixture(scope="session")
def found(weights):
    """Two places for persons of a picture: `run(picture)` and `released(picture)`."""
    networks = {name: weights(name) for name in ("detector", "landmarks")}
    run = functools.partial(find_people, networks, max_people=2)
    return types.SimpleNamespace(run=run, released=functools.partial(run, released=True))
