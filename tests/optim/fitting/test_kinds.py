"""Other bodies than the free one, and hands."""

import numpy as np
import pytest

from hoijax.body_models import named_hand_pose
from hoijax.geometry import axis_angle_from_rotation, rotation_from_axis_angle
from hoijax.optim.fitting import (
    FitConfig,
    fit_people,
    given_intrinsics,
    hand_names,
    observe,
    place_points,
    point_table,
    prepare_body,
    with_hands,
)
from hoijax.optim.fitting.unknowns import place_pelvis, pose_unknowns, unpack

CONFIG = FitConfig(starts=1, swaps=False, azimuths=4, tilts=(0.0,), first_steps=12, steps=24)


@pytest.mark.slow
def test_an_smplx_body_and_its_hands_are_given_back(body_of, scenes):
    """Correctives, expression, a jaw; a grasping hand that is believed and one whose score is low."""
    model = body_of("smplx")
    scene = scenes.stand_before_camera(model, "carry", seed=6, position=(0.0, 0.1, 2.0))
    first = {"left": 25, "right": 40}
    rotations = scene.params.rotations
    for side, joint in first.items():
        grasp = rotation_from_axis_angle(named_hand_pose("grasp", side).astype(np.float32))
        rotations = rotations.at[joint : joint + 15].set(grasp)
    params = scene.params.replace(rotations=rotations)
    names = (*scenes.NAMES, *hand_names("left"), *hand_names("right"))
    points, joints = (np.asarray(x) for x in place_points(point_table(model, names), params))
    pixels = points[:, :2] / points[:, 2:] * 700 + scenes.MATRIX[:2, 2]
    count = len(scenes.NAMES)
    body = observe(scenes.NAMES, pixels[:count], metric=points[:count], pixel_std=0.5, metric_std=0.01, spread=0.0)
    hands = {"left": (pixels[count : count + 21], 0.9), "right": (pixels[count + 21 :], 0.3)}
    seen = with_hands(body, hands)
    seen = seen.replace(pixel_std=np.full_like(seen.pixel_std, 0.5), spread=np.zeros_like(seen.spread))
    prepared = prepare_body(model, seen.names)
    fit = fit_people(prepared, seen, given_intrinsics(scenes.MATRIX, scenes.SIZE), CONFIG)
    error = np.linalg.norm(np.asarray(fit.joints) - joints, axis=1)
    assert error[:22].mean() < 0.005 and np.asarray(fit.pixel_error)[:count].max() < 0.6
    assert error[25:40].mean() < 0.012
    assert not np.asarray(fit.params.betas)[10:].any()  # nothing is seen of expression
    other = [model.joint_names.index("right_index2")]
    rest = rotation_from_axis_angle(np.asarray(prepared.prior.mean)[other])
    np.testing.assert_allclose(np.asarray(fit.params.rotations)[other], rest, atol=0.05)
    evidence = np.asarray(fit.evidence)
    assert evidence[25:37].mean() > 0.3 > 0.1 > evidence[40:52].mean()


def test_smpl_is_prepared_and_unpacked_with_its_hands_of_one_piece(body_of, scenes):
    model = body_of("smpl")
    prepared = prepare_body(model, scenes.NAMES)
    scene = scenes.stand_before_camera(model, "reach", seed=5)
    vectors = axis_angle_from_rotation(scene.params.rotations)
    z = pose_unknowns(prepared, vectors)
    z = z.at[-14:-4].set(scene.params.betas)
    params = unpack(prepared, place_pelvis(z, scene.joints[0]), scene.params.rotations[0])
    points, joints = place_points(prepared.table, params)
    np.testing.assert_allclose(joints, scene.joints, atol=1e-5)
    np.testing.assert_allclose(points, scene.points, atol=1e-5)
