"""Whole fits: sixteen people in one compiled batch, each a case of its own."""

import dataclasses

import jax
import numpy as np
import pytest

from hoijax.body_models import free_body
from hoijax.errors import InputError
from hoijax.geometry import axis_angle_from_rotation
from hoijax.optim.fitting import (
    MEDIAPIPE_BODY,
    FitConfig,
    Intrinsics,
    fit_body,
    fit_people,
    given_intrinsics,
    observe,
    stack_observations,
)
from hoijax.optim.fitting.starts import SWAPS, swap_order

NAMES = tuple(name for name in MEDIAPIPE_BODY if name)
LEGS = [i for i, n in enumerate(NAMES) if n.split("_")[-1] in ("knee", "ankle", "heel", "toe")]
ORDER = swap_order(NAMES)
NOISY = 4  # draws of the same person with noise


@dataclasses.dataclass(frozen=True)
class Batch:
    rows: dict
    fit: object
    observations: object
    scenes: dict


def cases(model, scenes):
    """Name of a case to its scene and observation."""
    rng = np.random.default_rng(7)
    made = {}

    def add(name, scene, observation, focal_std=0.0, factor=1.0):
        made[name] = (scene, observation, focal_std, factor)

    exact = scenes.stand_before_camera(model, "reach", seed=1)
    add("exact", exact, exact.observe(metric=True, noise=0.3, metric_std=0.005))
    away = scenes.stand_before_camera(model, "walk", seed=2, yaw=np.pi)
    add("away", away, away.observe(metric=True, noise=0.3, metric_std=0.005))
    sit = scenes.stand_before_camera(model, "sit", seed=3, yaw=0.8)
    add("pixels", sit, sit.observe())
    for name, index in (("swap_all", 1), ("swap_legs", 2)):
        scene = scenes.stand_before_camera(model, "walk", seed=4 + index, yaw=-0.5)
        wrong = dataclasses.replace(scene, pixels=scene.pixels[ORDER[index]], points=scene.points[ORDER[index]])
        add(name, scene, wrong.observe(metric=True, metric_std=0.03, noise=2.0))
    outlier = scenes.stand_before_camera(model, "stand", seed=8)
    pixels = outlier.pixels.copy()
    pixels[NAMES.index("left_wrist")] += [180, -200]
    add("outlier", outlier, outlier.observe(pixels, noise=2.0, metric=True, metric_std=0.03))
    legs = scenes.stand_before_camera(model, "sit", seed=9, yaw=0.1)
    weights = np.ones(len(NAMES))
    weights[LEGS] = 0
    invented = legs.pixels + np.where(weights[:, None] > 0, 0, rng.normal(0, 200, (len(NAMES), 2)))
    add("truncated", legs, legs.observe(invented, weights, noise=2.0, metric=True, metric_std=0.03))
    add("nothing", exact, exact.observe(weights=np.zeros(len(NAMES))))
    one = np.zeros(len(NAMES))
    one[0] = 1
    add("one_point", exact, exact.observe(weights=one))
    line = np.stack([np.linspace(200, 600, len(NAMES)), np.full(len(NAMES), 300.0)], axis=1)
    add("collinear", exact, exact.observe(line))
    add("one_place", exact, exact.observe(np.full((len(NAMES), 2), 300.0)))
    focal = scenes.stand_before_camera(model, "bend", seed=10, yaw=1.0, position=(0.2, 0.1, 2.2))
    add("focal", focal, focal.observe(metric=True), focal_std=0.35, factor=1.4)
    for i in range(NOISY):
        noisy = exact.pixels + 5 * rng.normal(size=exact.pixels.shape)
        moved = dataclasses.replace(exact, points=exact.points + 0.03 * rng.normal(size=exact.points.shape))
        add(f"noisy{i}", exact, moved.observe(noisy, noise=5.0, metric=True, metric_std=0.03))
    return made


@pytest.fixture(scope="module")
def batch(prepared, scenes):
    made = cases(free_body("test"), scenes)
    assert len(made) == 16
    observations = stack_observations([observation for _, observation, _, _ in made.values()])
    matrices = np.stack(
        [scenes.MATRIX * np.array([[f, 1, 1], [1, f, 1], [1, 1, 1]], np.float32) for *_, f in made.values()]
    )
    intrinsics = Intrinsics(matrices, np.array([std for _, _, std, _ in made.values()], np.float32), "given")
    fit = fit_people(prepared, observations, intrinsics, scenes.CONFIG)
    names = list(made)
    return Batch({n: i for i, n in enumerate(names)}, fit, observations, {n: made[n][0] for n in names})


def row(batch, name):
    return jax.tree.map(lambda x: x[batch.rows[name]], batch.fit)


@pytest.mark.parametrize("name", ["exact", "away"])
def test_noise_free_points_give_the_body_back(batch, name, scenes):
    fit, scene = row(batch, name), batch.scenes[name]
    assert scenes.joint_error(fit, scene) < 0.006
    assert np.asarray(fit.pixel_error).max() < 1.0 and fit.swapped == "none"


def test_pixels_alone_are_met_by_the_body(batch):
    assert np.quantile(np.asarray(row(batch, "pixels").pixel_error), 0.9) < 2


@pytest.mark.parametrize("name", ["swap_all", "swap_legs"])
def test_exchanged_sides_are_found_and_said(batch, name, scenes):
    fit = row(batch, name)
    assert fit.swapped == name.removeprefix("swap_")
    assert scenes.joint_error(fit, batch.scenes[name], rooted=True) < 0.05
    assert fit.start_costs.shape == (scenes.CONFIG.starts + len(SWAPS) - 1,)


