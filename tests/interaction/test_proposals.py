import jax
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from hoijax.errors import InputError
from hoijax.interaction import GRAVITY_WORLD, propose_contacts, propose_region_contacts, region_masks

propose = jax.jit(propose_contacts, static_argnames=("threshold", "gravity"))


def test_region_masks_by_name():
    regions = {"left_hand": np.array([0, 1]), "back": np.array([3])}
    masks = region_masks(regions, ["back", "left_hand"], 5)
    np.testing.assert_array_equal(masks, [[False, False, False, True, False], [True, True, False, False, False]])
    assert region_masks(regions, [], 5).shape == (0, 5)
    with pytest.raises(InputError, match=r"unknown body parts tail.*back, left_hand"):
        region_masks(regions, ["back", "tail"], 5)
    with pytest.raises(InputError, match=r"vertex 3 of a body with 3"):
        region_masks(regions, ["back"], 3)


def test_proximity_equals_distances_below_the_threshold(clouds):
    body, object, allowed, _ = clouds
    pairs = cdist(body, object)
    got = propose(body, object, gravity=GRAVITY_WORLD, threshold=0.15).masks()
    np.testing.assert_array_equal(got.body, pairs.min(1) < 0.15)
    np.testing.assert_array_equal(got.object, pairs.min(0) < 0.15)
    lowest = min(body[:, 1].min(), object[:, 1].min())
    np.testing.assert_array_equal(got.floor, object[:, 1] - lowest < 0.15)
    some = propose(body, object, gravity=GRAVITY_WORLD, threshold=0.15, body_allowed=allowed, floor=-0.1)
    np.testing.assert_array_equal(some.masks().body, (pairs.min(1) < 0.15) & allowed)
    np.testing.assert_array_equal(some.masks().object, (pairs.min(0) < 0.15) & allowed[pairs.argmin(0)])
    np.testing.assert_array_equal(some.masks().floor, np.abs(object[:, 1] + 0.1) < 0.15)


def test_surfaces_that_do_not_face_each_other_do_not_touch(clouds):
    body, object, _, _ = clouds
    up, down = np.tile([0.0, 1, 0], (40, 1)), np.tile([0.0, -1, 0], (12, 1))
    kwargs = dict(gravity=GRAVITY_WORLD, threshold=0.15, body_normals=up)
    facing = propose(body, object, object_normals=down, **kwargs).masks()
    assert np.any(facing.body) and np.any(facing.object)
    away = propose(body, object, object_normals=-down, **kwargs).masks()
    assert not np.any(away.body) and not np.any(away.object)
    with pytest.raises(ValueError, match="both sides"):
        propose(body, object, **kwargs)


def test_asked_for_regions_touch_with_their_nearest_points(clouds):
    body, object, mask, _ = clouds
    regions = np.stack([mask, ~mask, np.zeros(40, bool)])
    got = jax.jit(propose_region_contacts, static_argnames="count")(body, object, regions, count=3)
    pairs = cdist(body, object)
    want_body, want_object = np.zeros(40), np.zeros(12)
    for region in regions[:2]:
        members = np.flatnonzero(region)
        for i in members[np.argsort(pairs[members].min(1))[:3]]:
            want_body[i] = 1
            want_object[pairs[i].argmin()] = 1
    np.testing.assert_array_equal(got.body, want_body)
    np.testing.assert_array_equal(got.object, want_object)
    assert not np.any(got.floor)


def test_vmap_equals_a_loop(clouds):
    body, object, _, _ = clouds
    batch = np.stack([body, body + 0.05, body - 0.1])
    mapped = jax.vmap(lambda b: propose(b, object, gravity=GRAVITY_WORLD))(batch)
    for i, b in enumerate(batch):
        one = propose(b, object, gravity=GRAVITY_WORLD)
        np.testing.assert_allclose(mapped.body[i], one.body, atol=1e-14)
        np.testing.assert_allclose(mapped.floor[i], one.floor, atol=1e-14)
