"""What `rasterize` promises beyond single pixels: invariance, ties, culling, overflow, shapes, batches, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.camera import Camera
from hoijax.render import Fragments, rasterize

SIZE = (45, 61)


def same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


@pytest.fixture(scope="module")
def scene(make_blob, make_camera):
    vertices, faces = make_blob(3)
    return vertices, faces, make_camera(SIZE)


@pytest.fixture(scope="module")
def drawn(scene):
    return rasterize(*scene)


@pytest.mark.parametrize(
    ("tile", "chunk"), [((4, 4), 256), ((8, 8), 8192), ((16, 16), 65536), ((5, 3), 1000), ((64, 64), 1)]
)
def test_tiles_and_chunks_change_nothing(scene, drawn, tile, chunk):
    same(drawn, rasterize(*scene, tile=tile, chunk=chunk))


def test_the_order_of_faces_changes_nothing(scene, drawn):
    vertices, faces, camera = scene
    order = np.random.default_rng(0).permutation(len(faces))
    got = rasterize(vertices, faces[order], camera)
    np.testing.assert_array_equal(np.where(got.mask, order[got.face_id], -1), drawn.face_id)
    np.testing.assert_array_equal(got.depth, drawn.depth)


def test_the_first_corner_changes_nothing(scene, drawn):
    vertices, faces, camera = scene
    got = rasterize(vertices, np.roll(faces, 1, axis=1), camera)
    np.testing.assert_array_equal(got.face_id, drawn.face_id)
    np.testing.assert_array_equal(got.depth, drawn.depth)


def test_batches_over_views_scenes_and_both(scene):
    """`vmap` in any nesting gives the bits of single calls."""
    vertices, faces, camera = scene
    rng = np.random.default_rng(0)
    scenes = np.stack([vertices + rng.normal(size=3).astype(np.float32) * 0.3 for _ in range(3)])
    poses = np.broadcast_to(np.eye(4, dtype=np.float32), (2, 4, 4)).copy()
    poses[1, :3, 3] = [0.2, -0.1, 0.7]
    views = Camera(jnp.stack([camera.intrinsics] * 2), jnp.asarray(poses), SIZE)
    over_views = jax.vmap(lambda v, c: rasterize(v, faces, c), in_axes=(None, 0))
    got = jax.jit(jax.vmap(over_views, in_axes=(0, None)))(scenes, views)
    assert got.face_id.shape == (3, 2, *SIZE) and got.bary.shape == (3, 2, *SIZE, 3) and got.overflow.shape == (3, 2)
    for i in range(3):
        for j in range(2):
            one = rasterize(scenes[i], faces, jax.tree.map(lambda a, j=j: a[j], views))
            same(jax.tree.map(lambda a, i=i, j=j: a[i, j], got), one)
            np.testing.assert_array_equal(got.bary[i, j], one.bary)


def test_batches_over_faces_with_padding(scene):
    vertices, faces, camera = scene
    halves = np.stack([faces, np.where(np.arange(len(faces))[:, None] < 600, faces, 0)]).astype(np.int32)
    got = jax.vmap(lambda f: rasterize(vertices, f, camera))(halves)
    one = rasterize(vertices, faces[:600], camera)
    np.testing.assert_array_equal(got.face_id[1], one.face_id)
    np.testing.assert_array_equal(got.depth[1], one.depth)


def test_equal_depth_goes_to_the_lowest_face(scene, drawn):
    """Copies of every face, at a distance in the list that no chunk spans and at one that every chunk spans."""
    vertices, faces, camera = scene
    copies = rasterize(vertices, np.concatenate([faces] * 3), camera, chunk=512)
    np.testing.assert_array_equal(copies.face_id, drawn.face_id)
    neighbours = rasterize(vertices, np.repeat(faces, 3, axis=0), camera)
    np.testing.assert_array_equal(neighbours.face_id, np.where(drawn.mask, 3 * drawn.face_id, -1))


def test_coplanar_overlap_goes_to_the_lowest_face(make_pixel_camera):
    corners = np.array([[0, 0, 2], [30, 0, 2], [0, 30, 2], [40, 40, 2], [8, 40, 2], [40, 8, 2]], np.float32)
    for faces in ([[0, 1, 2], [3, 4, 5]], [[3, 4, 5], [0, 1, 2]]):
        got = rasterize(corners, np.array(faces, np.int32), make_pixel_camera((16, 16)))
        first = rasterize(corners, np.array(faces[:1], np.int32), make_pixel_camera((16, 16)))
        assert (np.asarray(got.face_id)[np.asarray(first.mask)] == 0).all()
        assert (np.asarray(got.face_id) == 1).any()


def test_culling_from_outside_and_inside_out(scene, drawn):
    """From outside, normals outwards, the visible faces are seen from the front; inside out, from behind."""
    vertices, faces, camera = scene
    same(drawn, rasterize(vertices, faces, camera, cull="back"))
    inside_out = rasterize(vertices, faces[:, ::-1], camera, cull="front")
    np.testing.assert_array_equal(inside_out.face_id, drawn.face_id)


def test_the_front_is_counter_clockwise_on_the_picture(make_pixel_camera):
    """Up, left, right on a picture with rows from the top: counter-clockwise for the eye."""
    vertices = np.array([[8, 2, 1], [2, 14, 1], [14, 14, 1]], np.float32)
    camera = make_pixel_camera((16, 16))
    counter_clockwise, clockwise = np.array([[0, 1, 2]], np.int32), np.array([[0, 2, 1]], np.int32)
    for faces, shown, dropped in ((counter_clockwise, "back", "front"), (clockwise, "front", "back")):
        assert np.asarray(rasterize(vertices, faces, camera, cull=shown).mask).any()
        assert not np.asarray(rasterize(vertices, faces, camera, cull=dropped).mask).any()


def test_overflow_raises_eagerly_and_poisons_under_jit(make_camera):
    """Two thousand faces over a megapixel in tiles of one pixel: more units than an int32 counts."""
    corners = np.array([[-9, -9, 1], [9, -9, 1], [0, 18, 1]], np.float32)
    faces = np.tile(np.array([[0, 1, 2]], np.int32), (2000, 1))
    camera = make_camera((1024, 1024))
    with pytest.raises(ValueError, match=r"2000 faces at \(1024, 1024\)"):
        rasterize(corners, faces, camera, tile=(1, 1))
    got = jax.jit(lambda v: rasterize(v, faces, camera, tile=(1, 1)))(corners)
    assert got.overflow and np.isnan(got.depth).all() and not got.mask.any()


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (8, 65), (65, 1)])
def test_one_face_on_odd_pictures(reference, make_camera, size):
    vertices = np.array([[-1.1, -0.4, 2], [0.35, -0.3, 1.5], [-0.5, 0.95, 3]], np.float32)
    faces, camera = np.array([[0, 1, 2]], np.int32), make_camera(size, focal=1.5 * max(size))
    ids, depth, _, _, doubtful = reference(vertices, faces, camera)
    assert not doubtful.any() and (ids == 0).any()
    got = rasterize(vertices, faces, camera)
    np.testing.assert_array_equal(got.face_id, ids)
    np.testing.assert_allclose(got.depth, depth, rtol=1e-5)


BAD_VERTICES = {"nan": [np.nan, 0, 2], "inf": [0, np.inf, 2], "-inf": [0, 0, -np.inf], "huge": [3e38, 3e38, 3e38]}


@pytest.mark.parametrize("name", BAD_VERTICES)
def test_faces_without_area_or_finite_vertices_cover_nothing(scene, drawn, name):
    vertices, faces, camera = scene
    count = len(vertices)
    extra = np.float32([BAD_VERTICES[name], [0, 0, 1], [0.5, 0, 1], [0, 0.5, 1], [-0.5, 0, 1]])
    bad = np.array([[0, 1, 2], [1, 1, 2], [3, 3, 3], [1, 2, 4], [2, 0, 3], [0, 0, 0]], np.int32) + count
    got = rasterize(np.concatenate([vertices, extra]), np.concatenate([bad, faces]).astype(np.int32), camera)
    np.testing.assert_array_equal(got.face_id, np.where(drawn.mask, drawn.face_id + len(bad), -1))
    np.testing.assert_array_equal(got.depth, drawn.depth)


def test_a_picture_of_nothing(make_blob, make_camera):
    vertices, faces = make_blob(3, centre=(50, 0, 3))
    got = rasterize(vertices, faces, make_camera(SIZE))
    assert (got.face_id == -1).all() and np.isposinf(got.depth).all() and (got.bary == 0).all() and not got.overflow


def test_one_compilation_serves_all_values(make_blob, make_camera):
    traces = []

    @jax.jit
    def draw(vertices, camera) -> Fragments:
        traces.append(0)
        return rasterize(vertices, make_blob(1)[1], camera)

    for seed in range(3):
        draw(make_blob(1, seed)[0], make_camera(SIZE, focal=40.0 + seed))
    assert len(traces) == 1


def test_bad_options(scene):
    with pytest.raises(ValueError, match="cull is 'both'"):
        rasterize(*scene, cull="both")
    with pytest.raises(ValueError, match="near is 0"):
        rasterize(*scene, near=0.0)
