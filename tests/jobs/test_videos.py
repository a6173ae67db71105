"""Videos read and written frame by frame, with ffmpeg itself as the one that made and reads them."""

import sys

import numpy as np
import pytest

from hoijax.errors import InputError
from hoijax.jobs.videos import Video, is_video, write_film

pytest.importorskip("imageio_ffmpeg")
COUNT, HEIGHT, WIDTH = 7, 48, 64


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Frames that grow brighter, their upper left corner dark."""
    path = tmp_path_factory.mktemp("film") / "a.mp4"

    def frames():
        for i in range(COUNT):
            image = np.full((HEIGHT, WIDTH, 3), 60 + 25 * i, np.uint8)
            image[: HEIGHT // 2, : WIDTH // 2] = 20
            yield image

    write_film(path, frames(), 12.5)
    return path


def brightness(image):
    return float(image[HEIGHT // 2 + 4 :, WIDTH // 2 + 4 :].mean())


def test_frames_are_read_in_any_order(film):
    video = Video(film)
    assert (video.frames, video.height, video.width) == (COUNT, HEIGHT, WIDTH) and video.fps == pytest.approx(12.5)
    for number in (0, 1, 4, 6, 2, 2, 5):
        image = video.read(number)
        assert image.shape == (HEIGHT, WIDTH, 3) and image.dtype == np.uint8
        assert brightness(image) == pytest.approx(60 + 25 * number, abs=6)
        assert image[:20, :28].mean() < 40
    with pytest.raises(InputError, match="ends before frame 7"):
        video.read(COUNT)
    assert brightness(video.read(3)) == pytest.approx(135, abs=6)
    video.close()


def test_going_forward_decodes_nothing_twice(film, monkeypatch):
    video, starts = Video(film), []
    start = video._start
    monkeypatch.setattr(video, "_start", lambda: (starts.append(1), start()))
    for number in (0, 2, 3, 6):
        video.read(number)
    assert len(starts) == 1
    video.read(1)
    assert len(starts) == 2
    video.close()


def test_what_is_no_video_is_named(tmp_path, monkeypatch, film):
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(InputError, match="text.mp4 is no video that can be read"):
        Video(tmp_path / "text.mp4")
    with pytest.raises(InputError, match="there is no file"):
        Video(tmp_path / "none.mp4")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match=r"pip install 'hoijax\[video\]'"):
        Video(film)


def test_endings_tell_a_video(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    assert is_video(tmp_path / "a.MOV") and is_video(tmp_path / "a.mp4")
    assert not is_video(tmp_path / "a.png") and not is_video(tmp_path / "folder.mp4")


def test_a_film_that_ffmpeg_refuses_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="ffmpeg could not write"):
        write_film(tmp_path / "odd.mp4", iter([np.zeros((47, 63, 3), np.uint8)]), 10)
    assert list(tmp_path.iterdir()) == []
