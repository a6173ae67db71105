"""Vertices about the origin, whose camera nobody says; and fits to surfaces that are kept."""

import dataclasses
import pathlib

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.body_models import free_body
from hoijax.io import ParameterFile
from hoijax.io.sources import SOURCES, SourceEstimate
from hoijax.jobs import surfaces
from hoijax.jobs.estimates import up_in, with_frame
from hoijax.jobs.surfaces import SurfaceFit, kept_fit
from hoijax.optim.fitting.layouts import MHR_70


def standing(turn=(0.0, 0.0, 0.0), source="mesh"):
    """A made-up surface of SMPL's size whose keypoints stand along +y, turned."""
    points = np.zeros((70, 3))
    points[MHR_70.index("nose")] = [0, 0.6, 0.1]
    for name in ("left_ankle", "right_ankle"):
        points[MHR_70.index(name)] = [0.1, -0.9, 0]
    points = points @ Rotation.from_euler("xyz", turn, degrees=True).as_matrix().T
    row = next(row for row in SOURCES if row.name == source)
    estimate = SourceEstimate(
        pathlib.Path("a.obj"), row, "", ("",), {}, "smpl", (), {},
        vertices=np.zeros((1, 6890, 3)), keypoints=points[None]
    )  # fmt: skip
    return ParameterFile(pathlib.Path("a.obj"), {}, {}, {}, 1, False, frozenset(), {}, estimate=estimate)


@pytest.mark.parametrize(
    ("turn", "up", "note"),
    [
        ((0, 30, 0), "+y", "in a world, not in a camera"),
        ((180, 0, 0), "-y", "y down, as in a camera"),
        ((90, 0, 0), None, "give --up"),
    ],
)
def test_a_body_about_the_origin_is_in_the_frame_in_which_it_stands(turn, up, note):
    file = standing(turn)
    assert up_in(file) == up
    (told,) = with_frame(file).notes
    assert note in told


def test_a_body_before_a_camera_stays_in_it():
    file = standing((0, 0, 0), "mesh-cv")
    assert with_frame(file) is file
    assert up_in(file) == "-y"


def test_a_surface_is_fitted_once(tmp_path, monkeypatch):
    calls = []

    def fit(model, estimate):
        calls.append(estimate)
        return SurfaceFit({"transl": np.array([[1.0, 2, 3]]), "betas": np.zeros((1, 10))}, 0.011, "64 keypoints")

    monkeypatch.setattr(surfaces, "fit_surface", fit)
    model, estimate = free_body("test"), standing().estimate
    first, second = (kept_fit(model, estimate, tmp_path) for _ in range(2))
    assert len(calls) == 1
    np.testing.assert_array_equal(first.values["transl"], second.values["transl"])
    assert (second.error, second.points) == (0.011, "64 keypoints")
    moved = dataclasses.replace(estimate, vertices=estimate.vertices + 0.01)
    kept_fit(model, moved, tmp_path)
    assert len(calls) == 2
    for path in (tmp_path / "fits").glob("*.npz"):
        path.write_bytes(b"damaged")
    kept_fit(model, estimate, tmp_path)
    kept_fit(model, estimate, None)
    assert len(calls) == 4
