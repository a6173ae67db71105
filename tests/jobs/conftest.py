"""The toy job, importable by name as workers of Beam need it."""

import pathlib
import sys

import pytest


@pytest.fixture(scope="session")
def toy():
    """The module of the toy job."""
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    import toy_job

    yield toy_job
    sys.path.remove(str(pathlib.Path(__file__).parent))
