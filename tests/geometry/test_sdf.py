"""Distance grids: looking up against SciPy, building against exact distances and signs."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from hoijax.errors import InputError
from hoijax.geometry import Mesh, SDFGrid, build_sdf, closest_on_mesh_host, query_sdf, sdf_build, winding_number

query = jax.jit(query_sdf)
ORIGIN, SPACING = np.array([-1.0, 0.5, 2.0]), np.array(0.25)


@pytest.fixture(scope="module")
def grid():
    """Random numbers on a grid of three different sizes."""
    return SDFGrid(np.random.default_rng(0).normal(size=(5, 6, 7)), ORIGIN, SPACING)


def inside(grid, shape, seed=1):
    size = SPACING * (np.array(grid.values.shape) - 1)
    return ORIGIN + size * np.random.default_rng(seed).uniform(size=(*shape, 3))


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_values_are_those_of_trilinear_interpolation(grid, batch):
    points = inside(grid, (*batch, 20))
    axes = [ORIGIN[i] + SPACING * np.arange(n) for i, n in enumerate(grid.values.shape)]
    want = RegularGridInterpolator(axes, grid.values)(points)
    np.testing.assert_allclose(query(grid, points), want, atol=1e-13)


def test_samples_are_met_exactly_up_to_the_last(grid):
    axes = np.stack(np.meshgrid(*(np.arange(n) for n in grid.values.shape), indexing="ij"), axis=-1)
    points = (ORIGIN + SPACING * axes).reshape(-1, 3)
    np.testing.assert_allclose(query(grid, points), grid.values.reshape(-1), atol=1e-13)


def test_outside_the_box_the_distance_to_it_is_added(grid):
    upper = ORIGIN + SPACING * (np.array(grid.values.shape) - 1)
    points = np.array([ORIGIN - [3, 0, 0], upper + [0, 3, 4], [0, 1, 2 - 0.5]], float)
    edge = query(grid, np.clip(points, ORIGIN, upper))
    np.testing.assert_allclose(query(grid, points), edge + np.array([3, 5, 0.5]), atol=1e-13)
    np.testing.assert_array_equal(grid.box.lower, ORIGIN)
    np.testing.assert_allclose(grid.box.upper, upper)


def test_a_linear_field_and_its_gradient_are_exact():
    normal = np.array([0.6, 0.0, -0.8])
    axes = np.stack(np.meshgrid(*[np.arange(6)] * 3, indexing="ij"), axis=-1)
    grid = SDFGrid((ORIGIN + SPACING * axes) @ normal - 0.3, ORIGIN, SPACING)
    points = inside(grid, (50,))
    np.testing.assert_allclose(query(grid, points), points @ normal - 0.3, atol=1e-13)
    gradient = jax.jit(jax.grad(lambda p: query_sdf(grid, p).sum()))(points)
    np.testing.assert_allclose(gradient, np.broadcast_to(normal, (50, 3)), atol=1e-12)


def test_gradients_match_finite_differences_inside_and_outside(check_jacobians, grid):
    points = np.concatenate([inside(grid, (3,)), ORIGIN - [[0.7, 0.1, 0.2]], ORIGIN + [[0.4, -0.3, 0.3]]])
    check_jacobians(lambda p: query_sdf(grid, p), points)
    check_jacobians(lambda v: query_sdf(SDFGrid(v, ORIGIN, SPACING), points), grid.values)
    check_jacobians(lambda o: query_sdf(SDFGrid(grid.values, o, SPACING), points), ORIGIN)


def test_eager_jit_and_vmap_agree_and_float32_stays(grid):
    points = inside(grid, (2, 9))
    mapped = jax.jit(jax.vmap(query_sdf, (None, 0)))(grid, points)
    chex.assert_trees_all_close(query_sdf(grid, points), query(grid, points), mapped, atol=1e-14)
    grids = jax.tree.map(lambda x: np.stack([x, x + 1]), grid)  # several objects, one query each
    many = jax.jit(jax.vmap(query_sdf))(grids, points)
    np.testing.assert_allclose(many[0], mapped[0], atol=1e-14)
    small = query(jax.tree.map(lambda x: x.astype(np.float32), grid), points.astype(np.float32))
    chex.assert_type(small, jnp.float32)
    np.testing.assert_allclose(small, mapped, atol=2e-5)


def sample_points(grid):
    axes = np.stack(np.meshgrid(*[np.arange(n) for n in grid.values.shape], indexing="ij"), axis=-1)
    return np.asarray(grid.origin) + float(grid.spacing) * axes


@pytest.mark.parametrize("resolution", [2, 9, 24, 33])
def test_a_ball_has_the_distances_of_a_ball(sphere, resolution):
    grid = build_sdf(sphere, resolution=resolution)
    chex.assert_shape(grid.values, (resolution,) * 3)
    want = np.linalg.norm(sample_points(grid), axis=-1) - 1
    np.testing.assert_allclose(grid.values, want, atol=0.02)  # 320 flat faces lie up to 0.02 inside the ball


@pytest.mark.parametrize("name", ["figure", "bowl", "ragged"])
def test_samples_near_the_surface_are_exact_and_the_others_close_from_above(name, request):
    mesh = request.getfixturevalue(name)
    grid = build_sdf(mesh, resolution=40)
    points = sample_points(grid).reshape(-1, 3)
    chosen = np.random.default_rng(0).permutation(len(points))[:3000]
    points, values = points[chosen], np.asarray(grid.values).reshape(-1)[chosen]
    exact = closest_on_mesh_host(points, mesh).distance
    near = exact < sdf_build.BAND * float(grid.spacing) * 0.99
    assert near.sum() > 50
    np.testing.assert_allclose(np.abs(values)[near], exact[near], atol=1e-12)
    excess = np.abs(values) - exact
    assert excess.min() > -1e-12
    assert excess.mean() < 0.01 * float(grid.spacing)
    assert excess.max() < 0.5 * float(grid.spacing)
    number = np.asarray(jax.jit(winding_number)(points, mesh))
    clear = np.abs(number - 0.5) > 0.06
    np.testing.assert_array_equal(values[clear] < 0, number[clear] > 0.5)


def test_queries_between_samples_are_as_close_as_the_spacing_allows(figure):
    grid = build_sdf(figure, resolution=48)
    points = np.random.default_rng(0).uniform([-0.8, 0, -0.2], [0.8, 1.7, 0.2], size=(1000, 3))
    exact = closest_on_mesh_host(points, figure).distance
    error = np.abs(np.abs(query(grid, points)) - exact)
    assert np.mean(error) < 0.06 * float(grid.spacing)
    assert np.max(error) < 0.8 * float(grid.spacing)


def test_an_open_bowl_is_filled_to_the_rim(bowl):
    grid = build_sdf(bowl, resolution=32)
    below, above = query(grid, np.array([[0, 0, -0.3], [0, 0, 0.3]]))
    assert below < 0 < above


def test_a_single_sheet_has_no_inside():
    sheet = Mesh(np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float), np.array([[0, 1, 2], [0, 2, 3]]))
    grid = build_sdf(sheet, resolution=16)
    assert np.min(grid.values) >= 0
    np.testing.assert_allclose(query(grid, np.array([[0.5, 0.5, 0.4]])), 0.4, atol=0.02)


def test_padding_is_a_fraction_of_the_longest_side_and_loose_vertices_do_not_count(sphere):
    loose = Mesh(np.concatenate([sphere.vertices * [1, 1, 0.5], [[50, 0, 0]]]), sphere.faces)
    grid = build_sdf(loose, resolution=11, padding=0.25)
    np.testing.assert_allclose(grid.origin, [-1.5, -1.5, -1.5], atol=1e-12)
    np.testing.assert_allclose(grid.spacing, 0.3, rtol=1e-12)


def test_the_dtype_is_that_of_the_vertices(sphere):
    grid = build_sdf(Mesh(sphere.vertices.astype(np.float32), sphere.faces), resolution=8)
    chex.assert_type(jax.tree.leaves(grid), jnp.float32)


@pytest.mark.parametrize("vertices, faces, message", [
    (np.zeros((3, 3)), np.zeros((0, 3), int), "0 faces"),
    (np.zeros((3, 3)), np.array([[0, 1, 2]]), "coincide"),
    (np.full((3, 3), np.nan), np.array([[0, 1, 2]]), "NaN"),
    (np.eye(3), np.array([[0, 1, 5]]), "the mesh has 3"),
])  # fmt: skip
def test_meshes_that_cannot_be_used_are_named(vertices, faces, message):
    with pytest.raises(InputError, match=message):
        build_sdf(Mesh(vertices, faces))


@pytest.mark.parametrize(
    "options, message", [({"resolution": 1}, "at least 2, got 1"), ({"padding": -0.1}, "got -0.1")]
)
def test_options_out_of_range_are_named(sphere, options, message):
    with pytest.raises(ValueError, match=message):
        build_sdf(sphere, **options)
