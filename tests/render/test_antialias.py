"""Antialiased edges: against supersampled coverage, finite differences, and the table of neighbouring faces."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh

from hoijax.camera import Camera
from hoijax.render import antialias, edge_neighbours, interpolate, rasterize

SIZE = (40, 50)


@pytest.fixture(scope="module")
def scene(make_blob, make_camera):
    vertices, faces = make_blob(2, roughness=0.6, dtype=np.float64)
    return vertices, faces, make_camera(SIZE, dtype=np.float64), edge_neighbours(faces)


def mask_image(fragments):
    return fragments.mask.astype(fragments.depth.dtype)[..., None]


def coverage(vertices, faces, camera, factor=16):
    """The share of each pixel that the mesh covers, from factor^2 samples."""
    height, width = camera.image_size
    scale = jnp.asarray(np.diag([factor, factor, 1.0]))
    fine = Camera(scale @ camera.intrinsics, camera.T_camera_world, (height * factor, width * factor))
    mask = np.asarray(rasterize(vertices, faces, fine).mask)
    return mask.reshape(height, factor, width, factor).mean((1, 3))


@pytest.mark.parametrize("subdivisions", [0, 4])
def test_masks_approach_the_true_coverage_whatever_the_size_of_faces(make_camera, subdivisions):
    """From faces of ten pixels to faces below one; the nearer pixel's own face alone would miss most contours."""
    sphere = trimesh.creation.icosphere(subdivisions=subdivisions)
    vertices, faces = sphere.vertices * [1, 0.7, 0.8] + [0.1, 0, 3.0], sphere.faces.astype(np.int32)
    camera = make_camera(SIZE, dtype=np.float64)
    fragments = rasterize(vertices, faces, camera)
    hard = np.asarray(mask_image(fragments))[..., 0]
    smooth = np.asarray(antialias(hard[..., None], fragments, edge_neighbours(faces)))[..., 0]
    want = coverage(vertices, faces, camera)
    assert np.abs(smooth - want).mean() < 0.15 * np.abs(hard - want).mean()
    assert np.abs(smooth - want).max() < 0.3
    assert abs(smooth.sum() - want.sum()) < 0.6


@pytest.mark.parametrize("offset", [0.1, 0.4, 0.6, 0.9])
def test_a_straight_edge_is_exact(make_pixel_camera, offset):
    vertices = np.array([[2.5, -50, 1], [8 + offset, -50, 1], [8 + offset, 90, 1], [2.5, 90, 1]])
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 0, 0]], np.int32)
    fragments = rasterize(vertices, faces, make_pixel_camera((5, 16), np.float64))
    got = np.asarray(antialias(mask_image(fragments), fragments, edge_neighbours(faces)))[2, :, 0]
    want = np.clip(np.minimum(np.arange(16) + 1, 8 + offset) - np.maximum(np.arange(16), 2.5), 0, 1)
    np.testing.assert_allclose(got, want, atol=1e-9)


def test_creases_and_interior_pixels_are_left_alone(make_pixel_camera):
    """Two faces of different colour that meet at a visible crease: no silhouette, no blending."""
    vertices = np.array([[-50, -50, 1], [8.3, 50, 0.8], [60, -50, 1], [8.3, -90, 0.8]])
    faces = np.array([[0, 3, 1], [3, 2, 1], [0, 0, 0]], np.int32)
    fragments = rasterize(vertices, faces, make_pixel_camera((5, 16), np.float64))
    assert set(np.unique(fragments.face_id)) == {0, 1}
    image = np.where(np.asarray(fragments.face_id) == 0, 0.2, 0.9)[..., None]
    np.testing.assert_array_equal(antialias(image, fragments, edge_neighbours(faces)), image)


def test_a_surface_over_another_blends_both_colours(make_pixel_camera):
    vertices = np.array(
        [[-50, -50, 2], [200, -50, 2], [-50, 200, 2], [-50, -50, 1], [7.75, -50, 1], [7.75, 90, 1], [-50, 90, 1]]
    )
    vertices[:3, :2] *= 2  # pixel coordinates times depth
    faces = np.array([[0, 1, 2], [3, 4, 5], [3, 5, 6]], np.int32)
    fragments = rasterize(vertices, faces, make_pixel_camera((5, 16), np.float64))
    image = np.where(np.asarray(fragments.face_id) == 0, 1.0, 0.0)[..., None]
    got = np.asarray(antialias(image, fragments, edge_neighbours(faces)))[2, :, 0]
    np.testing.assert_allclose(got, np.clip(np.arange(16) + 1 - 7.75, 0, 1), atol=1e-9)


