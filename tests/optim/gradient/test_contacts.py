import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyParams, contact_regions, named_pose, pose_body
from hoijax.errors import InputError
from hoijax.geometry import Mesh, RigidPose
from hoijax.interaction import Contacts, make_template
from hoijax.optim.gradient import Floor, part_targets, probability_targets, propose_parts, stand_on_floor
from hoijax.optim.gradient.contacts import BELONGS, REST_POINTS, base_normal, resting_points


def stack(rows):
    """Many of the same tree as one with a leading axis."""
    return jax.tree.map(lambda *x: jnp.stack(x), *rows)


def shifted(pose, offset):
    return pose.replace(translation=pose.translation + jnp.asarray(offset, pose.translation.dtype))


def test_parts_become_masks_padded_to_the_longest_row(model):
    got = part_targets(model, [["back", "buttocks"], ["left_thigh"], []])
    regions = contact_regions(model)
    assert got.parts.shape == (3, 2, model.num_vertices)
    np.testing.assert_array_equal(np.flatnonzero(got.parts[0, 0]), regions["back"])
    np.testing.assert_array_equal(np.flatnonzero(got.parts[1, 0]), regions["left_thigh"])
    assert not got.parts[1, 1].any()
    assert not got.parts[2].any()
    assert not got.feet.any()
    assert not got.rest_weight.any()


def test_only_the_inner_side_of_a_hand_is_drawn_though_all_of_it_counts(model):
    row = np.asarray(part_targets(model, [["right_hand"]]).parts[0, 0])
    regions = contact_regions(model)
    np.testing.assert_array_equal(np.flatnonzero(row), regions["right_hand"])
    inner = np.union1d(regions["right_palm"], regions["right_finger_pads"])
    np.testing.assert_array_equal(np.flatnonzero(row == 1), inner)
    np.testing.assert_allclose(row[np.setdiff1d(regions["right_hand"], inner)], BELONGS)


def test_unknown_parts_are_named_with_the_known_ones(model):
    with pytest.raises(InputError, match=r"tail.*right_hand"):
        part_targets(model, [["tail"]])


def test_probabilities_below_one_half_ask_for_nothing(model):
    body = np.zeros((1, model.num_vertices), np.float32)
    body[0, :3] = 0.9, 0.5, 0.51
    on_object = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (1, 1))
    points = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    got = probability_targets(Contacts(body, on_object, on_object[:, ::-1]), points, model)
    np.testing.assert_allclose(got.parts[0, 0, :4], [0.9, 0.0, 0.51, 0.0])
    np.testing.assert_array_equal(np.asarray(got.object[0]) > 0, on_object[0] > 0.5)
    np.testing.assert_array_equal(got.rest_points[0], points)
    np.testing.assert_array_equal(np.asarray(got.rest_weight[0]) > 0, on_object[0, ::-1] > 0.5)


def test_hands_beside_a_box_are_proposed(model, template, carry):
    params, pose = carry
    vertices = pose_body(model, params).vertices
    assert set(propose_parts(model, vertices, template, pose)) == {"left_hand", "right_hand"}
    assert propose_parts(model, vertices, template, pose, most=1) in (("left_hand",), ("right_hand",))
    # Nothing is near: the nearest part speaks for itself.
    assert propose_parts(model, vertices, template, shifted(pose, [-0.6, 0.0, 0.2])) == ("right_hand",)


def floors(count):
    return Floor(
        gravity=jnp.tile(jnp.asarray([0.0, -1.0, 0.0], jnp.float32), (count, 1)), level=jnp.zeros(count, jnp.float32)
    )


def standing(model, template, rows, **options):
    params, pose = stack(rows)
    vertices = pose_body(model, params).vertices
    count = len(rows)
    empty = part_targets(model, [[]] * count)
    return stand_on_floor(empty, model, vertices, [template] * count, pose, floors(count), **options)


