"""Nearest neighbours against a NumPy distance matrix."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.geometry import chamfer, nearest, nearest_host

find = jax.jit(nearest, static_argnames="tile")


def clouds(queries=30, points=37, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(queries, 3)), rng.normal(size=(points, 3))


def reference(queries, points):
    distance = np.linalg.norm(queries[:, None] - points[None], axis=-1)
    return distance.min(axis=1), distance.argmin(axis=1)


@pytest.mark.parametrize("tile", [1, 5, 36, 37, 38, 2048])
def test_every_tile_size_gives_the_exact_answer(tile):
    queries, points = clouds()
    distance, index = reference(queries, points)
    found = find(queries, points, tile=tile)
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_allclose(found.distance, distance, rtol=1e-14)


@pytest.mark.parametrize("queries, count", [(0, 4), (1, 1), (5, 1)])
def test_small_sizes(queries, count):
    queries, points = clouds(queries, count)
    found = nearest(queries, points)
    chex.assert_shape([found.distance, found.index], (len(queries),))
    np.testing.assert_allclose(found.distance, np.linalg.norm(queries[:, None] - points, axis=-1).min(axis=1))


@pytest.mark.parametrize("tile", [2, 3, 100])
def test_ties_go_to_the_lowest_index_across_tiles(tile):
    points = np.array([[5, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, -1], [1, 0, 0]], float)
    np.testing.assert_array_equal(
        find(np.array([[0, 0, 0], [2, 0, 0], [0, 3, 0]], float), points, tile=tile).index, [1, 1, 2]
    )


@pytest.mark.parametrize("tile", [4, 100])
def test_only_valid_points_count_whatever_the_others_hold(tile):
    queries, points = clouds()
    valid = np.arange(37) % 3 == 0
    _, index = reference(queries, points[valid])
    broken = np.where(valid[:, None], points, np.nan)
    found = find(queries, broken, tile=tile, valid=valid)
    np.testing.assert_array_equal(found.index, np.flatnonzero(valid)[index])
    gradient = jax.jit(jax.grad(lambda p: nearest(queries, p, tile=4, valid=valid).distance.sum()))(broken)
    chex.assert_tree_all_finite(gradient)


def test_no_valid_point_is_infinitely_far():
    queries, points = clouds()
    found = find(queries, points, tile=100, valid=np.zeros(37, bool))
    np.testing.assert_array_equal(found.distance, np.inf)
    np.testing.assert_array_equal(found.index, -1)
    gradient = jax.grad(lambda q: nearest(q, points, valid=np.zeros(37, bool)).distance.sum())(queries)
    np.testing.assert_array_equal(gradient, 0)


def test_broken_points_show_instead_of_hiding_their_neighbours():
    queries, points = clouds()
    points[5] = np.nan
    assert np.isnan(find(queries, points, tile=100).distance).all()
    queries[3] = np.nan
    assert np.isnan(find(queries, clouds()[1], tile=100).distance[3])


def test_float32_is_exact_far_from_the_origin():
    # Here |q|^2 - 2 q.p + |p|^2 would be off by millimetres: the squares are 1e4 and float32 has seven digits.
    rng = np.random.default_rng(0)
    queries = (100 + rng.uniform(size=(200, 3))).astype(np.float32)
    points = (100 + rng.uniform(size=(500, 3))).astype(np.float32)
    distance, index = reference(queries.astype(float), points.astype(float))
    found = find(queries, points, tile=128)
    chex.assert_type(found.distance, jnp.float32)
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_allclose(found.distance, distance, rtol=3e-7)


def test_distance_is_differentiable_and_its_derivative_zero_where_points_coincide(check_jacobians):
    queries, points = clouds(3, 4)
    check_jacobians(lambda x: nearest(x[:3], x[3:], tile=2).distance, np.concatenate([queries, points]))
    gradient = jax.jit(jax.grad(lambda q, p: nearest(q, p).distance.sum(), (0, 1)))(points, points)
    np.testing.assert_array_equal(np.asarray(gradient), 0)


def test_eager_jit_and_vmap_agree():
    queries, points = (np.stack([clouds(seed=s)[k] for s in range(2)]) for k in (0, 1))
    mapped = jax.jit(jax.vmap(functools.partial(nearest, tile=16)))(queries, points)
    for i in range(2):
        one = jax.tree.map(lambda x, i=i: x[i], mapped)
        chex.assert_trees_all_close(one, find(queries[i], points[i], tile=16), nearest(queries[i], points[i], tile=16))


def test_no_matrix_of_all_pairs_is_ever_held():
    queries, points = jnp.zeros((2000, 3), jnp.float32), jnp.zeros((50000, 3), jnp.float32)
    analysis = jax.jit(nearest).lower(queries, points).compile().memory_analysis()
    if analysis is None:
        pytest.skip("this backend does not report memory")
    assert analysis.temp_size_in_bytes < 0.1 * 4 * 2000 * 50000


def test_the_host_agrees():
    queries, points = clouds(200, 300)
    found = nearest_host(queries.astype(np.float32), points.astype(np.float32))
    assert isinstance(found.distance, np.ndarray) and found.distance.dtype == np.float32
    distance, index = reference(queries, points)
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_allclose(found.distance, distance, rtol=1e-5)


@pytest.mark.parametrize("function", [nearest, nearest_host])
def test_a_cloud_without_points_is_an_error(function):
    with pytest.raises(ValueError, match="at least one point, got 0"):
        function(np.zeros((3, 3)), np.zeros((0, 3)))


def test_a_tile_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="tile must be at least 1, got 0"):
        nearest(*clouds(), tile=0)


def test_chamfer_is_the_mean_distance_each_way():
    a, b = clouds()
    got = jax.jit(chamfer)(a, b)
    np.testing.assert_allclose([got.a_to_b, got.b_to_a], [reference(a, b)[0].mean(), reference(b, a)[0].mean()])
    apart = chamfer(np.zeros((1, 3)), np.array([[0.0, 3.0, 4.0]]))
    np.testing.assert_allclose([apart.a_to_b, apart.b_to_a], 5.0)
