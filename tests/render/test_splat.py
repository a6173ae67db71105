"""Point splats against a loop over pixels that sorts the points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.render import splat

SIZE = (30, 37)


def reference_splat(points, colours, radius, camera, layers):
    height, width = camera.image_size
    rays = points @ np.asarray(camera.intrinsics, np.float64).T
    visible = np.isfinite(points).all(1) & (points[:, 2] > 0.01) & (radius > 0)
    image, ids = np.zeros((height, width, colours.shape[1] + 1)), np.full((height, width, layers), -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        pixels = rays[:, :2] / rays[:, 2:]
    for r in range(height):
        for c in range(width):
            square = ((pixels - [c + 0.5, r + 0.5]) ** 2).sum(1)
            rows = np.nonzero(visible & (square < radius**2))[0]
            rows = rows[np.argsort(points[rows, 2].astype(np.float32), kind="stable")][:layers]
            ids[r, c, : len(rows)] = rows
            through = 1.0
            for k in rows:
                opacity = 1 - square[k] / radius[k] ** 2
                image[r, c] += through * opacity * np.append(colours[k], 1)
                through *= 1 - opacity
    return image, ids


@pytest.fixture(scope="module")
def cloud(make_camera):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 3)) * [0.7, 0.6, 0.4] + [0, 0, 3]
    points[:4] = [[np.nan, 0, 2], [0, np.inf, 2], [0, 0, -2], [0, 0, 0.005]]
    points[5] = points[4] * [1.01, 1, 1]  # equal depths
    radius = rng.uniform(0.5, 3, size=300)
    radius[6] = 0
    return points, rng.uniform(size=(300, 3)), radius, make_camera(SIZE, dtype=np.float64)


@pytest.mark.parametrize("layers", [1, 4, 12])
def test_the_nearest_layers_are_blended(cloud, layers):
    points, colours, radius, camera = cloud
    image, ids = reference_splat(points, colours, radius, camera, layers)
    got = splat(points, colours, camera, radius=radius, layers=layers)
    np.testing.assert_array_equal(got.point_id, ids)
    np.testing.assert_allclose(got.image, image[..., :3], atol=1e-12)
    np.testing.assert_allclose(got.alpha, image[..., 3], atol=1e-12)
    depth = np.where(ids[..., 0] >= 0, points[ids[..., 0], 2], np.inf)
    np.testing.assert_allclose(got.depth, depth, rtol=1e-12)
    assert not got.overflow


@pytest.mark.parametrize("chunk", [16, 4096])
def test_chunks_change_nothing(cloud, chunk):
    points, colours, radius, camera = cloud
    want = splat(points, colours, camera, radius=radius, layers=4)
    got = splat(points, colours, camera, radius=radius, layers=4, chunk=chunk)
    np.testing.assert_array_equal(got.point_id, want.point_id)


def test_metres_are_pixels_by_the_focal_length(cloud):
    points, colours, _, camera = cloud
    seen = points[7:]
    pixels = 0.05 * float(camera.intrinsics[1, 1]) / seen[:, 2]
    got = splat(seen, colours[7:], camera, radius=0.05, unit="metres")
    want = splat(seen, colours[7:], camera, radius=pixels)
    np.testing.assert_allclose(got.image, want.image, atol=1e-12)


@pytest.fixture(scope="module")
def differentiated(cloud):
    camera = cloud[3]
    weights = jnp.asarray(np.random.default_rng(1).normal(size=(*SIZE, 4)))

    def function(points, colours, radius, pose):
        got = splat(points, colours, camera.replace(T_camera_world=pose), radius=radius, layers=4)
        return jnp.sum(weights[..., :3] * got.image) + jnp.sum(weights[..., 3] * got.alpha)

    return function, jax.jit(jax.value_and_grad(function, argnums=(0, 1, 2, 3)))


def test_gradients_match_central_differences(cloud, differentiated):
    points, colours, radius, camera = cloud
    _, function = differentiated
    arguments = [jnp.asarray(a) for a in (points, colours, radius, camera.T_camera_world)]
    gradient = function(*arguments)[1]
    rng = np.random.default_rng(2)
    for k, argument in enumerate(arguments):
        direction = rng.normal(size=argument.shape)
        direction[: 7 if k < 3 else 0] = 0  # points that are not drawn, and the pair of equal depth
        if k == 3:
            direction[2:] = 0  # along the view the order may change
        ends = []
        for h in (-1e-7, 1e-7):
            moved = list(arguments)
            moved[k] = argument + h * direction
            ends.append(float(function(*moved)[0]))
        analytic = float(np.nansum(np.asarray(gradient[k]) * direction))
        np.testing.assert_allclose(analytic, (ends[1] - ends[0]) / 2e-7, rtol=2e-6)
    for g in gradient:
        assert np.isfinite(g).all()
    np.testing.assert_array_equal(gradient[0][:4], 0)


def test_batches_agree_with_single_calls(cloud, differentiated):
    points, colours, radius, camera = cloud
    function, single = differentiated
    clouds = jnp.stack([jnp.asarray(points), jnp.asarray(points) * 0.9])
    pose = camera.T_camera_world
    values, gradients = jax.jit(jax.vmap(jax.value_and_grad(function), in_axes=(0, None, None, None)))(
        clouds, colours, radius, pose
    )
    for i in range(2):
        value, gradient = single(clouds[i], colours, radius, pose)
        np.testing.assert_allclose(values[i], value, rtol=1e-12)
        np.testing.assert_allclose(gradients[i], gradient[0], atol=1e-9)


def test_float32(cloud):
    points, colours, radius, camera = cloud
    low = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), camera)
    got = splat(
        points[7:].astype(np.float32), colours[7:].astype(np.float32), low, radius=radius[7:].astype(np.float32)
    )
    want = splat(points[7:], colours[7:], camera, radius=radius[7:])
    assert got.image.dtype == jnp.float32
    np.testing.assert_allclose(got.image, want.image, atol=1e-4)


def test_bad_options(cloud):
    points, colours, radius, camera = cloud
    with pytest.raises(ValueError, match="unit is 'feet'"):
        splat(points, colours, camera, radius=radius, unit="feet")
    with pytest.raises(ValueError, match="layers is 0"):
        splat(points, colours, camera, radius=radius, layers=0)
    with pytest.raises(ValueError, match="near is 0"):
        splat(points, colours, camera, radius=radius, near=0.0)
