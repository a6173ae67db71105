"""Parts asked to touch a region of the object: what is touched, what is measured, and that the refiner goes there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh

from hoijax.body_models import contact_regions, pose_body_compiled
from hoijax.errors import InputError
from hoijax.interaction import region_of_box, region_of_triangles
from hoijax.optim.gradient import part_targets, refine_batch, touch_within


@pytest.fixture(scope="module")
def lid(make_box):
    """The front half of the box's upper side."""
    return region_of_box("front of the top", make_box(), (-0.2, 0.14, 0.0), (0.2, 0.16, 0.16))


def test_a_region_is_asked_of_its_part_alone(model, template, lid):
    targets = part_targets(model, [("left_hand", "back"), ("buttocks",)])
    got = touch_within(targets, [[lid, None], [None]], [template.sdf] * 2).regions
    np.testing.assert_array_equal(got.given, [[1, 0], [0, 0]])
    np.testing.assert_array_equal(got.points[0, 0], lid.points)
    np.testing.assert_allclose(got.normals[0, 0], np.tile([0, 1, 0], (512, 1)), atol=1e-6)
    with pytest.raises(InputError, match="3 regions for 2 parts"):
        touch_within(targets, [[None] * 3, []], [template.sdf] * 2)


def test_what_is_buried_in_the_object_is_no_region(model, template):
    square = np.array([[[-0.01, 0, -0.01], [0.01, 0, -0.01], [0.01, 0, 0.01]]])
    targets = part_targets(model, [("left_hand",)])
    with pytest.raises(InputError, match="'core' lies within the object"):
        touch_within(targets, [[region_of_triangles("core", square)]], [template.sdf])


def test_half_buried_regions_are_what_of_them_is_not(model, template, make_box):
    """A sheet through the box's top, two thirds of it inside: touched above, where it meets air on both sides."""
    corners = np.array([[-0.1, 0.05, 0], [0.1, 0.05, 0], [0.1, 0.20, 0], [-0.1, 0.20, 0]])
    region = region_of_triangles("flag", corners[[[0, 1, 2], [0, 2, 3]]])
    got = touch_within(part_targets(model, [("left_hand",)]), [[region]], [template.sdf]).regions
    assert (np.asarray(got.points)[0, 0, :, 1] > 0.13).all()


def test_a_region_of_a_part_that_is_not_asked_is_refused(model, template, carry, quick, body, lid):
    params, pose = jax.tree.map(lambda x: x[None], carry)
    with pytest.raises(InputError, match=r"region is given for back.*asked are: left_hand"):
        refine_batch(model, params, template, pose, ["left_hand"], quick, body=body, regions=[{"back": lid}])
    with pytest.raises(InputError, match="regions for 2 interactions, the batch has 1"):
        refine_batch(model, params, template, pose, ["left_hand"], quick, body=body, regions=[{}, {}])


@pytest.fixture(scope="module")
def reached(model, template, carry, quick, body, lid):
    """Both hands hold the box's sides; the right one is asked to its top."""
    params, pose = jax.tree.map(lambda x: x[None], carry)
    names, regions = ["left_hand", "right_hand"], [{"right_hand": lid}]
    return refine_batch(model, params, template, pose, names, quick.with_steps(150), body=body, regions=regions)


FRONT = np.array([[-0.2, 0.15, 0], [0.2, 0.15, 0], [0.2, 0.15, 0.16], [-0.2, 0.15, 0.16]])[[[0, 2, 1], [0, 3, 2]]]


def right_hand_to_front(model, params, pose):
    """Mean distance of the nearest tenth of the right hand's vertices to the region; by trimesh."""
    vertices = pose_body_compiled(model, params).vertices
    hand = np.asarray(vertices)[0, contact_regions(model)["right_hand"]]
    rotation, translation = np.asarray(pose.rotation)[0], np.asarray(pose.translation)[0]
    mesh = trimesh.Trimesh(FRONT.reshape(-1, 3), np.arange(6).reshape(-1, 3), process=False)
    distance = np.sort(trimesh.proximity.closest_point(mesh, (hand - translation) @ rotation)[1])
    return distance[: -(-len(distance) // 10)].mean()


def test_the_hand_goes_to_its_region_and_the_names_tell(model, carry, reached):
    assert reached.parts == (("left_hand", "right_hand: front of the top"),)
    params, pose = jax.tree.map(lambda x: jnp.asarray(x)[None], carry)
    before, after = right_hand_to_front(model, params, pose), right_hand_to_front(model, reached.params, reached.pose)
    assert before > 0.05 and after < 0.03  # twelve coarse points of a hand, few steps
    # What is told is that distance: the points that stand for the region are half a centimetre apart.
    np.testing.assert_allclose([reached.before.contact[0, 1], reached.after.contact[0, 1]], [before, after], atol=0.005)
    assert reached.before.contact[0, 0] < 0.05  # the other hand may touch anywhere
