"""Values, barycentrics and depth at the pixels, and their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.render import interpolate, rasterize

SIZE = (37, 50)


@pytest.fixture(scope="module")
def scene(make_blob, make_camera):
    vertices, faces = make_blob(2, dtype=np.float64)
    return vertices, faces, make_camera(SIZE, dtype=np.float64)


def reference_values(fragments, faces, attributes):
    """The definition, pixel by pixel."""
    ids, bary = np.asarray(fragments.face_id), np.asarray(fragments.bary)
    image = np.zeros((*ids.shape, attributes.shape[1]), attributes.dtype)
    for r, c in zip(*np.nonzero(ids >= 0)):
        image[r, c] = bary[r, c] @ attributes[faces[ids[r, c]]]
    return image


@pytest.mark.parametrize("channels", [3, 11])
def test_values_are_the_barycentric_means(scene, channels):
    vertices, faces, camera = scene
    attributes = np.random.default_rng(0).normal(size=(len(vertices), channels))
    fragments = rasterize(vertices, faces, camera)
    got = interpolate(fragments, faces, attributes)
    np.testing.assert_allclose(got, reference_values(fragments, faces, attributes), atol=1e-12)


def test_positions_give_back_the_pixels(scene):
    """Interpolated camera-space positions project to the pixel's own centre and have its depth."""
    vertices, faces, camera = scene
    fragments = rasterize(vertices, faces, camera)
    mask = np.asarray(fragments.mask)
    points = np.asarray(interpolate(fragments, faces, vertices))[mask]
    pixels = points @ np.asarray(camera.intrinsics).T
    rows, columns = np.nonzero(mask)
    np.testing.assert_allclose(pixels[:, :2] / pixels[:, 2:], np.stack([columns, rows], -1) + 0.5, atol=1e-9)
    np.testing.assert_allclose(pixels[:, 2], np.asarray(fragments.depth)[mask], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_perspective_of_a_slanted_quad(make_camera, dtype):
    """Texture coordinates of a tilted plane have a closed form, far from what linear interpolation gives."""
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype)
    u, v = np.array([1.0, 0.2, 2.5]), np.array([0.1, 1.2, 0.4])
    origin = np.array([-0.6, -0.6, 1.2])
    vertices = (origin + uv @ np.stack([u, v])).astype(dtype)
    faces, camera = np.array([[0, 1, 2], [0, 2, 3]], np.int32), make_camera((64, 64), dtype=dtype)
    fragments = rasterize(vertices, faces, camera)
    got = np.asarray(interpolate(fragments, faces, uv))
    rows, columns = np.nonzero(np.asarray(fragments.mask))
    rays = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], -1) @ np.linalg.inv(camera.intrinsics).T
    want = np.array([np.linalg.solve(np.stack([u, v, -ray], -1), -origin)[:2] for ray in rays])
    assert len(rows) > 300
    np.testing.assert_allclose(got[rows, columns], want, atol=1e-5)


def test_corner_attributes_through_their_own_faces(scene):
    """Texture coordinates with a seam have other rows than the vertices."""
    vertices, faces, camera = scene
    fragments = rasterize(vertices, faces, camera)
    rows = np.arange(faces.size, dtype=np.int32).reshape(faces.shape)
    got = interpolate(fragments, rows, vertices[faces].reshape(-1, 3))
    np.testing.assert_array_equal(got, interpolate(fragments, faces, vertices))


def test_float32_and_float64_agree(scene):
    vertices, faces, camera = scene
    exact = interpolate(rasterize(vertices, faces, camera), faces, vertices)
    low = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), camera)
    fragments = rasterize(vertices.astype(np.float32), faces, low)
    single = interpolate(fragments, faces, vertices.astype(np.float32))
    assert single.dtype == fragments.bary.dtype == fragments.depth.dtype == jnp.float32
    np.testing.assert_allclose(single, exact, atol=2e-5)


def weighted_sum(faces, camera, weights):
    """A nonlinear scalar of interpolated values and depth, so that no error cancels."""

    def function(vertices, attributes, pose):
        fragments = rasterize(vertices, faces, camera.replace(T_camera_world=pose))
        image = interpolate(fragments, faces, attributes)
        depth = jnp.where(fragments.mask, fragments.depth, 0)
        return jnp.sum(weights[..., :-1] * image * jnp.sin(image)) + jnp.sum(weights[..., -1] * jnp.sin(depth))

    return function


