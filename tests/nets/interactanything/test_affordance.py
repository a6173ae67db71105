"""The point network of the learned affordance: what it sees, left and right, order of points, its files."""

import jax
import numpy as np
import pytest
from flax import nnx

from hoijax.errors import InputError
from hoijax.nets.interactanything import PARTS, POINTS, VERBS, Config, Model, describe, load, part_of, save, verb_of
from hoijax.systems.interactanything.learned import learned_weights, likeliest, touch_probability

RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def network():
    model = Model(Config(width=8, blocks=2, condition=4), nnx.Rngs(0))
    graph, state = nnx.split(model)
    keys = iter(jax.random.split(jax.random.key(1), len(jax.tree.leaves(state))))
    # Layers that start at zero would hide what they do.
    return nnx.merge(graph, jax.tree.map(lambda x: x + 0.3 * jax.random.normal(next(keys), x.shape, x.dtype), state))


@pytest.fixture(scope="module")
def cloud():
    points = RNG.uniform(-0.5, 0.5, (POINTS, 3)) * [1.0, 0.5, 2.0] + [3.0, 1.0, -2.0]
    normals = RNG.normal(size=(POINTS, 3))
    return points, normals / np.linalg.norm(normals, axis=1, keepdims=True)


def chance(network, points, normals, part="seat", verb="sit"):
    return touch_probability(network, points[None], normals[None], [part], [verb])[0]


def test_parts_and_verbs_have_places_and_the_first_stands_for_others():
    assert part_of("left_hand") == (PARTS.index("hand"), True) and part_of("right_hand") == (PARTS.index("hand"), False)
    assert (
        part_of("seat") == (PARTS.index("seat"), False)
        and part_of("left_nose") == (0, True)
        and part_of("") == (0, False)
    )
    assert verb_of("sit") == VERBS.index("sit") > 0 and verb_of("lift up") == VERBS.index("lift")
    assert verb_of("zorble") == verb_of("") == 0
    assert len(set(PARTS)) == len(PARTS) and len(set(VERBS)) == len(VERBS)


def test_what_is_seen_of_a_point(cloud):
    points, normals = cloud
    seen = describe(points, normals)
    low, high = points.min(axis=0), points.max(axis=0)
    np.testing.assert_allclose(seen[:, :3], 2 * (points - (low + high) / 2) / (high - low), atol=1e-4)
    np.testing.assert_allclose(seen[:, 4], (points[:, 1] - low[1]) / 0.5, atol=1e-4)
    np.testing.assert_allclose(seen[:, 6:9], normals, atol=1e-6)
    np.testing.assert_allclose(seen[:, 9:12], np.broadcast_to(np.log((high - low) / 0.5), (POINTS, 3)), atol=1e-4)
    np.testing.assert_allclose(seen[:, 12], 1 - np.abs(seen[:, :3]).max(axis=1), atol=1e-6)
    np.testing.assert_allclose(describe(points + [5.0, -1.0, 2.0], normals), seen, atol=1e-4)  # wherever it stands


def test_left_is_right_in_the_mirror(network, cloud):
    points, normals = cloud
    flip = np.array([-1.0, 1.0, 1.0])
    left = chance(network, points, normals, "left_hand", "hold")
    np.testing.assert_allclose(chance(network, points * flip, normals * flip, "right_hand", "hold"), left, atol=1e-5)
    assert np.abs(chance(network, points, normals, "right_hand", "hold") - left).max() > 1e-3


def test_the_order_of_points_does_not_matter_and_part_and_verb_do(network, cloud):
    points, normals = cloud
    here = chance(network, points, normals)
    order = RNG.permutation(POINTS)
    np.testing.assert_allclose(chance(network, points[order], normals[order]), here[order], atol=1e-5)
    assert here.min() > 0 and here.max() < 1 and here.std() > 1e-3
    for other in (("head", "sit"), ("seat", "lift")):
        assert np.abs(chance(network, points, normals, *other) - here).max() > 1e-3
    moved = points.copy()
    moved[0] += [0.0, 3.0, 0.0]
    assert np.abs(chance(network, moved, normals)[1:] - here[1:]).max() > 1e-3  # every point sees the whole


def test_files_come_back_and_others_are_refused(network, cloud, tmp_path):
    path = tmp_path / "net.safetensors"
    save(path, network, {"rows": 3})
    points, normals = cloud
    np.testing.assert_array_equal(chance(load(path), points, normals), chance(network, points, normals))
    with pytest.raises(InputError, match="none.safetensors"):
        load(tmp_path / "none.safetensors")
    from hoijax.nets.weights import write_tensors

    write_tensors(tmp_path / "other.safetensors", {"a": np.zeros(3, np.float32)}, {})
    with pytest.raises(InputError, match="learned affordance"):
        load(tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="width"):
        Config(width=0)


def test_weights_are_lifted_to_places_and_a_region_keeps_its_likeliest_half(network):
    import trimesh

    from hoijax.geometry import Mesh
    from hoijax.interaction import region_of_box

    made = trimesh.creation.box((0.6, 0.4, 0.5)).subdivide().subdivide()
    mesh = Mesh(np.asarray(made.vertices, np.float32), np.asarray(made.faces))
    places = np.asarray(made.vertices)
    found = learned_weights(network, mesh, ("seat", "left_hand"), "sit", places)
    assert found.shape == (2, len(places)) and np.all((found > 0) & (found < 1))
    region = region_of_box("top", mesh, (-0.3, 0.19, -0.25), (0.3, 0.21, 0.25))
    half = likeliest(region, places, places[:, 0] + 1.0)
    assert half.points.shape == region.points.shape and half.name == "top"
    assert half.points[:, 0].min() > np.median(region.points[:, 0]) - 0.08
    assert {tuple(p) for p in half.points} <= {tuple(p) for p in region.points}
