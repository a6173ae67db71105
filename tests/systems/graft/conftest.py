"""A small body for the whole folder."""

import pytest

from hoijax.body_models import free_body


@pytest.fixture(scope="session")
def model():
    return free_body("test")
