"""Point to triangle distances in every region, on broken triangles, and over whole meshes both ways."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from scipy.optimize import minimize

from hoijax.geometry import (
    Mesh,
    closest_host,
    closest_on_mesh,
    closest_on_mesh_host,
    closest_on_triangle,
    point_triangle_distance,
)

TRIANGLE = np.array([[0, 0, 0], [4, 0, 0], [0, 3, 0]], float)
REGIONS = {  # point, closest point
    "face": ([1, 1, 2], [1, 1, 0]),
    "face, below": ([0.5, 0.5, -1], [0.5, 0.5, 0]),
    "edge ab": ([2, -1, 1], [2, 0, 0]),
    "edge ca": ([-2, 1, 0], [0, 1, 0]),
    "edge bc": ([2 + 3, 1.5 + 4, 2], [2, 1.5, 0]),
    "corner a": ([-1, -2, 3], [0, 0, 0]),
    "corner b": ([6, -1, 1], [4, 0, 0]),
    "corner c": ([-1, 5, -1], [0, 3, 0]),
}
pairs = jax.jit(closest_on_triangle)
distances = jax.jit(point_triangle_distance)
search = jax.jit(closest_on_mesh, static_argnames="tile")


@pytest.mark.parametrize("region", REGIONS)
def test_each_region_has_its_closest_point(region):
    point, want = np.array(REGIONS[region], float)
    for turn in range(3):  # whichever corner comes first, and however the triangle winds
        for order in (slice(None), slice(None, None, -1)):
            triangle = np.roll(TRIANGLE, turn, axis=0)[order]
            got, bary = pairs(point, triangle)
            np.testing.assert_allclose(got, want, atol=1e-14)
            np.testing.assert_allclose(bary @ triangle, want, atol=1e-14)
            assert np.min(bary) >= 0
            np.testing.assert_allclose(distances(point, triangle), np.linalg.norm(point - want), rtol=1e-14)


@pytest.mark.parametrize("region", REGIONS)
def test_gradients_in_each_region_match_finite_differences(check_jacobians, region):
    point = np.array(REGIONS[region][0], float)
    check_jacobians(_distance_of_rows, np.concatenate([point[None], TRIANGLE + 0.01]))
    check_jacobians(_point_of_rows, np.concatenate([point[None], TRIANGLE + 0.01]))


def _distance_of_rows(rows):
    return point_triangle_distance(rows[0], rows[1:])


def _point_of_rows(rows):
    return closest_on_triangle(rows[0], rows[1:])[0]


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_random_pairs_agree_with_trimesh(batch):
    rng = np.random.default_rng(0)
    points, triangles = 2 * rng.normal(size=(*batch, 3)), rng.normal(size=(*batch, 3, 3))
    want = trimesh.triangles.closest_point(triangles.reshape(-1, 3, 3), points.reshape(-1, 3)).reshape(*batch, 3)
    np.testing.assert_allclose(pairs(points, triangles)[0], want, atol=1e-12)
    np.testing.assert_allclose(closest_on_triangle(points, triangles)[0], want, atol=1e-12)


def test_no_point_of_the_triangle_is_nearer():
    rng = np.random.default_rng(1)
    for _ in range(5):
        point, triangle = rng.normal(size=3), rng.normal(size=(3, 3))
        bound = {"type": "ineq", "fun": lambda st: [st[0], st[1], 1 - st[0] - st[1]]}
        found = minimize(
            lambda st, p=point, t=triangle: np.sum((t[0] + st @ (t[1:] - t[0]) - p) ** 2), [0.3, 0.3],
            constraints=[bound], options={"ftol": 1e-14},
        )  # fmt: skip
        assert distances(point, triangle) <= np.sqrt(found.fun) + 1e-9


@pytest.mark.parametrize(
    "corners, point, want",
    [
        ([[0, 0, 0], [1, 0, 0], [3, 0, 0]], [2, 5, 0], 5.0),  # three corners on a line
        ([[0, 0, 0], [3, 0, 0], [1, 0, 0]], [5, 0, 0], 2.0),
        ([[0, 0, 0], [2, 0, 0], [2, 0, 0]], [1, 1, 0], 1.0),  # two equal corners
        ([[1, 1, 1], [1, 1, 1], [1, 1, 1]], [1, 1, 3], 2.0),  # a point
        ([[0, 0, 0], [1, 0, 0], [0.5, 1e-9, 0]], [0.5, -2, 0], 2.0),  # a needle
    ],
)
def test_triangles_of_no_area_are_the_segments_and_points_they_are(corners, point, want):
    point, corners = np.array(point, float), np.array(corners, float)
    np.testing.assert_allclose(distances(point, corners), want, rtol=1e-12)
    rows = np.concatenate([point[None], corners])
    chex.assert_tree_all_finite(jax.jit(jax.jacrev(_distance_of_rows))(rows))
    np.testing.assert_allclose(distances(point.astype(np.float32), corners.astype(np.float32)), want, rtol=1e-6)


def test_on_the_triangle_the_distance_and_its_derivative_are_zero():
    for point in ([1, 1, 0], [2, 0, 0], [0, 0, 0]):
        rows = np.concatenate([[point], TRIANGLE])
        np.testing.assert_array_equal(_distance_of_rows(rows), 0)
        np.testing.assert_array_equal(jax.jit(jax.jacrev(_distance_of_rows))(rows), 0)


def brute(queries, mesh):
    """Distance of each query to each face by trimesh, `(Q, F)`."""
    triangles = np.asarray(mesh.vertices)[np.asarray(mesh.faces)]
    q, f = len(queries), len(triangles)
    points = np.repeat(queries, f, axis=0)
    with np.errstate(all="ignore"):
        closest = trimesh.triangles.closest_point(np.tile(triangles, (q, 1, 1)), points)
    return np.linalg.norm(closest - points, axis=1).reshape(q, f)


def around(mesh, count, seed=0):
    rng = np.random.default_rng(seed)
    near = np.asarray(mesh.vertices)[rng.integers(0, len(mesh.vertices) - 1, count // 2)]
    near = near + 0.05 * rng.normal(size=near.shape)
    return np.concatenate([near, 2 * rng.normal(size=(count - len(near), 3))])


def check_consistent(found, queries, mesh):
    corners = np.asarray(mesh.vertices)[np.asarray(mesh.faces)[np.asarray(found.face)]]
    np.testing.assert_allclose(np.einsum("nk,nki->ni", found.bary, corners), found.point, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(found.point - queries, axis=1), found.distance, atol=1e-12)
    assert np.min(found.bary) >= 0


@pytest.mark.parametrize("tile", [1, 100, 319, 320, 321])
def test_every_tile_size_gives_the_closest_point_of_the_mesh(sphere, tile):
    queries = around(sphere, 24)
    found = search(queries, sphere, tile=tile)
    np.testing.assert_allclose(found.distance, brute(queries, sphere).min(axis=1), atol=1e-12)
    check_consistent(found, queries, sphere)


@pytest.mark.parametrize("name", ["figure", "bowl", "ragged"])
def test_both_searches_are_exact_on_any_mesh(name, request):
    mesh = request.getfixturevalue(name)
    queries = around(mesh, 60)
    found, host = search(queries, mesh, tile=256), closest_on_mesh_host(queries, mesh)
    assert isinstance(host.distance, np.ndarray)
    check_consistent(host, queries, mesh)
    np.testing.assert_allclose(found.distance, host.distance, atol=1e-12)
    if name != "ragged":  # trimesh cannot do degenerate faces
        np.testing.assert_allclose(host.distance, brute(queries, mesh).min(axis=1), atol=1e-12)


def test_duplicate_faces_give_the_lowest_index(sphere):
    doubled = Mesh(sphere.vertices, np.concatenate([sphere.faces, sphere.faces]))
    queries = 1.5 * np.asarray(sphere.vertices)[sphere.faces[:40]].mean(axis=1)
    np.testing.assert_array_equal(search(queries, doubled, tile=100).face, np.arange(40))
    np.testing.assert_array_equal(closest_on_mesh_host(queries, doubled).face, np.arange(40))


def test_the_host_splits_searches_that_rule_nothing_out(sphere, monkeypatch):
    monkeypatch.setattr(closest_host, "MAX_PAIRS", 50)
    queries = 1e-9 * np.random.default_rng(0).normal(size=(9, 3))  # the centre: all faces are equally far
    found = closest_on_mesh_host(queries, sphere)
    np.testing.assert_allclose(found.distance, brute(queries, sphere).min(axis=1), atol=1e-12)


def test_the_host_takes_meshes_of_one_face_and_no_queries():
    one = Mesh(TRIANGLE, np.array([[0, 1, 2]]))
    np.testing.assert_allclose(closest_on_mesh_host(np.array([[1.0, 1.0, 2.0]]), one).distance, 2.0)
    empty = closest_on_mesh_host(np.zeros((0, 3), np.float32), one)
    chex.assert_shape([empty.point, empty.bary, empty.distance], [(0, 3), (0, 3), (0,)])
    assert empty.distance.dtype == np.float32


def test_distance_to_the_mesh_is_differentiable(check_jacobians, sphere):
    few = Mesh(sphere.vertices, sphere.faces[:6])
    queries = around(few, 4)

    def distance(x):
        return closest_on_mesh(x[:4], Mesh(x[4:], few.faces), tile=4).distance

    used = np.unique(few.faces)
    few = Mesh(few.vertices[used], np.searchsorted(used, few.faces))
    check_jacobians(distance, np.concatenate([queries, few.vertices]))


def test_eager_jit_and_vmap_agree_and_float32_stays(sphere):
    queries = np.stack([around(sphere, 6, seed) for seed in range(2)])
    mapped = jax.jit(jax.vmap(lambda q: closest_on_mesh(q, sphere)))(queries)
    want = [closest_on_mesh(q, sphere) for q in queries]
    chex.assert_trees_all_close(mapped, jax.tree.map(lambda *x: jnp.stack(x), *want), atol=1e-12)
    small = search(queries[0].astype(np.float32), Mesh(sphere.vertices.astype(np.float32), sphere.faces), tile=256)
    chex.assert_type([small.point, small.distance, small.bary], jnp.float32)
    np.testing.assert_allclose(small.distance, mapped.distance[0], atol=1e-6)


@pytest.mark.parametrize("function", [closest_on_mesh, closest_on_mesh_host])
def test_a_mesh_without_faces_is_an_error(function):
    with pytest.raises(ValueError, match="0 faces|faces, got 0"):
        function(np.zeros((2, 3)), Mesh(np.zeros((3, 3)), np.zeros((0, 3), int)))


@pytest.mark.parametrize("change, message", [
    (lambda v, f: (v, f + 2), "the mesh has 3"),
    (lambda v, f: (v, f - 1), "-1 to 1"),
    (lambda v, f: (v * np.nan, f), "1 of 1 faces have corners that are NaN"),
])  # fmt: skip
def test_the_host_names_what_is_broken(change, message):
    with pytest.raises(ValueError, match=message):
        closest_on_mesh_host(np.zeros((2, 3)), Mesh(*change(TRIANGLE, np.array([[0, 1, 2]]))))


def test_the_host_refuses_queries_that_are_not_finite(sphere):
    with pytest.raises(ValueError, match="1 of 2 queries"):
        closest_on_mesh_host(np.array([[0, 0, 0], [np.nan, 0, 0]]), sphere)
