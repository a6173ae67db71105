"""Winding numbers against closed forms, ray casting and each other."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh

from hoijax.geometry import Mesh, contains, solid_angle, winding_number, winding_number_host

wind = jax.jit(winding_number, static_argnames="tile")
angle = jax.jit(solid_angle)


def turned_disc(count, radius):
    t = np.linspace(0, 2 * np.pi, count, endpoint=False)
    rim = np.stack([radius * np.cos(t), radius * np.sin(t), 0 * t], axis=1)
    faces = [[0, 1 + i, 1 + (i + 1) % count] for i in range(count)]
    return Mesh(np.concatenate([np.zeros((1, 3)), rim]), np.array(faces))


def test_a_face_of_a_cube_fills_a_sixth_of_the_view_from_its_middle():
    square = np.array([[1, 1, 1], [-1, 1, 1], [-1, -1, 1], [1, -1, 1]], float)
    halves = np.stack([square[[0, 1, 2]], square[[0, 2, 3]]])
    np.testing.assert_allclose(angle(np.zeros((2, 3)), halves), np.pi / 3, rtol=1e-14)


@pytest.mark.parametrize("height", [-0.3, 0.1, 2.0])
def test_a_disc_seen_from_its_axis_has_the_solid_angle_of_the_textbook(height):
    # 2 pi (1 - h / sqrt(h^2 + r^2)); positive from below, whence the disc winds clockwise.
    got = wind(np.array([[0.0, 0.0, height]]), turned_disc(2000, 0.5))
    want = -np.sign(height) * (1 - abs(height) / np.hypot(height, 0.5)) / 2
    np.testing.assert_allclose(got, [want], atol=1e-6)


def test_closed_meshes_count_how_often_they_go_round(sphere):
    balls = [Mesh((1 + 0.1 * k) * sphere.vertices, sphere.faces) for k in range(10)]
    n = len(sphere.vertices)
    nested = Mesh(
        np.concatenate([b.vertices for b in balls]), np.concatenate([sphere.faces + n * k for k in range(10)])
    )
    points = np.array([[0, 0, 0], [0, 1.05, 0.1], [1.44, 0, 0], [3, 0, 0]], float)
    np.testing.assert_allclose(wind(points, nested), [10, 9, 5, 0], atol=1e-12)
    inside_out = Mesh(nested.vertices, nested.faces[:, ::-1])
    np.testing.assert_allclose(wind(points, inside_out), [-10, -9, -5, 0], atol=1e-12)


def test_inside_is_what_rays_say(figure):
    pytest.importorskip("embreex", reason="extra [test]")
    points = np.random.default_rng(0).uniform([-0.9, 0, -0.2], [0.9, 1.7, 0.2], size=(300, 3))
    # Of each closed part apart, because rays through overlapping parts count crossings of both.
    mesh = trimesh.Trimesh(figure.vertices, figure.faces, process=False)
    parts = mesh.split(only_watertight=True)
    count = sum(part.contains(points).astype(float) for part in parts)
    numbers = np.asarray(wind(points, figure))
    np.testing.assert_allclose(numbers, np.round(numbers), atol=1e-10)
    assert np.mean(np.round(numbers) == count) > 0.99  # rays err on edges
    assert count.max() >= 2
    np.testing.assert_array_equal(jax.jit(contains)(points, figure), numbers > 0.5)


def test_an_open_mesh_passes_smoothly_through_its_hole(bowl):
    heights = np.array([-0.9, -0.5, 0.0, 0.5, 2.0])
    numbers = np.asarray(wind(np.stack([0 * heights, 0 * heights, heights], axis=1), bowl))
    # Half a sphere closed by its disc is closed: the disc's textbook angle is what is missing.
    disc = 0.5 * (1 - np.abs(heights) / np.hypot(heights, 1.0))
    want = np.where(heights < 0, 1 - disc, disc)
    np.testing.assert_allclose(numbers, want, atol=4e-3)  # the rim is a polygon
    assert np.all(np.diff(numbers) < 0)


@pytest.mark.parametrize("tile", [1, 100, 319, 320, 321])
def test_every_tile_size_gives_the_same(sphere, tile):
    points = 1.5 * np.random.default_rng(0).normal(size=(8, 3))
    np.testing.assert_allclose(wind(points, sphere, tile=tile), winding_number(points, sphere), atol=1e-13)


def test_degenerate_faces_add_nothing_and_no_faces_give_zero(ragged):
    points = np.random.default_rng(0).normal(size=(8, 3))
    clean = Mesh(ragged.vertices, np.delete(ragged.faces, [len(ragged.faces) - 8 + k for k in range(3)], axis=0))
    np.testing.assert_allclose(wind(points, ragged), wind(points, clean), atol=1e-13)
    np.testing.assert_array_equal(winding_number(points, Mesh(ragged.vertices, np.zeros((0, 3), int))), 0)


def test_on_corner_edge_and_face_all_stays_finite():
    triangle = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], float)
    for point in ([0, 0, 0], [0.5, 0, 0], [0.2, 0.3, 0], [2.0, 0, 0]):
        point = np.array(point, float)
        np.testing.assert_array_equal(angle(point, triangle), 0)
        chex.assert_tree_all_finite(jax.jit(jax.grad(solid_angle, (0, 1)))(point, triangle))
        one = Mesh(triangle, np.array([[0, 1, 2]]))
        chex.assert_tree_all_finite(jax.jit(jax.grad(lambda p, m=one: winding_number(p[None], m)[0]))(point))


def test_gradients_match_finite_differences_also_in_the_plane_of_a_face(check_jacobians, sphere):
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0.3], [0, 1, 0]], float)

    def number(x):
        return winding_number(x[:3], Mesh(x[3:], faces), tile=1)

    points = np.array([[0.3, 0.4, 0.5], [2.0, -1.0, 0.2], [-1.0, 0.5, 0.0]])
    check_jacobians(number, np.concatenate([points, vertices]))
    check_jacobians(lambda p: solid_angle(p, vertices[:3]), np.array([2.0, 0.0, 0.0]))


def test_eager_jit_and_vmap_agree_and_float32_stays(sphere):
    points = np.random.default_rng(0).normal(size=(2, 6, 3))
    mapped = jax.jit(jax.vmap(lambda p: winding_number(p, sphere)))(points)
    chex.assert_trees_all_close(mapped, jnp.stack([winding_number(p, sphere) for p in points]), atol=1e-13)
    small = wind(points[0].astype(np.float32), Mesh(sphere.vertices.astype(np.float32), sphere.faces))
    chex.assert_type(small, jnp.float32)
    np.testing.assert_allclose(small, mapped[0], atol=1e-5)


@pytest.mark.parametrize("name", ["figure", "bowl", "ragged"])
def test_the_host_approximates_within_what_it_says(name, request):
    mesh = request.getfixturevalue(name)
    rng = np.random.default_rng(0)
    lower, upper = np.min(mesh.vertices, axis=0), np.max(mesh.vertices, axis=0)
    points = rng.uniform(lower - 0.2, upper + 0.2, size=(700, 3))
    exact = np.asarray(wind(points, mesh))
    for accuracy, tolerance in ((2.0, 0.06), (3.0, 0.02)):
        got = winding_number_host(points, mesh, accuracy=accuracy)
        assert isinstance(got, np.ndarray) and got.dtype == points.dtype
        np.testing.assert_allclose(got, exact, atol=tolerance)
    np.testing.assert_allclose(winding_number_host(points, mesh, accuracy=1e9), exact, atol=1e-5)  # nothing is far


def test_the_host_takes_few_points_few_faces_and_none():
    disc = turned_disc(3, 1.0)
    points = np.array([[0, 0, 0.5]])
    np.testing.assert_allclose(winding_number_host(points, disc), wind(points, disc), atol=0.02)
    assert winding_number_host(np.zeros((0, 3)), disc).shape == (0,)
    with pytest.raises(ValueError, match="0 faces"):
        winding_number_host(points, Mesh(disc.vertices, np.zeros((0, 3), int)))
