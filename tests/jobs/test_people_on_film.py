"""Real people in a real film: a camera pans and zooms over a photograph, and everybody stays who they are.

The photograph is Eileen Collins by NASA (public domain, from scikit-image's data), beside her mirror image as another
person; where each of them is in a frame follows from where the camera looks.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from hoijax.jobs.photo_people import find_person
from hoijax.jobs.photographs import Photograph, Spot
from hoijax.jobs.videos import Video, write_film
from hoijax.nets.blaze import load, start_tracks, track_people

pytest.importorskip("imageio_ffmpeg")
SIDE, FRAMES = 320, 5
SEEN = np.array([0, 2, 5, 9, 10, 11, 12])
"""Landmarks that the photograph shows well: nose, eyes, mouth and shoulders."""


def look(i):
    """Upper left corner (x, y) and side of what frame `i` shows of the wide picture, pixels of it."""
    return np.array([5.0 * i, 8.0 * i]), 640.0 - 10 * i


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A film of 320 x 320, opened."""
    path = pathlib.Path(__file__).parents[1] / "nets" / "blaze" / "astronaut.jpg"
    picture = np.asarray(Image.open(path).convert("RGB"))
    wide = np.full((640, 640, 3), 128, np.uint8)
    wide[160:480, :320], wide[160:480, 320:] = picture, picture[:, ::-1]

    def frames():
        for i in range(FRAMES):
            (x, y), side = look(i)
            yield np.asarray(
                Image.fromarray(wide).resize((SIDE, SIDE), Image.Resampling.BOX, (x, y, x + side, y + side))
            )

    out = tmp_path_factory.mktemp("film") / "pan.mp4"
    write_film(out, frames(), 10)
    video = Video(out)
    yield [video.read(i) for i in range(FRAMES)]
    video.close()


@pytest.fixture(scope="module")
def networks():
    return {name: load(name) for name in ("detector", "landmarks")}


def in_wide(i, points):
    """Pixels of frame `i` as pixels of the wide picture, which does not move."""
    corner, side = look(i)
    return np.asarray(points)[..., :2] * side / SIDE + corner


def check_smooth(paths):
    """Landmarks (T, L, 2) of one person, pixels of the wide picture, in which her face is 90 high and stands still."""
    away = np.linalg.norm(paths - np.median(paths, axis=0), axis=-1)
    assert np.median(away) < 2.5 and away.max() < 15
    bend = np.linalg.norm(np.diff(paths, 2, axis=0), axis=-1)
    assert np.median(bend) < 5


def test_two_people_keep_their_numbers(film, networks):
    step = jax.jit(lambda picture, state: track_people(networks, picture, state))
    state, noses, numbers, paths = start_tracks(2), [], [], []
    for i, image in enumerate(film):
        state, people = step(jnp.asarray(image, jnp.float32) / 255, state)
        numbers.append(np.asarray(state.ids)[np.asarray(state.active)].tolist())
        paths.append(in_wide(i, people.landmarks)[:, SEEN])
        noses.append(paths[-1][:, 0, 0])
    assert numbers == [[0, 1]] * FRAMES
    noses = np.array(noses)
    assert (np.sign(noses - SIDE) == np.sign(noses[0] - SIDE)).all() and np.prod(np.sign(noses[0] - SIDE)) == -1
    for person in range(2):
        check_smooth(np.stack(paths)[:, person])


@pytest.mark.parametrize("left", [True, False])
def test_who_is_meant_in_the_first_frame_is_followed(film, networks, left):
    region, who, paths = None, None, []
    for i, image in enumerate(film):
        if i == 0:
            corner, side = look(0)
            spot = (np.array([140.0 if left else 500.0, 320]) - corner) * SIDE / side
            who = Spot(click=(float(spot[0]), float(spot[1])))
        nothing = np.zeros(image.shape[:2], bool)
        photograph = Photograph(f"{i:06d}", pathlib.Path("pan.mp4"), image, nothing, nothing)
        person, _ = find_person(networks, photograph, region, who if i == 0 else None)
        region = person.next_region
        paths.append(in_wide(i, person.landmarks)[SEEN])
    noses = np.array(paths)[:, 0, 0]
    assert (noses < SIDE).all() if left else (noses > SIDE).all()
    check_smooth(np.array(paths))