@pytest.fixture(scope="module")
def differentiated(scene):
    """A weighted sum over antialiased colours and mask, and its gradient, compiled once."""
    vertices, faces, camera, neighbours = scene
    rng = np.random.default_rng(0)
    weights = jnp.asarray(rng.normal(size=(*SIZE, 4)))

    def function(vertices, colours, pose):
        fragments = rasterize(vertices, faces, camera.replace(T_camera_world=pose))
        image = jnp.concatenate([interpolate(fragments, faces, colours), mask_image(fragments)], axis=-1)
        return jnp.sum(weights * antialias(image, fragments, neighbours))

    arguments = jnp.asarray(vertices), jnp.asarray(rng.normal(size=(len(vertices), 3))), camera.T_camera_world
    return function, jax.jit(jax.value_and_grad(function, argnums=(0, 1, 2))), arguments


def test_gradients_match_central_differences(differentiated):
    _, function, arguments = differentiated
    gradient = function(*arguments)[1]
    rng = np.random.default_rng(1)
    for k, argument in enumerate(arguments):
        direction = rng.normal(size=argument.shape)
        if k == 2:
            direction[3] = 0
        ends = [
            float(function(*arguments[:k], argument + h * direction, *arguments[k + 1 :])[0]) for h in (-1e-8, 1e-8)
        ]
        analytic = float(np.sum(np.asarray(gradient[k]) * direction))
        np.testing.assert_allclose(analytic, (ends[1] - ends[0]) / 2e-8, rtol=1e-6)


def test_the_area_gradient_is_that_of_the_true_area(scene):
    """Moving the mesh towards the camera grows its picture by what supersampling says: no contour counts twice."""
    vertices, faces, camera, neighbours = scene

    def area(z):
        moved = jnp.asarray(vertices).at[:, 2].add(z)
        fragments = rasterize(moved, faces, camera)
        return jnp.sum(antialias(mask_image(fragments), fragments, neighbours))

    slope = jax.jit(jax.grad(area))
    gradient = float(np.mean([slope(z) for z in np.linspace(-0.05, 0.05, 5)]))
    shift = np.array([0, 0, 0.05])
    far, near = (coverage(vertices + s * shift, faces, camera).sum() for s in (1, -1))
    np.testing.assert_allclose(gradient, (far - near) / 0.1, rtol=0.05)


def test_batches_agree_with_single_calls(differentiated):
    function, single, (vertices, colours, pose) = differentiated
    scenes = jnp.stack([vertices, vertices * 0.95, vertices + 0.05])
    batch = jax.jit(jax.vmap(jax.value_and_grad(function, argnums=(0, 1)), in_axes=(0, None, None)))
    values, gradients = batch(scenes, colours, pose)
    for i in range(3):
        value, (g_vertices, g_colours, _) = single(scenes[i], colours, pose)
        np.testing.assert_allclose(values[i], value, rtol=1e-12)
        np.testing.assert_allclose(gradients[0][i], g_vertices, atol=1e-9)
        np.testing.assert_allclose(gradients[1][i], g_colours, atol=1e-9)


def test_an_empty_picture(differentiated):
    _, function, (vertices, colours, pose) = differentiated
    value, gradients = function(vertices.at[:, 0].add(50.0), colours, pose)
    assert value == 0
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, 0)


def test_wrong_number_of_neighbours(scene):
    vertices, faces, camera, neighbours = scene
    fragments = rasterize(vertices, faces, camera)
    with pytest.raises(ValueError, match=f"neighbours of {len(faces) - 1} faces given, {len(faces)} were drawn"):
        antialias(mask_image(fragments), fragments, neighbours[1:])


def reference_neighbours(faces):
    """By a loop over all pairs of edges."""
    edges = [(i, k, frozenset((f[k], f[(k + 1) % 3]))) for i, f in enumerate(faces) for k in range(3)]
    out = np.full(faces.shape, -1)
    for i, k, edge in edges:
        others = [(j, m) for j, m, other in edges if other == edge and (j, m) != (i, k)]
        if len(others) == 1 and len(edge) == 2:
            out[i, k] = 3 * others[0][0] + (others[0][1] + 2) % 3
    return out


def test_neighbours_by_definition():
    open_mesh = trimesh.creation.icosphere(subdivisions=1).faces[:50]
    fin = np.concatenate([open_mesh, [[open_mesh[0, 0], open_mesh[0, 1], 99]]])  # an edge of three faces
    for faces in (open_mesh, fin):
        np.testing.assert_array_equal(edge_neighbours(faces.astype(np.int32)), reference_neighbours(faces))


def test_seams_are_no_borders_if_positions_are_given():
    box = trimesh.creation.box()
    split = np.arange(36, dtype=np.int32).reshape(12, 3)
    assert (edge_neighbours(split) == -1).all()
    welded = edge_neighbours(split, box.vertices[box.faces].reshape(-1, 3))
    np.testing.assert_array_equal(welded, edge_neighbours(box.faces.astype(np.int32)))
