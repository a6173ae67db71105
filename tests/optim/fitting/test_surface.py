"""Bodies fitted to surfaces: known similarities are found again, poses too, and what cannot be is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyParams, free_body, pose_body_compiled
from hoijax.errors import InputError
from hoijax.geometry import vertex_normals
from hoijax.optim.fitting import surface
from hoijax.optim.fitting.prior import pose_bank

SEVEN = surface.SurfaceFitConfig(pose=False, steps=(8, 20), kept=(3, 1))
WHOLE = surface.SurfaceFitConfig(yaws=4, lying=False, kept=(2, 1), steps=(10, 14))


@pytest.fixture(scope="module")
def model():
    return free_body("test")


@pytest.fixture(scope="module")
def body(model):
    return surface.prepare_surface_body(model)


def posed(model, index=2, turn=(0, 0, 0), betas=()):
    """Parameters of a pose of the bank."""
    vectors = pose_bank(model)[index].copy()
    vectors[0] = turn
    rotations = Rotation.from_rotvec(vectors).as_matrix().astype(np.float32)
    shape = np.zeros(model.num_betas, np.float32)
    shape[: len(betas)] = betas
    return BodyParams(rotations, shape, np.zeros(3, np.float32))


def target_of(vertices, faces, keep, area):
    """Vertices as a target: points of the body itself, so that sampling adds nothing."""
    normals = np.asarray(vertex_normals(vertices, faces))
    order = np.resize(np.random.default_rng(0).permutation(np.flatnonzero(keep)), 1400)
    return surface.SurfaceTarget(
        vertices[order].astype(np.float32), normals[order].astype(np.float32), np.float32(area)
    )


def vertices_of(model, params):
    return np.asarray(pose_body_compiled(model, params).vertices)


def test_samples_are_spread_by_area_and_face_outward(model):
    target = surface.surface_target(model.v_template, model.faces, count=2000)
    corners = np.asarray(model.v_template)[model.faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1) / 2
    assert target.area == pytest.approx(area.sum(), rel=1e-5)
    head = (corners.mean(axis=1)[:, 1] > 0.4) @ area / area.sum()
    assert (target.points[:, 1] > 0.4).mean() == pytest.approx(head, abs=0.02)
    np.testing.assert_allclose(np.linalg.norm(target.normals, axis=1), 1, atol=1e-5)
    assert (target.normals[:300, 2] * (target.points[:300, 2] - target.points[:, 2].mean()) > 0).mean() > 0.6
    for vertices in (np.zeros((3, 3)), np.full((3, 3), np.nan)):
        with pytest.raises(InputError, match="no area"):
            surface.surface_target(vertices, np.array([[0, 1, 2]]))


@pytest.mark.parametrize("seed", [0, 1])
def test_similarities_are_recovered(model, body, seed):
    rng = np.random.default_rng(seed)
    params = posed(model)
    scale, move = rng.uniform(0.7, 1.4), rng.normal(size=3)
    turn = Rotation.from_rotvec(np.radians(20) * rng.uniform(-1, 1, 3) / 3**0.5).as_matrix()
    true = scale * vertices_of(model, params) @ turn.T + 0.2 * move / np.linalg.norm(move)
    faces = np.asarray(model.faces)
    whole = surface.surface_target(true, faces)
    everything = target_of(true, faces, np.ones(len(true), bool), whole.area)
    found = surface.fit_surface(body, everything, params, SEVEN, quick=True)
    placed = float(found.scale) * vertices_of(model, found.params)
    assert np.linalg.norm(placed - true, axis=1).mean() < 0.002
    assert found.scale == pytest.approx(scale, rel=5e-3)
    np.testing.assert_array_equal(np.asarray(found.params.betas), 0)
    np.testing.assert_allclose(np.asarray(found.params.rotations)[1:22], np.asarray(params.rotations)[1:22], atol=1e-5)
    matrix = np.asarray(found.similarity)
    np.testing.assert_allclose(matrix[:3, :3].T @ matrix[:3, :3], found.scale**2 * np.eye(3), rtol=1e-5)
    # Three tenths of the points gone.
    keep = rng.random(len(true)) < 0.7
    found = surface.fit_surface(body, target_of(true, faces, keep, whole.area), params, SEVEN, quick=True)
    placed = float(found.scale) * vertices_of(model, found.params)
    assert np.linalg.norm(placed - true, axis=1).mean() < 0.01


def test_pose_and_shape_are_found_from_nothing(model, body):
    params = posed(model, index=4, turn=(0, 1.7, 0), betas=(1.0, -0.8))
    true = 0.55 * vertices_of(model, params) + [1.0, 0.4, -2.0]
    target = surface.surface_target(true, np.asarray(model.faces))
    found = surface.fit_surface(body, target, config=WHOLE, quick=True)
    placed = float(found.scale) * vertices_of(model, found.params)
    assert np.linalg.norm(placed - true, axis=1).mean() < 0.55 * 0.012
    fixed = surface.fit_surface(body, target, config=dataclasses.replace(WHOLE), quick=True)
    jax.tree.map(np.testing.assert_array_equal, found, fixed)
    # One bad surface of several keeps none from being fitted.
    bad = target.replace(points=np.full_like(target.points, np.nan))
    with pytest.raises(InputError, match="not finite"):
        surface.fit_surface(body, bad, config=WHOLE, quick=True)
    fits, failures = surface.fit_surfaces(body, [bad, target], WHOLE, quick=True)
    assert list(fits) == [1] and list(failures) == [0]
    jax.tree.map(np.testing.assert_array_equal, fits[1], found)


def test_starts_stand_lean_and_lie_all_round(body):
    config = surface.SurfaceFitConfig(yaws=8)
    poses, turns, sizes = surface._starts(body, None, config)
    assert len(poses) == len(turns) == len(sizes) == len(body.bank) * 24
    turns = np.asarray(turns)
    assert len(np.unique(np.round(turns, 3).reshape(len(turns), 9) + 0.0, axis=0)) == 24
    up, facing = turns[:, 1, 1], turns[:, 1, 2]  # heights of the body's up and of where it faces
    leaning = (np.abs(up - np.cos(0.7)) < 1e-3) & (np.abs(facing + np.sin(0.7)) < 1e-3)  # it looks down
    counts = ((up > 0.99).sum(), leaning.sum(), (facing > 0.99).sum(), (facing < -0.99).sum())
    assert counts == tuple(len(body.bank) * k for k in (8, 8, 4, 4))
    np.testing.assert_allclose(np.linalg.det(turns), 1, atol=1e-5)
    none = surface._starts(body, None, dataclasses.replace(config, bent=0.0, lying=False))
    assert len(none[0]) == len(body.bank) * 8


def test_of_neighbouring_directions_one_is_begun_with():
    config = surface.SurfaceFitConfig(yaws=4, bent=0.5)
    first, second = [3.0, 1.0, 2.0, 4.0, 7.0, 8.0, 6.0, 5.0, 2.0, 1.0, 4.0, 3.0], np.arange(12.0)
    kept = np.asarray(surface._one_of_neighbours(jnp.float32(np.concatenate([first, second])), config))
    # Rings of four, and lying two of two, which are opposite to each other.
    assert np.flatnonzero(np.isfinite(kept)).tolist() == [1, 7, 8, 9, 10, 11, 12, 16, 20, 21, 22, 23]
    np.testing.assert_array_equal(kept[np.isfinite(kept)][:3], [1, 5, 2])


def test_losses_reject_what_is_far(body):
    weights = np.full(2, 10.0, np.float32)
    residuals = np.float32([0.1, 30.0, 2.0])  # 1 cm, 3 m, and a prior
    value, weight = surface._robust(residuals, 0.1, weights=weights)
    square = np.square(residuals)
    expected = [0.01 / (0.01 + (r / 10) ** 2) for r in residuals[:2]]
    assert float(value) == pytest.approx((square[:2] * expected).sum() + 4, rel=1e-5)
    np.testing.assert_allclose(weight, [expected[0] ** 2, expected[1] ** 2, 1], rtol=1e-5)


def test_hands_are_no_bodies(model):
    with pytest.raises(InputError, match="no body"):
        surface.prepare_surface_body(model.replace(kind="mano"))