def test_feet_near_the_floor_stand_on_it_and_raised_ones_do_not(model, template, carry):
    params, pose = carry
    knee, hip = (model.joint_names.index(name) for name in ("left_knee", "left_hip"))
    bent = np.array(params.rotations)
    quarter = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)
    bent[knee], bent[hip] = quarter, quarter.T
    raised = params.replace(rotations=jnp.asarray(bent))
    floating = params.replace(translation=params.translation + jnp.asarray([0.0, 0.6, 0.0], jnp.float32))
    got = standing(model, template, [(params, pose), (raised, pose), (floating, pose)])
    np.testing.assert_array_equal(np.asarray(got.feet.max(axis=-1)), [[1, 1], [0, 1], [0, 0]])
    regions = contact_regions(model)
    np.testing.assert_array_equal(np.flatnonzero(got.feet[0, 0]), regions["left_sole"])
    asked = standing(model, template, [(raised, pose), (floating, pose)], feet=True)
    np.testing.assert_array_equal(np.asarray(asked.feet.max(axis=-1)), 1)
    assert not standing(model, template, [(params, pose)], feet=False).feet.any()


def test_objects_near_the_floor_rest_on_it(model, template, carry):
    params, pose = carry
    low = shifted(pose, [0.0, -1.0, 0.0])
    got = standing(model, template, [(params, pose), (params, low)])
    np.testing.assert_array_equal(np.asarray(got.rest_weight.any(axis=-1)), [False, True])
    np.testing.assert_allclose(
        np.asarray(got.rest_points[1])[np.asarray(got.rest_weight[1]) > 0][:, 1], -0.15, atol=1e-6
    )
    assert standing(model, template, [(params, pose)], object_rests=True).rest_weight.any()
    assert not standing(model, template, [(params, low)], object_rests=False).rest_weight.any()


def test_a_long_thing_that_is_tilted_still_rests_though_its_corner_is_far_below_the_floor(
    model, template, make_box, carry
):
    params, _ = carry
    sofa = template.replace(mesh=make_box((2.0, 0.3, 0.4)))
    turn = jnp.asarray(Rotation.from_euler("z", 15, degrees=True).as_matrix(), jnp.float32)
    near, above, below = (
        RigidPose(turn, jnp.asarray([0.0, height, 0.0], jnp.float32), jnp.ones((), jnp.float32))
        for height in (0.17, 0.75, -0.35)
    )
    got = standing(model, sofa, [(params, near), (params, above), (params, below)])
    np.testing.assert_array_equal(np.asarray(got.rest_weight.any(axis=-1)), [True, False, False])
    np.testing.assert_allclose(got.base[0], [0, -1, 0], atol=1e-6)


def test_a_tilted_box_rests_on_the_face_that_looks_down(make_box):
    mesh = make_box((0.4, 0.3, 0.2))
    for axis, side in ((0, 1), (1, -1), (2, 1)):
        down = np.full(3, 0.2)
        down[axis] = side
        points, weights = resting_points(mesh, down / np.linalg.norm(down))
        assert points.shape == (REST_POINTS, 3)
        assert weights.sum() == 4
        np.testing.assert_allclose(points[weights > 0][:, axis], side * (0.4, 0.3, 0.2)[axis] / 2, rtol=1e-6)


def test_an_armchair_that_is_tilted_stands_on_its_feet_and_not_on_the_slope_to_its_back():
    outline = np.array([[-0.4, 0.0], [0.3, 0.0], [0.3, 0.8], [-0.6, 0.8], [-0.7, 0.12]])  # (z, y), the slope at -z
    corners = np.concatenate([np.insert(outline[:, ::-1], 0, x, axis=1) for x in (-0.4, 0.4)])
    hull = trimesh.Trimesh(corners).convex_hull
    mesh = Mesh(np.asarray(hull.vertices, np.float32), np.asarray(hull.faces, np.int32))
    for degrees in (0, 12, 20):
        angle = np.radians(degrees)
        points, weights = resting_points(mesh, np.array([0.0, -np.cos(angle), -np.sin(angle)]))
        assert weights.sum() == 4
        np.testing.assert_allclose(points[weights > 0][:, 1], 0, atol=1e-6)
    # A scan whose axes are not those of its base stands on what looks down.
    turned = Rotation.from_euler("x", 20, degrees=True).as_matrix()
    oblique = Mesh(np.asarray(mesh.vertices @ turned.T, np.float32), mesh.faces)
    points, weights = resting_points(oblique, turned @ np.array([0.0, -np.cos(0.4), -np.sin(0.4)]))
    slope = points[weights > 0] @ turned
    assert slope[:, 1].max() == pytest.approx(0.12, abs=1e-5)


