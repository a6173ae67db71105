"""Pictures for people: what must hold in any of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh

from hoijax.camera import Camera, intrinsics_from_fov, look_at
from hoijax.render.framing import frame_points
from hoijax.render.scene import Scene, Textures, linear_from_srgb, srgb_from_linear
from hoijax.render.studio import Studio, render_studio, sky_maps

DRAFT = Studio(samples=4, sky_lights=2, shadow_size=64)
SIZE = 40


def box_scene(color=(0.6, 0.6, 0.6)):
    """A cube of side 1 on the floor. All scenes here have 8 vertices, 12 faces and textures: one compilation."""
    mesh = trimesh.creation.box()
    vertices = mesh.vertices.astype(np.float32) + np.array([0, 0.5, 0], np.float32)
    normals = np.repeat(mesh.face_normals.astype(np.float32)[:, None], 3, axis=1)
    colors = np.broadcast_to(np.array(color, np.float32), vertices.shape)
    return Scene(vertices, mesh.faces.astype(np.int32), colors, normals, no_textures())


def no_textures():
    """Two images that no face uses."""
    sizes = np.array([[8, 8], [4, 4]], np.float32)
    images, uv = np.zeros((2, 8, 8, 3), np.float32), np.zeros((12, 3, 2), np.float32)
    return Textures(images, sizes, uv, np.full(12, -1, np.int32))


def quad_scene(corners, **textures):
    """Two triangles, and ten without area."""
    faces = np.array([[0, 1, 2], [0, 2, 3]] + [[0, 0, 0]] * 10, np.int32)
    normals = np.broadcast_to(np.array([0, 0, 1], np.float32), (12, 3, 3))
    vertices = np.concatenate([corners, corners]).astype(np.float32)
    return Scene(vertices, faces, np.ones((8, 3), np.float32), normals, no_textures().replace(**textures))


@pytest.fixture(scope="module")
def render():
    """Compiled once for all scenes."""
    maps, picture = jax.jit(sky_maps), jax.jit(render_studio)
    return lambda scene, camera, studio: picture(scene, camera, studio, maps(scene, studio))


@pytest.fixture(scope="module")
def camera():
    """From the front, the left and above."""
    points = box_scene().vertices
    return frame_points(points, azimuth=np.array([0.5]), elevation=np.array([0.4]), image_size=(SIZE, SIZE)).camera(0)


@pytest.fixture(scope="module")
def picture(render, camera):
    """The cube."""
    return render(box_scene(), camera, DRAFT)


def test_srgb_is_the_standard_curve():
    """Anchor values of IEC 61966-2-1; the two functions undo each other; derivatives are finite at zero."""
    np.testing.assert_allclose(
        linear_from_srgb(np.array([0.0, 0.04045, 0.5, 1.0])), [0, 0.0031308, 0.2140411, 1], atol=1e-6
    )
    x = np.linspace(0, 1, 101)
    np.testing.assert_allclose(srgb_from_linear(linear_from_srgb(x)), x, atol=1e-6)
    assert np.isfinite(jax.grad(lambda v: srgb_from_linear(v).sum())(jnp.zeros(3))).all()
    assert np.isfinite(jax.grad(lambda v: linear_from_srgb(v).sum())(jnp.zeros(3))).all()


def test_range_alpha_and_background(picture):
    color, alpha = np.asarray(picture.color), np.asarray(picture.alpha)
    assert color.min() >= 0 and color.max() <= 1
    assert set(np.unique(alpha)) <= {0, 0.25, 0.5, 0.75, 1}
    top = np.array(DRAFT.background[0])
    np.testing.assert_allclose(color[0], np.broadcast_to(top, (SIZE, 3)), atol=0.01)  # above the horizon: no floor
    assert 0.2 < alpha.mean() < 0.8


def test_alpha_is_the_covered_area(render):
    """A square that fills a third of the picture by area, edges off the pixel grid."""
    side = np.float32(np.sqrt(1 / 3) * 2 * np.tan(0.25))
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32) * side / 2
    pose = look_at(np.array([0, 0, 1], np.float32), np.zeros(3, np.float32))
    camera = Camera(intrinsics_from_fov(0.5, (SIZE, SIZE)).astype(jnp.float32), pose, (SIZE, SIZE))
    got = render(quad_scene(corners), camera, DRAFT)
    np.testing.assert_allclose(np.mean(got.alpha), 1 / 3, atol=0.01)


def test_faces_are_lit_by_their_side(picture):
    """The top, under the sky and the key light, is brighter than the front on the key's side, that than the other."""
    from scipy.ndimage import label

    luminance, alpha = np.asarray(picture.color).mean(-1), np.asarray(picture.alpha)
    inside = alpha == 1
    levels = np.round(luminance[inside], 1)
    assert len(np.unique(levels)) >= 2
    rows = np.nonzero(inside.any(1))[0]
    top = luminance[rows[0] + 3][inside[rows[0] + 3]].mean()
    middle = luminance[SIZE // 2 + 6]
    columns = np.nonzero(inside[SIZE // 2 + 6])[0]
    left, right = middle[columns[2]], middle[columns[-3]]
    assert top > left > right
    assert label(inside)[1] == 1


def test_the_floor_darkens_at_the_contact_only(render, camera, picture):
    """Next to the cube's foot there is shadow, far from it none, and none without a floor."""
    bare = render(box_scene(), camera, DRAFT.replace(floor_shadow=0.0))
    change = np.asarray(bare.color - picture.color).mean(-1)
    outside = np.asarray(picture.alpha) == 0
    assert change[outside].max() > 0.08
    assert np.abs(change[:3]).max() < 0.03
    ramp = np.asarray(bare.color)[outside]
    assert np.all(np.diff(np.sort(ramp.mean(-1))) < 0.05)


def test_colors_enter_linearly_in_light(render, camera):
    """A surface of half the albedo sends half the light, but for the highlight."""
    studio = DRAFT.replace(specular=0.0)
    full = np.full(3, 0.7)
    half = srgb_from_linear(0.5 * linear_from_srgb(full))
    bright, dark = (render(box_scene(c), camera, studio) for c in (full, half))
    inside = np.asarray(bright.alpha) == 1
    ratio = np.asarray(linear_from_srgb(dark.color))[inside] / np.asarray(linear_from_srgb(bright.color))[inside]
    np.testing.assert_allclose(ratio, 0.5, atol=1e-3)


def test_sky_maps_are_computed_if_not_given(camera, picture):
    again = jax.jit(render_studio)(box_scene(), camera, DRAFT)
    np.testing.assert_allclose(again.color, picture.color, atol=1e-5)


def test_textures_stand_upright(render):
    """An image whose top half is red, on an upright quad with v upward: red above green below, white without it."""
    image = np.zeros((2, 8, 8, 3), np.float32)
    image[1, :2, :4, 0] = image[1, 2:4, :4, 1] = 0.9  # the second image, 4 x 4 in use
    corners = np.array([[-1, 0, 0], [1, 0, 0], [1, 2, 0], [-1, 2, 0]], np.float32)
    uv = np.zeros((12, 3, 2), np.float32)
    uv[:2] = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])[[[0, 1, 2], [0, 2, 3]]]
    scene, level = quad_scene(corners, images=image, uv=uv, index=np.ones(12, np.int32)), np.array([0.0])
    camera = frame_points(corners, azimuth=level, elevation=level, image_size=(SIZE, SIZE)).camera(0)
    color = np.asarray(render(scene, camera, DRAFT.replace(specular=0.0)).color)
    above, below = color[SIZE // 4, SIZE // 2], color[3 * SIZE // 4, SIZE // 2]
    assert above[0] > 0.4 > 0.1 > above[1]
    assert below[1] > 0.4 > 0.1 > below[0]
    plain = render(quad_scene(corners), camera, DRAFT.replace(specular=0.0))
    assert plain.color[SIZE // 4, SIZE // 2].min() > 0.5
