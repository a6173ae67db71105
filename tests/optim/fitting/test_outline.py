"""Outlines: cutting masks, and following one whose body is known."""

import jax
import numpy as np
import pytest

from hoijax.body_models import free_body, pose_body
from hoijax.camera import Camera
from hoijax.errors import InputError
from hoijax.optim.fitting import (
    OutlineConfig,
    follow_outlines,
    given_intrinsics,
    outline_target,
)
from hoijax.render import rasterize


def body_mask(params, scenes):
    model = free_body("test")
    camera = Camera(scenes.MATRIX, np.eye(4, dtype=np.float32), scenes.SIZE)
    return np.asarray(rasterize(pose_body(model, params).vertices, model.faces, camera).mask)


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


def test_a_target_is_the_mask_about_its_middle():
    mask = np.zeros((300, 400), bool)
    mask[100:200, 150:190] = True
    target = outline_target(mask, size=31, margin=0.12)
    np.testing.assert_allclose(target.box, [170 - 62, 150 - 62, 124, 124])
    assert target.covered.shape == (31, 31)
    np.testing.assert_allclose(target.valid, 1, atol=1e-5)
    np.testing.assert_allclose(target.covered.sum() * 16, mask.sum(), rtol=1e-3)
    y, x = np.mgrid[:31, :31] + 0.5
    weight = target.covered / target.covered.sum()
    np.testing.assert_allclose([(weight * x).sum() * 4 + 108, (weight * y).sum() * 4 + 88], [170, 150], atol=0.1)


def test_outside_of_the_picture_and_behind_things_nothing_is_known():
    mask = np.zeros((100, 100), bool)
    mask[40:, 30:60] = True  # cut off below
    hidden = np.zeros((100, 100), bool)
    hidden[50:60] = True
    target = outline_target(mask, hidden=hidden, size=32)
    left, top, side, _ = target.box
    rows = top + (np.arange(32) + 0.5) * side / 32
    assert (target.valid[rows > 101] == 0).all() and target.valid[(rows > 62) & (rows < 98), 16].min() == 1
    assert (target.valid[(rows > 52) & (rows < 58)] == 0).all()
    assert target.covered[np.searchsorted(rows, 80), 16] == 1  # not diluted by what is hidden beside it


@pytest.mark.parametrize(
    "arguments, told",
    [
        ({"mask": np.zeros((40, 40), bool)}, "empty"),
        ({"mask": np.full((40, 40), 255.0)}, "probabilities"),
        ({"mask": np.ones((40, 40), bool), "hidden": np.zeros((40, 41), bool)}, r"\(40, 41\)"),
        ({"mask": np.ones((40, 40), bool), "size": 4}, "at least 16"),
    ],
)
def test_no_mask(arguments, told):
    with pytest.raises(InputError, match=told):
        outline_target(**arguments)
    with pytest.raises(InputError):
        OutlineConfig(steps=0)


@pytest.mark.slow
def test_the_outline_brings_width_and_hidden_legs(scenes, prepared, fit_one):
    """Landmarks without the left leg of a wide person; the mask has both."""
    model = free_body("test")
    scene = scenes.stand_before_camera(model, "walk", seed=11, yaw=0.9, jitter=0.1)
    params = scene.params.replace(betas=scene.params.betas.at[1].set(2.0))
    truth = body_mask(params, scenes)
    legs = ("left_knee", "left_ankle", "left_heel", "left_big_toe")
    weights = np.array([0.0 if name in legs else 1.0 for name in scenes.NAMES])
    seen = scene.observe(weights=weights, noise=4.0, metric=True, metric_std=0.04)
    camera = given_intrinsics(scenes.MATRIX, scenes.SIZE)
    first = fit_one(seen, camera)
    target = outline_target(truth, size=48)
    after, missed = follow_outlines(prepared, model, seen, camera, first, target, OutlineConfig(steps=40))
    before_overlap = overlap(body_mask(first.params, scenes), truth)
    after_overlap = overlap(body_mask(after.params, scenes), truth)
    assert after_overlap > before_overlap + 0.05 and after_overlap > 0.85
    assert missed[-1] < 0.5 * missed[0]
    assert np.median(np.asarray(after.pixel_error)) < 8
    for leaf in jax.tree.leaves(after):
        assert np.isfinite(np.asarray(leaf)).all()