def test_a_ball_rests_on_its_lowest_point_and_flat_things_do_too():
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.2)
    down = np.array([0.3, -0.9, 0.1]) / np.linalg.norm([0.3, -0.9, 0.1])
    points, weights = resting_points(Mesh(ball.vertices, ball.faces), down)
    assert weights.sum() == 1
    np.testing.assert_allclose(points[0], 0.2 * down, atol=0.03)
    flat = Mesh(np.array([[0.0, 0, 0], [1, 0, 0], [0, 0, 1]]), np.array([[0, 1, 2]]))
    points, weights = resting_points(flat, np.array([0.1, -1.0, 0.0]))
    assert weights.sum() == 1


def test_soles_on_a_board_are_proposed_and_soles_beside_it_are_not(model, make_box, carry):
    params, _ = carry
    vertices = np.asarray(pose_body(model, params).vertices)
    board = make_template(make_box((0.6, 0.1, 0.6)), resolution=24)
    low = float(vertices[:, 1].min())
    under = RigidPose(
        jnp.eye(3, dtype=jnp.float32), jnp.asarray([0.0, low - 0.06, 0.0], jnp.float32), jnp.ones((), jnp.float32)
    )
    assert {"left_sole", "right_sole"} <= set(propose_parts(model, vertices, board, under))
    beside = under.replace(translation=jnp.asarray([0.62, low + 0.02, 0.0], jnp.float32))
    assert not {"left_sole", "right_sole"} & set(propose_parts(model, vertices, board, beside))


def test_feet_that_stand_on_the_object_are_not_asked_onto_the_floor(model, template, carry):
    params, pose = carry
    vertices = np.asarray(pose_body(model, params).vertices)[None]
    poses = jax.tree.map(lambda x: jnp.asarray(x)[None], pose)
    floor = Floor(gravity=jnp.asarray([[0.0, -1.0, 0.0]]), level=jnp.asarray([float(vertices[..., 1].min())]))
    for parts, stand in ((("left_hand",), [True, True]), (("left_sole",), [False, True])):
        got = stand_on_floor(part_targets(model, [parts]), model, vertices, [template], poses, floor)
        assert np.asarray(got.feet).any(axis=-1).tolist() == [stand]


def test_the_base_of_a_box_looks_down_and_a_line_has_none():
    square = np.array([[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]], np.float32)
    down = np.array([0.1, -0.9, 0.0])
    np.testing.assert_allclose(base_normal(square, down), [0, -1, 0], atol=1e-6)
    np.testing.assert_allclose(base_normal(square, -down), [0, 1, 0], atol=1e-6)
    assert not base_normal(square[:2], down).any()
    assert not base_normal(square * [1, 1, 0.001], down).any()


def test_a_seat_with_arms_is_proposed_to_all_that_is_near(model, carry):
    """Buttocks, thighs and both hands: more than four parts."""
    params = BodyParams.from_axis_angle(model, **named_pose("sit"), betas=np.zeros(10, np.float32))
    vertices = np.asarray(pose_body(model, jax.tree.map(jnp.asarray, params)).vertices)
    regions = contact_regions(model)
    hands = [vertices[regions[f"{side}_palm"]].mean(axis=0) for side in ("left", "right")]
    blocks = [(vertices[regions["buttocks"]].min(axis=0) * [0, 1, 0] + [0, -0.06, 0], (0.5, 0.1, 0.6))]
    blocks += [(hand - [0, 0.06, 0], (0.1, 0.08, 0.2)) for hand in hands]
    meshes = [trimesh.creation.box(size).apply_translation(place) for place, size in blocks]
    seat = trimesh.util.concatenate(meshes)
    mesh = Mesh(np.asarray(seat.vertices, np.float32), np.asarray(seat.faces, np.int32))
    pose = carry[1].replace(translation=jnp.zeros(3, jnp.float32))
    got = propose_parts(model, vertices, make_template(mesh, resolution=32), pose)
    assert {"buttocks", "left_thigh", "right_thigh", "left_hand", "right_hand"} <= set(got)
