"""Soft silhouettes against the dense sum over all faces, and their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hoijax.camera import Camera
from hoijax.render import antialias, edge_neighbours, rasterize, soft_silhouette
from hoijax.render.silhouette import reach

SIZE = (33, 41)


def dense_alpha(triangles, image_size, blur):
    """1 - prod(1 - p) over pixel-space triangles (N, 3, 2), every face at every pixel."""
    height, width = image_size
    py, px = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    total = np.zeros(image_size)
    for corners in triangles:
        square, sides = np.full(image_size, np.inf), []
        for a, b in zip(corners, np.roll(corners, -1, axis=0)):
            e = b - a
            t = np.clip(((px - a[0]) * e[0] + (py - a[1]) * e[1]) / (e @ e), 0, 1)
            square = np.minimum(square, (px - a[0] - t * e[0]) ** 2 + (py - a[1] - t * e[1]) ** 2)
            sides.append(e[0] * (py - a[1]) - e[1] * (px - a[0]))
        sides = np.array(sides)
        inside = (sides >= 0).all(0) | (sides <= 0).all(0)
        probability = 1 / (1 + np.exp(np.clip(np.where(inside, -square, square) / blur**2, -700, 700)))
        with np.errstate(divide="ignore"):
            logarithm = np.log1p(-probability) - np.log1p(-1e-4)
        total += np.where(probability > 1e-4, np.maximum(logarithm, -745), 0)
    return 1 - np.exp(total)


def to_pixels(vertices, camera):
    rays = vertices @ np.asarray(camera.intrinsics, np.float64).T
    return rays[:, :2] / rays[:, 2:]


@pytest.fixture(scope="module")
def scene(make_blob, make_camera):
    vertices, faces = make_blob(1, dtype=np.float64)
    return vertices, faces, make_camera(SIZE, dtype=np.float64)


@pytest.fixture(scope="module")
def differentiated(scene):
    """A weighted sum of alpha and its gradient, compiled once; blur is an argument."""
    _, faces, camera = scene
    weights = jnp.asarray(np.random.default_rng(0).normal(size=SIZE))

    def function(vertices, pose, blur):
        alpha = soft_silhouette(vertices, faces, camera.replace(T_camera_world=pose), blur=blur)
        return jnp.sum(weights * alpha), alpha

    return jax.jit(jax.value_and_grad(function, argnums=(0, 1), has_aux=True))


@pytest.mark.parametrize("blur", [0.3, 1.5, 6.0])
def test_alpha_is_the_dense_sum_over_all_faces(scene, differentiated, blur):
    vertices, faces, camera = scene
    (_, alpha), _ = differentiated(vertices, camera.T_camera_world, blur)
    np.testing.assert_allclose(alpha, dense_alpha(to_pixels(vertices, camera)[faces], SIZE, blur), atol=1e-12)


@pytest.mark.parametrize("blur", [0.3, 1.5, 6.0])
def test_gradients_match_central_differences(scene, differentiated, blur):
    vertices, _, camera = scene
    pose = camera.T_camera_world
    _, gradient = differentiated(vertices, pose, blur)
    rng = np.random.default_rng(1)
    for k, argument in enumerate((vertices, pose)):
        direction = rng.normal(size=argument.shape)
        if k == 1:
            direction[3] = 0
        ends = []
        for h in (-1e-7, 1e-7):
            moved = [vertices, pose]
            moved[k] = argument + h * direction
            ends.append(float(differentiated(*moved, blur)[0][0]))
        analytic = float(np.sum(np.asarray(gradient[k]) * direction))
        np.testing.assert_allclose(analytic, (ends[1] - ends[0]) / 2e-7, rtol=1e-6)


def test_far_from_one_edge_alpha_is_the_documented_profile(make_pixel_camera):
    wall = np.array([[-1e3, -1e3, 1], [16, -1e3, 1], [16, 2e3, 1]], np.float32)
    alpha = np.asarray(soft_silhouette(wall, np.array([[0, 1, 2]], np.int32), make_pixel_camera((9, 33)), blur=2.0))
    distance = np.abs(np.arange(33) + 0.5 - 16)
    sign = np.where(np.arange(33) < 16, 1, -1)
    want = 1 / (1 + np.exp(-sign * distance**2 / 4))
    np.testing.assert_allclose(alpha[4], np.where(want > 1e-4, want, 0), atol=2e-4)
    assert (alpha[4, 16 + int(np.ceil(reach(2.0))) + 1 :] == 0).all()


def test_alpha_is_continuous_where_faces_are_left_out(make_pixel_camera):
    corners = np.array([[2.0, 2, 1], [6, 2, 1], [2, 6, 1]])
    draw = jax.jit(
        lambda shift: soft_silhouette(
            jnp.asarray(corners).at[:, 0].add(shift),
            np.array([[0, 1, 2]], np.int32),
            make_pixel_camera((8, 24), np.float64),
        )
    )
    steps = np.array([draw(s) for s in np.arange(0, 2, 0.01)])
    assert np.abs(np.diff(steps, axis=0)).max() < 0.02
    faint = np.diff(steps, axis=0)[(steps[:-1] < 2e-4) & (steps[1:] < 2e-4)]
    assert np.abs(faint).max() < 2e-5


def test_the_near_plane_cuts(make_camera):
    """A face from behind the camera to far in front covers what its clipped polygon covers."""
    vertices = np.array([[0.3, 0.2, 4.0], [-0.4, -0.3, 3.0], [0.1, 0.6, -1.0], [0.5, -0.4, -2.0]])
    faces, camera = np.array([[0, 1, 2], [1, 2, 3]], np.int32), make_camera(SIZE, dtype=np.float64)

    def cut(p, q):
        return p + (0.5 - p[2]) / (q[2] - p[2]) * (q - p)

    a, b, c, d = vertices
    polygons = [[a, b, cut(b, c)], [a, cut(b, c), cut(c, a)], [b, cut(b, c), cut(d, b)]]
    want = dense_alpha([to_pixels(np.array(p), camera) for p in polygons], SIZE, 1.0)
    np.testing.assert_allclose(soft_silhouette(vertices, faces, camera, near=0.5), want, atol=1e-12)
    gradient = jax.grad(lambda v: jnp.sum(soft_silhouette(v, faces, camera, near=0.5)))(jnp.asarray(vertices))
    assert np.isfinite(gradient).all() and (np.abs(gradient).max(1) > 0).all()


def test_what_is_not_seen_has_no_gradient(scene):
    vertices, faces, camera = scene
    count = len(vertices)
    unseen = np.array([[0, 0, 2.0], [0, 0, 2], [0, 0, -1], [50, 0, 3], [np.nan, 0, 1]])
    bad = np.array([[0, 1, 1], [2, 2, 2], [3, 3, 0], [4, 0, 1]], np.int32) + count
    everything = jnp.asarray(np.concatenate([vertices, unseen]))
    faces_too = np.concatenate([faces, bad]).astype(np.int32)
    value = jax.jit(jax.value_and_grad(lambda v: jnp.sum(soft_silhouette(v, faces_too, camera))))
    alpha, gradient = value(everything)
    np.testing.assert_allclose(alpha, jnp.sum(soft_silhouette(vertices, faces, camera)), rtol=1e-12)
    assert np.isfinite(gradient).all() and np.abs(gradient[:count]).max() > 0
    np.testing.assert_array_equal(gradient[count:], 0)
    alpha, gradient = value(everything.at[:, 0].add(50.0))
    assert alpha == 0
    np.testing.assert_array_equal(gradient, 0)


def test_batches_over_views_and_scenes_agree_with_single_calls(scene, differentiated):
    vertices, faces, camera = scene
    scenes = jnp.stack([vertices, vertices * 0.9])
    poses = jnp.stack([camera.T_camera_world] * 2).at[1, 0, 3].set(0.3)
    blurs = jnp.array([1.0, 2.5])
    weights = jnp.asarray(np.random.default_rng(0).normal(size=SIZE))

    def function(vertices, pose, blur):
        alpha = soft_silhouette(vertices, faces, camera.replace(T_camera_world=pose), blur=blur)
        return jnp.sum(weights * alpha)

    over_views = jax.vmap(jax.value_and_grad(function), in_axes=(None, 0, 0))
    values, gradients = jax.jit(jax.vmap(over_views, in_axes=(0, None, None)))(scenes, poses, blurs)
    for i in range(2):
        for j in range(2):
            (value, _), (gradient, _) = differentiated(scenes[i], poses[j], float(blurs[j]))
            np.testing.assert_allclose(values[i, j], value, rtol=1e-12)
            np.testing.assert_allclose(gradients[i, j], gradient, atol=1e-10)


def test_float32(scene):
    vertices, faces, camera = scene
    low = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), camera)
    alpha = soft_silhouette(vertices.astype(np.float32), faces, low, blur=1.5)
    assert alpha.dtype == jnp.float32
    np.testing.assert_allclose(alpha, soft_silhouette(vertices, faces, camera, blur=1.5), atol=2e-4)
    mask = np.asarray(rasterize(vertices.astype(np.float32), faces, low).mask)
    assert (np.asarray(alpha)[mask] >= 0.5).all()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "start"), [("soft", (16.0, -12.0)), ("sharp", (1.6, -1.2))])
def test_a_sphere_finds_its_mask(make_blob, kind, start):
    """The soft silhouette from twenty pixels away, the antialiased mask from two, to below a tenth of a pixel."""
    vertices, faces = make_blob(2, roughness=0.0, centre=(0, 0, 5.0))
    neighbours = edge_neighbours(faces)
    intrinsics = jnp.asarray([[60.0, 0, 40], [0, 60, 32], [0, 0, 1]], jnp.float32)
    camera = Camera(intrinsics, jnp.eye(4, dtype=jnp.float32), (64, 80))

    def draw(shift, blur):
        offset = jnp.concatenate([shift * (5.0 / 60), jnp.zeros(1, jnp.float32)])
        moved = jnp.asarray(vertices) + jnp.broadcast_to(offset, vertices.shape)
        if kind == "soft":
            return soft_silhouette(moved, faces, camera, blur=blur)
        fragments = rasterize(moved, faces, camera)
        return antialias(fragments.mask.astype(jnp.float32)[..., None], fragments, neighbours)[..., 0]

    optimiser = optax.adam(1.0)

    @jax.jit
    def step(shift, state, blur, rate):
        target = draw(jnp.zeros(2, jnp.float32), blur)
        gradient = jax.grad(lambda s: jnp.mean((draw(s, blur) - target) ** 2))(shift)
        update, state = optimiser.update(gradient, state)
        return shift + rate * update, state

    rate = 1.0 if kind == "soft" else 0.2
    with jax.numpy_dtype_promotion("standard"):  # optax mixes counts and floats
        shift = jnp.array(start, jnp.float32)
        state = optimiser.init(shift)
        for i in range(120):
            shift, state = step(shift, state, 8.0 * 0.1 ** (i / 120), rate * 0.01 ** (i / 120))
    assert np.linalg.norm(shift) < 0.1, shift


def test_bad_options(scene):
    with pytest.raises(ValueError, match="blur is 0"):
        soft_silhouette(*scene, blur=0.0)
    with pytest.raises(ValueError, match="near is -1"):
        soft_silhouette(*scene, near=-1.0)
