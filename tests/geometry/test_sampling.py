import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from hoijax.geometry import Mesh, face_areas, farthest_points, sample_surface

sample = jax.jit(sample_surface, static_argnums=2)
spread = jax.jit(farthest_points, static_argnums=(1, 2))


def test_points_lie_where_face_and_coordinates_say(figure):
    samples = sample(jax.random.key(0), figure, 500)
    chex.assert_shape([samples.points, samples.face_ids, samples.bary], [(500, 3), (500,), (500, 3)])
    assert np.min(samples.bary) >= 0
    np.testing.assert_allclose(np.sum(samples.bary, axis=1), 1, atol=1e-14)
    corners = figure.vertices[figure.faces[np.asarray(samples.face_ids)]]
    np.testing.assert_allclose(samples.points, np.einsum("nk,nki->ni", samples.bary, corners), atol=1e-14)


def test_faces_are_drawn_by_area_and_points_evenly_inside():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 0, 0], [8, 0, 0], [5, 2, 0]], float)
    mesh = Mesh(vertices, np.array([[0, 1, 2], [0, 0, 1], [3, 4, 5], [1, 1, 1]]))  # areas 0.5, 0, 3, 0
    samples = sample(jax.random.key(1), mesh, 20000)
    counts = np.bincount(samples.face_ids, minlength=4)
    assert counts[1] == counts[3] == 0
    assert stats.binomtest(int(counts[0]), 20000, 0.5 / 3.5).pvalue > 0.01
    # Each barycentric coordinate of a uniform point has the density 2 (1 - b).
    for k in range(3):
        assert stats.kstest(np.asarray(samples.bary)[:, k], lambda b: 1 - (1 - b) ** 2).pvalue > 0.01


def test_points_follow_the_vertices_and_keep_their_dtype(sphere):
    small = Mesh(sphere.vertices.astype(np.float32), sphere.faces)
    samples = sample(jax.random.key(0), small, 10)
    chex.assert_type([samples.points, samples.bary], jnp.float32)
    # Moving every vertex by d moves every point by d.
    points = jax.jit(lambda v: sample_surface(jax.random.key(0), Mesh(v, sphere.faces), 10).points)
    moved = jax.jvp(points, (sphere.vertices,), (np.ones_like(sphere.vertices),))[1]
    np.testing.assert_allclose(moved, 1, atol=1e-14)


def test_meshes_sample_under_vmap(sphere):
    batch = Mesh(np.stack([sphere.vertices, 2 * sphere.vertices]), sphere.faces)
    keys = jax.random.split(jax.random.key(0))
    got = jax.jit(jax.vmap(lambda k, m: sample_surface(k, m, 7), in_axes=(0, Mesh(0, None))))(keys, batch)
    want = sample(keys[1], Mesh(batch.vertices[1], sphere.faces), 7)
    chex.assert_trees_all_close(jax.tree.map(lambda x: x[1], got), want, atol=1e-14)


def reference_farthest(points, count, start):
    chosen = [start]
    while len(chosen) < count:
        distance = np.min([np.linalg.norm(points - points[i], axis=1) for i in chosen], axis=0)
        chosen.append(int(np.argmax(distance)))
    return chosen


@pytest.mark.parametrize("start", [0, 13])
def test_farthest_points_are_those_of_the_loop(start):
    points = np.random.default_rng(0).normal(size=(40, 3))
    np.testing.assert_array_equal(spread(points, 12, start), reference_farthest(points, 12, start))
    np.testing.assert_array_equal(np.sort(spread(points, 40, start)), np.arange(40))


def test_farthest_points_break_ties_by_the_lowest_index():
    square = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [1, 1, 0]], float)
    np.testing.assert_array_equal(farthest_points(square, 3), [0, 3, 1])


@pytest.mark.parametrize("count, start, message", [(0, 0, "1 to 5 of 5"), (6, 0, "asked for 6"), (2, 5, "got 5")])
def test_farthest_points_refuse_what_does_not_fit(count, start, message):
    with pytest.raises(ValueError, match=message):
        farthest_points(np.zeros((5, 3)), count, start)


def test_all_faces_flat_still_gives_points_of_the_mesh():
    flat = Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]]))
    assert np.sum(face_areas(flat.vertices, flat.faces)) == 0
    np.testing.assert_array_equal(sample(jax.random.key(0), flat, 3).points, 0)