def test_exchanges_are_of_the_sides_they_are_named_for():
    names = ("nose", "left_wrist", "right_wrist", "left_knee", "right_knee", "left_ear", "right_ear", "left_heel",
             "left_wrist", "right_wrist", "left_index1", "right_index1")  # fmt: skip
    order = dict(zip(SWAPS, swap_order(names).tolist()))
    assert order["none"] == list(range(12))
    assert order["all"] == [
        0,
        2,
        1,
        4,
        3,
        6,
        5,
        7,
        9,
        8,
        11,
        10,
    ]  # the second wrist is the hand's; one heel has no other
    assert order["legs"] == [0, 1, 2, 4, 3, 5, 6, 7, 8, 9, 10, 11]
    assert order["arms"] == [0, 2, 1, 3, 4, 5, 6, 7, 9, 8, 11, 10]


def test_one_wrong_point_does_not_pull(batch, scenes):
    fit, scene = row(batch, "outlier"), batch.scenes["outlier"]
    place = NAMES.index("left_wrist")
    assert np.asarray(fit.pixel_error)[place] > 200
    assert np.delete(np.asarray(fit.pixel_error), place).max() < 8
    assert scenes.joint_error(fit, scene, rooted=True) < 0.05


def test_legs_that_are_not_seen_rest_instead_of_following_invented_points(batch, prepared):
    fit, scene = row(batch, "truncated"), batch.scenes["truncated"]
    names = free_body("test").joint_names
    knees = [names.index("left_knee"), names.index("right_knee")]
    upper = [i for i, n in enumerate(names[:22]) if n.split("_")[-1] in ("shoulder", "elbow", "wrist", "neck")]
    rest = np.asarray(prepared.prior.mean)[knees]
    np.testing.assert_allclose(axis_angle_from_rotation(fit.params.rotations[np.array(knees)]), rest, atol=0.05)
    evidence = np.asarray(fit.evidence)
    assert (evidence[knees] < 0.1).all() and (evidence[names.index("left_elbow")] > 0.5)
    assert (np.asarray(fit.pixel_error)[LEGS] == 0).all()
    error = np.linalg.norm(np.asarray(fit.joints)[upper] - scene.joints[upper], axis=1)
    assert error.max() < 0.06
    ankle, wrist = names.index("left_ankle"), names.index("left_wrist")
    assert fit.joint_std_root[ankle] > 0.3 and fit.joint_std_root[ankle] > 5 * fit.joint_std_root[wrist]


@pytest.mark.parametrize("name", ["nothing", "one_point", "collinear", "one_place"])
def test_degenerate_input_has_a_finite_answer_that_says_how_unsure_it_is(batch, name):
    fit = row(batch, name)
    for leaf in jax.tree.leaves(fit):
        assert np.isfinite(np.asarray(leaf)).all()
    rotations = np.asarray(fit.params.rotations)
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (52, 1, 1)), atol=1e-5)
    assert (np.asarray(fit.joints)[0, 2] > 0.2).all()
    if name in ("nothing", "one_point"):
        assert np.asarray(fit.joint_std).min() > 0.3  # metres
        assert np.asarray(fit.joint_std)[0] > 20 * np.asarray(row(batch, "exact").joint_std)[0]


def test_nothing_seen_is_the_resting_person_in_the_middle(batch, prepared):
    fit = row(batch, "nothing")
    np.testing.assert_allclose(fit.joints[0], [0, 0, 3.0], atol=1e-3)
    np.testing.assert_allclose(fit.params.rotations[0], np.diag([1.0, -1, -1]), atol=1e-2)
    np.testing.assert_allclose(fit.params.betas, 0, atol=1e-4)
    assert (np.asarray(fit.evidence)[1:22] < 0.02).all()


def test_the_focal_length_is_found_from_metres_and_pixels(batch, scenes):
    fit = row(batch, "focal")
    assert abs(float(fit.intrinsics[0, 0]) / 700 - 1) < 0.03
    np.testing.assert_allclose(fit.intrinsics[:2, 2], scenes.MATRIX[:2, 2])
    assert 0 < fit.focal_std < 0.1
    given = row(batch, "exact")
    assert given.focal_std == 0 and given.intrinsics[0, 0] == 700


def test_five_pixels_of_noise_cost_a_few_centimetres_and_the_fit_knows(batch, scenes):
    fits = [row(batch, f"noisy{i}") for i in range(NOISY)]
    scene = batch.scenes["noisy0"]
    assert max(scenes.joint_error(fit, scene, rooted=True) for fit in fits) < 0.04
    error = np.stack([np.asarray(f.joints)[:22] - np.asarray(f.joints)[:1] for f in fits])
    error = error - (scene.joints[:22] - scene.joints[:1])
    claimed = np.sqrt(np.mean([np.asarray(f.joint_std_root)[1:22] ** 2 for f in fits]))
    found = np.sqrt(np.mean(np.sum(error[:, 1:] ** 2, axis=-1)))
    assert 0.5 < found / claimed < 2


def test_other_points_than_prepared_are_refused(prepared):
    other = observe(("nose",), [[1.0, 2.0]])
    with pytest.raises(InputError, match="prepared for the points nose, left_eye"):
        fit_body(prepared, other, given_intrinsics(700.0, (600, 800)))


@pytest.mark.parametrize("change", [{"starts": 0}, {"steps": 0}, {"robust": (0.0, 1.0)}, {"swap_penalty": (1.0, -1.0)}])
def test_a_search_needs_steps(change):
    with pytest.raises(InputError):
        FitConfig(**change)
