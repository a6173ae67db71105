"""Contact sheets, comparisons and turntables as files: sizes, frames, layout, errors."""

import numpy as np
import pytest
import trimesh
from PIL import Image

from hoijax.errors import InputError
from hoijax.render.studio import Studio
from hoijax.viz.figures import join_scene, write_comparison, write_turntable, write_views
from hoijax.viz.scene import NamedMesh

SIZE = 32
DRAFT = Studio(samples=1, sky_lights=1, shadow_size=32)


def scene(height=0.0, color=(0.9, 0.1, 0.1)):
    """A red box."""
    box = trimesh.creation.box((0.5, 0.5, 0.5))
    return [NamedMesh("object", box.vertices + np.array([0, height, 0]), box.faces, color)]


def pixels(path):
    """An RGB picture as an array."""
    return np.asarray(Image.open(path).convert("RGB"), int)


def redness(image):
    """How many pixels are clearly red."""
    return int(np.sum((image[..., 0] > image[..., 1] + 60) & (image[..., 0] > image[..., 2] + 60)))


@pytest.mark.parametrize(("views", "shape"), [(1, (1, 1)), (2, (1, 2)), (3, (1, 3)), (4, (2, 2)), (5, (2, 3))])
def test_contact_sheet(tmp_path, views, shape):
    path = write_views(tmp_path / "v.png", scene(), views=views, size=SIZE, studio=DRAFT)
    image = pixels(path)
    assert image.shape == (shape[0] * SIZE, shape[1] * SIZE, 3)
    cells = image.reshape(shape[0], SIZE, shape[1], SIZE, 3).swapaxes(1, 2).reshape(-1, SIZE, SIZE, 3)
    for cell in cells[:views]:
        assert redness(cell) > 100
    for cell in cells[views:]:
        assert np.all(cell == 255)


def test_comparison_shares_its_cameras(tmp_path):
    """The raised box is higher in the first row; the same box in both rows gives the same pixels."""
    path = write_comparison(tmp_path / "c.png", scene(0.5), scene(), views=2, size=SIZE, title="box", studio=DRAFT)
    image = pixels(path)
    assert image.shape[1] == 2 * SIZE
    last = image[-SIZE:]
    first = image[-2 * SIZE - 4 : -SIZE - 4]

    def center(row):
        """Mean height of the red pixels."""
        return np.nonzero(row[..., 0] > row[..., 1] + 60)[0].mean()

    assert center(first) < center(last) - 4
    write_comparison(path, scene(), scene(), views=2, size=SIZE, labels=("", ""), studio=DRAFT)
    image = pixels(path)
    np.testing.assert_array_equal(image[:SIZE], image[-SIZE:])


def test_turntable_gif(tmp_path):
    path = write_turntable(tmp_path / "t.gif", scene(), frames=5, size=SIZE, fps=10, studio=DRAFT)
    with Image.open(path) as film:
        assert film.n_frames == 5
        assert film.size == (SIZE, SIZE)
        assert film.info["duration"] == 100
        assert film.info["loop"] == 0
        frames = []
        for i in range(5):
            film.seek(i)
            frames.append(np.asarray(film.convert("RGB"), int))
    assert all(redness(frame) > 100 for frame in frames)
    assert np.abs(frames[0] - frames[1]).max() > 30  # it turns


def test_turntable_mp4(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="extra [video]")
    path = write_turntable(tmp_path / "t.mp4", scene(), frames=4, size=SIZE, fps=4, studio=DRAFT)
    frames, seconds = ffmpeg.count_frames_and_secs(str(path))
    assert frames == 4
    assert seconds == pytest.approx(1.0, abs=0.3)


def test_joined_scene_keeps_everything():
    """Padding adds no area and moves no bound; textures go to the faces of their mesh."""
    ball = trimesh.creation.icosphere(1)
    texture = np.random.default_rng(0).uniform(size=(3, 5, 3))
    uv = np.random.default_rng(1).uniform(size=(42, 2))
    meshes = [*scene(), NamedMesh("ball", ball.vertices, ball.faces, None, texture, uv)]
    joined = join_scene(meshes)
    assert len(joined.vertices) % 256 == len(joined.faces) % 256 == 0
    triangles = joined.vertices[joined.faces]
    area = np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1) / 2
    np.testing.assert_allclose(area[:12].sum(), 1.5)
    np.testing.assert_allclose(area[12:92].sum(), ball.area, rtol=1e-5)
    np.testing.assert_array_equal(area[92:], 0)
    np.testing.assert_array_equal(joined.vertices[joined.faces[12:92]], meshes[1].vertices[ball.faces])
    np.testing.assert_array_equal(joined.vertices.min(0), [-1, -1, -1])
    np.testing.assert_array_equal(joined.textures.index[:92], [-1] * 12 + [0] * 80)
    np.testing.assert_array_equal(joined.textures.uv[12:92], uv[ball.faces].astype(np.float32))
    np.testing.assert_allclose(joined.textures.images[0], texture, atol=1e-7)


def test_errors(tmp_path):
    with pytest.raises(InputError, match=r"PNG files, got 'v.jpg'"):
        write_views(tmp_path / "v.jpg", scene(), views=1, size=SIZE, studio=DRAFT)
    with pytest.raises(InputError, match="at least one view, got 0"):
        write_views(tmp_path / "v.png", scene(), views=0)
    with pytest.raises(InputError, match="no vertices"):
        write_views(tmp_path / "v.png", [])
    with pytest.raises(InputError, match=r"\.gif or an \.mp4 file, got 't.png'"):
        write_turntable(tmp_path / "t.png", scene())
    with pytest.raises(InputError, match="even size, got 33"):
        write_turntable(tmp_path / "t.mp4", scene(), size=33)
    assert list(tmp_path.iterdir()) == []
