"""Nearest neighbours in blocks against SciPy's k-d tree: always exact, whatever the cloud."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree

from hoijax.geometry import nearest_in_blocks, point_blocks

_search = jax.jit(nearest_in_blocks)


def cloud(kind, count=3000, seed=0):
    rng = np.random.default_rng(seed)
    points = {
        "uniform": lambda: rng.uniform(-2, 2, (count, 3)),
        "clustered": lambda: rng.normal(size=(count, 3)) * 10.0 ** rng.uniform(-4, 0, (count, 1)),
        "collinear": lambda: rng.uniform(-2, 2, (count, 1)) * np.array([[1.0, 2.0, -1.0]]),
        "duplicated": lambda: rng.uniform(-2, 2, (8, 3))[rng.integers(0, 8, count)],
        "flat": lambda: rng.uniform(-2, 2, (count, 3)) * [1, 0, 1],
    }[kind]()
    return points.astype(np.float32)


def assert_exact(points, queries, found):
    want, _ = cKDTree(points.astype(np.float64)).query(queries.astype(np.float64))
    index = np.asarray(found.index)
    got = np.linalg.norm(points[index].astype(np.float64) - queries, axis=1)
    # The index is the nearest up to points whose float32 distances are the same.
    np.testing.assert_allclose(got, want, rtol=3e-6, atol=1e-7)
    np.testing.assert_allclose(found.distance, want, rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["uniform", "clustered", "collinear", "duplicated", "flat"])
def test_agrees_with_a_k_d_tree(kind):
    rng = np.random.default_rng(1)
    points = cloud(kind)
    near = points[:150] + 1e-3 * rng.normal(size=(150, 3))
    queries = np.concatenate([near, rng.uniform(-4, 4, (150, 3)), points[:58]]).astype(np.float32)
    assert_exact(points, queries, _search(point_blocks(points, block=64), queries))


def test_never_wrong_in_a_hundred_thousand_queries():
    points = np.concatenate([cloud("clustered", 4000), cloud("flat", 4000, seed=2)])
    queries = np.random.default_rng(3).normal(size=(100_000, 3)).astype(np.float32)
    blocks = point_blocks(points)
    found = jax.jit(functools.partial(jax.lax.map, lambda q: nearest_in_blocks(blocks, q)))(queries.reshape(100, -1, 3))
    assert_exact(points, queries, jax.tree.map(lambda x: np.asarray(x).reshape(-1), found))


@pytest.mark.parametrize("count", [1, 129])
def test_small_clouds_and_a_fixed_capacity(count):
    points = cloud("uniform", count)
    queries = cloud("uniform", 358, seed=5)
    assert_exact(points, queries, _search(point_blocks(points, block=64), queries))
    padded = point_blocks(points, block=64, capacity=3000)
    assert padded.points.shape == point_blocks(cloud("uniform"), block=64).points.shape
    assert_exact(points, queries, _search(padded, queries))


def test_every_point_is_in_some_block():
    blocks = point_blocks(cloud("uniform", 1000), block=100)
    assert set(blocks.index.ravel()) == set(range(1000))
    assert blocks.points.shape[2] <= 100


def test_the_distance_has_the_derivative_of_a_norm():
    points = cloud("uniform")
    query = np.array([[0.1, 0.2, 0.3]], np.float32)
    blocks = point_blocks(points)
    gradient = jax.jit(jax.grad(lambda q: jnp.sum(nearest_in_blocks(blocks, q).distance)))(query)
    difference = query - points[np.asarray(_search(blocks, query).index)]
    np.testing.assert_allclose(gradient, difference / np.linalg.norm(difference), rtol=1e-5)


def test_impossible_clouds_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        point_blocks(np.zeros((0, 3)))
    with pytest.raises(ValueError, match="5 points do not fit a capacity of 4"):
        point_blocks(np.zeros((5, 3)), capacity=4)
    with pytest.raises(ValueError, match="1 of 2 points are not finite"):
        point_blocks(np.array([[0.0, 0.0, 0.0], [np.nan, 0.0, 0.0]]))
