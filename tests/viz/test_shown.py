"""The page's logic without a page: frames by the clock, drags, places side by side, colours by distance."""

import itertools

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from hoijax.errors import InputError
from hoijax.viz import MovingMesh, NamedMesh
from hoijax.viz.contact_paint import REACH, SCALE, contact_colors, distance_to, legend_image
from hoijax.viz.shown import Drag, Shown, body_and_object, frame_at, placed_beside

TRIANGLE = np.eye(3, dtype=np.float32), np.array([[0, 1, 2]])


def test_the_film_follows_the_clock_and_starts_anew():
    times = np.array([5.0, 5.1, 5.2, 5.5])  # a gap before the last; it stays for the mean, 0.5 / 3 s
    at = [0.0, 0.05, 0.15, 0.25, 0.49, 0.51, 0.65, 0.67, 0.67 + 0.1]
    assert [frame_at(times, t) for t in at] == [0, 0, 1, 2, 2, 3, 3, 0, 1]
    assert frame_at(np.zeros(1), 7.0) == 0 and frame_at(np.zeros(2), 7.0) == 0


def test_a_drag_moves_the_object_the_same_way_in_both_coordinates():
    """Against points: what the page shows, turned back, is what the new pose makes of the object's own points."""
    rng = np.random.default_rng(0)
    turn, rotation, by = (Rotation.random(random_state=k).as_matrix() for k in range(3))
    translation, start, position, points = (
        rng.normal(size=3),
        rng.normal(size=3),
        rng.normal(size=3),
        rng.normal(size=(5, 3)),
    )
    drag = Drag(start, by, position)
    page = (points @ rotation.T + translation) @ turn.T
    moved = (page - start) @ by.T + position
    new, place = drag.pose(rotation, translation, turn)
    np.testing.assert_allclose((points @ new.T + place) @ turn.T, moved, atol=1e-12)
    np.testing.assert_allclose(page @ by.T + drag.shift, moved, atol=1e-12)
    assert drag.moved and not Drag(start, np.eye(3), start).moved
    assert Drag(start, np.eye(3), start + 0.001).moved and Drag(start, by, start).moved


def test_candidates_stand_side_by_side_without_touching():
    widths = [1.0, 0.4, 2.0]
    places = placed_beside(widths, gap=0.5)
    edges = [(p - w / 2, p + w / 2) for p, w in zip(places, widths)]
    assert places[0] == 0 and [b[0] - a[1] for a, b in itertools.pairwise(edges)] == pytest.approx([0.5, 0.5])


def test_states_and_frames():
    mesh = NamedMesh("body", *TRIANGLE)
    rising = MovingMesh(mesh, points=np.stack([TRIANGLE[0] + k for k in range(3)]))
    shown = Shown([rising], [MovingMesh(mesh, points=np.stack([TRIANGLE[0] - k for k in range(3)]))], np.arange(3.0))
    assert shown.scene("after", 2)[0].vertices[0, 0] == 3 and shown.scene("before", 2)[0].vertices[0, 0] == -1
    assert Shown([rising], times=np.arange(3.0)).scene("before", 1)[0].vertices[0, 0] == 2
    with pytest.raises(InputError, match="3 frames, and there are 2 times"):
        Shown([rising], times=np.arange(2.0))
    with pytest.raises(InputError, match="without a mesh"):
        Shown([])
    names = ["human_3a", "object", "chair", "body", "object_2"]
    assert body_and_object([NamedMesh(n, *TRIANGLE) for n in names]) == ([0, 3], [1, 4])


def test_distance_to_a_box_and_its_colours():
    box = trimesh.creation.box((0.2, 0.2, 0.2))
    points = np.array([[0.105, 0, 0], [0.1, 0, 0], [0.095, 0, 0], [0.15, 0, 0], [0.3, 0, 0], [0.19, 0.19, 0.0]])
    distance = distance_to(points, box.vertices, box.faces)
    np.testing.assert_allclose(distance, [0.005, 0, -0.005, 0.05, REACH, REACH], atol=1e-9)
    np.testing.assert_allclose(contact_colors(np.array([0.0, -1.0, 9.0])), [SCALE[1][1], SCALE[0][1], SCALE[-1][1]])
    legend = legend_image(128, 4)
    assert legend.shape == (4, 128, 3)
    np.testing.assert_array_equal(legend[0, [0, -1]], np.round(255 * np.array([SCALE[0][1], SCALE[-1][1]])))