@pytest.fixture(scope="module")
def differentiated(scene):
    """A mesh with faces nobody sees added to it, the compiled value and gradient, and the arguments."""
    vertices, faces, camera = scene
    count = len(vertices)
    unseen = np.array([[0, 0, 2.0], [0, 0, 2], [0, 0, -1], [50, 0, 3], [np.nan, 0, 1]])
    bad = np.array([[0, 1, 1], [2, 2, 2], [3, 3, 0], [4, 0, 1]], np.int32) + count
    faces = np.concatenate([faces, bad]).astype(np.int32)
    rng = np.random.default_rng(3)
    attributes = rng.normal(size=(count + 5, 3))
    weights = jnp.asarray(rng.normal(size=(*SIZE, 4)))
    function = weighted_sum(faces, camera, weights)
    arguments = jnp.concatenate([vertices, unseen]), jnp.asarray(attributes), camera.T_camera_world
    return jax.jit(jax.value_and_grad(function, argnums=(0, 1, 2))), arguments, faces, weights


def test_gradients_match_central_differences(differentiated):
    """With respect to vertices, attributes and camera pose, in directions that change no pixel's face."""
    function, arguments, _, _ = differentiated
    gradient = function(*arguments)[1]
    rng = np.random.default_rng(0)
    for k, argument in enumerate(arguments):
        direction = rng.normal(size=argument.shape)
        direction[-1] = 0  # the NaN vertex; the last row of the pose
        ends = [
            float(function(*arguments[:k], argument + h * direction, *arguments[k + 1 :])[0]) for h in (-1e-7, 1e-7)
        ]
        analytic = float(np.sum(np.asarray(gradient[k])[:-1] * direction[:-1]))
        np.testing.assert_allclose(analytic, (ends[1] - ends[0]) / 2e-7, rtol=1e-6)


def test_gradients_of_what_is_not_seen_are_zero(differentiated):
    """Off screen, behind the camera, without area: zero and never NaN, with a NaN vertex in the mesh too."""
    function, (vertices, attributes, pose), _, _ = differentiated
    gradient = np.asarray(function(vertices, attributes, pose)[1][0])
    assert np.isfinite(gradient[:-1]).all() and np.abs(gradient[:-5]).max() > 0
    np.testing.assert_array_equal(gradient[-5:-1], 0)
    value, gradient = function(vertices.at[:, 0].add(50.0), attributes, pose)
    assert value == 0
    for g in gradient:
        np.testing.assert_array_equal(np.asarray(g)[:-1], 0)


def test_barycentric_gradients_match_central_differences(scene):
    vertices, faces, camera = scene
    weights = jnp.asarray(np.random.default_rng(1).normal(size=(*SIZE, 3)))
    function = jax.jit(jax.value_and_grad(lambda v: jnp.sum(weights * rasterize(v, faces, camera).bary ** 2)))
    direction = np.random.default_rng(0).normal(size=vertices.shape)
    ends = [float(function(vertices + h * direction)[0]) for h in (-1e-7, 1e-7)]
    analytic = float(np.sum(np.asarray(function(vertices)[1]) * direction))
    np.testing.assert_allclose(analytic, (ends[1] - ends[0]) / 2e-7, rtol=1e-6)


def test_float32_gradients_are_those_of_float64(scene, differentiated):
    function, arguments, faces, weights = differentiated
    low = [jnp.asarray(a, jnp.float32) for a in arguments]
    camera = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), scene[2])
    function32 = weighted_sum(faces, camera, jnp.asarray(weights, jnp.float32))
    single = jax.jit(jax.grad(function32, argnums=(0, 1)))(*low)
    for a, b in zip(single, function(*arguments)[1]):
        assert a.dtype == jnp.float32
        np.testing.assert_allclose(a[:-1], b[:-1], atol=2e-3 * np.abs(b[:-1]).max())


def test_batched_gradients_are_those_of_single_calls(scene, differentiated):
    single, (vertices, attributes, pose), faces, weights = differentiated
    function = weighted_sum(faces, scene[2], weights)
    scenes = jnp.stack([vertices, vertices * 0.9, vertices + 0.1])
    inside = jax.jit(jax.vmap(jax.grad(function, argnums=(0, 1)), in_axes=(0, None, None)))(scenes, attributes, pose)

    def total(scenes):
        return jnp.sum(jax.vmap(function, in_axes=(0, None, None))(scenes, attributes, pose))

    outside = jax.jit(jax.grad(total))(scenes)
    for i in range(3):
        want = single(scenes[i], attributes, pose)[1]
        np.testing.assert_allclose(inside[0][i], want[0], atol=1e-9)
        np.testing.assert_allclose(inside[1][i], want[1], atol=1e-9)
        np.testing.assert_allclose(outside[i], want[0], atol=1e-9)


def test_wrong_number_of_faces(scene):
    vertices, faces, camera = scene
    with pytest.raises(ValueError, match=f"{len(faces) - 1} faces given, {len(faces)} were drawn"):
        interpolate(rasterize(vertices, faces, camera), faces[1:], vertices)
