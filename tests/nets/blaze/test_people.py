"""Persons of a photograph: against MediaPipe's own answer, and the properties that its sampling breaks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.nets.blaze import LANDMARK_NAMES, MIRRORED_LANDMARKS, RawLandmarks, person_mask, read_landmarks
from hoijax.nets.blaze.detections import anchors, decode_detections, intersection_over_union, suppress
from hoijax.nets.blaze.people import decode_landmarks, refine
from hoijax.nets.blaze.regions import Region, to_picture

MIRRORED = np.array(MIRRORED_LANDMARKS)


@pytest.fixture(scope="module")
def person(found, photograph):
    """The one person of the photograph, and the empty second place."""
    people = found.run(photograph)
    assert people.score[0] > 0.9 and people.score[1] == 0
    return jax.tree.map(lambda x: x[0], people)


def test_released_sampling_finds_what_mediapipe_finds(found, photograph, answers):
    """MediaPipe rounds its bilinear weights to 1/32 pixel; a crop pixel is 3.2 pixels of this photograph."""
    got = jax.tree.map(lambda x: np.asarray(x[0]), found.released(photograph))
    seen = answers["mediapipe.visibility"] > 0.5
    apart = np.linalg.norm(got.landmarks[:, :2] - answers["mediapipe.landmarks"][:, :2], axis=-1)
    assert np.median(apart[seen]) < 2 and apart[seen].max() < 6
    slope, _ = np.polyfit(answers["mediapipe.landmarks"][:, 2], got.landmarks[:, 2], 1)
    depth = np.abs(got.landmarks[:, 2] - answers["mediapipe.landmarks"][:, 2])
    assert abs(slope - 1) < 0.06 and np.median(depth) < 0.04 * got.region.size
    assert np.abs(got.visibility - answers["mediapipe.visibility"]).max() < 0.2
    assert np.median(np.linalg.norm(got.metric - answers["mediapipe.metric"], axis=-1)) < 0.03
    mask = np.unpackbits(answers["mediapipe.mask"]).astype(bool).reshape(320, 320)
    ours = np.asarray(person_mask(jax.tree.map(lambda x: x[0], found.released(photograph)), 320, 320)) > 0.5
    assert (mask & ours).sum() / (mask | ours).sum() > 0.95


def test_her_face_and_shoulders_are_where_they_are(person):
    """Read off the photograph by eye, to 5 pixels of 320."""
    by_eye = {"nose": (140, 82), "left_eye": (153, 71), "right_eye": (128, 67), "mouth_left": (146, 93)}
    for name, place in by_eye.items():
        np.testing.assert_allclose(person.landmarks[LANDMARK_NAMES.index(name), :2], place, atol=5)
    left, right = (person.landmarks[LANDMARK_NAMES.index(f"{side}_shoulder"), 0] for side in ("left", "right"))
    assert left > right + 80


def test_hidden_legs_are_called_hidden(person):
    legs = [i for i, name in enumerate(LANDMARK_NAMES) if "knee" in name or "ankle" in name or "foot" in name]
    assert person.visibility[jnp.asarray(legs)].max() < 0.3
    assert person.visibility[LANDMARK_NAMES.index("nose")] > 0.95


def test_mask_lies_on_her(person):
    mask = np.asarray(person_mask(person, 320, 320))
    assert mask[230, 110] > 0.9 and mask[60, 140] > 0.9  # suit and hair
    assert mask[40, 40] < 0.1 and mask[100, 300] < 0.1  # flag and backdrop


@pytest.fixture(scope="module")
def read(weights):
    """Landmarks and visibility of a dozen regions, two at a time."""

    def run(picture, regions, released):
        pairs = [jax.tree.map(lambda x, i=i: x[i : i + 2], regions) for i in range(0, 12, 2)]
        people = [read_landmarks(weights("landmarks"), picture, pair, released=released) for pair in pairs]
        return tuple(np.concatenate([getattr(p, name) for p in people]) for name in ("landmarks", "visibility"))

    return run


def jittered(region):
    """Twelve regions about one."""
    rng = np.random.default_rng(0)
    shift, size, angle = rng.normal(size=(12, 2)) * 0.02, np.exp(0.05 * rng.normal(size=12)), rng.normal(size=12)
    return Region(
        centre=jnp.float32(np.asarray(region.centre) + shift * float(region.size)),
        size=jnp.float32(float(region.size) * size),
        angle=jnp.float32(float(region.angle) + 0.1 * angle),
    )


def test_half_pixels_settled_by_a_mirror_and_by_half_a_turn(person, read, photograph):
    """A mirrored picture has mirrored landmarks, a turned one turned landmarks.

    With pixel centres at +0.5 both hold without a bias; MediaPipe's sampling shifts landmarks by (scale - 1) / 2 pixels
    of the picture along the crop's axes, so that mirror images disagree by scale - 1 = 2.2 pixels.
    """
    regions, width = jittered(person.region), 320
    mirrored = regions.replace(
        centre=regions.centre * jnp.float32([[-1, 1]]) + jnp.float32([[width, 0]]), angle=-regions.angle
    )
    turned = Region(centre=width - regions.centre, size=regions.size, angle=regions.angle + jnp.float32(np.pi))
    scale = float(person.region.size) / 256
    bias = {}
    for released in (False, True):
        landmarks, visibility = read(photograph, regions, released)
        seen, flat = visibility.mean(0) > 0.7, landmarks[..., :2]
        flipped = read(photograph[:, ::-1], mirrored, released)[0][:, MIRRORED, :2]
        upside = read(photograph[::-1, ::-1], turned, released)[0][..., :2]
        bias[released] = np.median((width - flipped[..., 0] - flat[..., 0])[:, seen])
        bias[released, "turned"] = np.median((width - upside - flat)[:, seen])
    assert abs(bias[False]) < 0.25 * scale
    assert abs(bias[False, "turned"]) < 0.01
    assert bias[True] < -0.5 * (scale - 1)
    assert bias[True, "turned"] > 0.4


def test_landmarks_of_an_enlarged_picture_are_enlarged(found, person, photograph):
    big = np.kron(photograph, np.ones((2, 2, 1), np.float32))
    twice = jax.tree.map(lambda x: x[0], found.run(big))
    seen = person.visibility > 0.7
    apart = jnp.linalg.norm(twice.landmarks[:, :2] / 2 - person.landmarks[:, :2], axis=-1)
    assert jnp.median(apart[seen]) < 1.5
    np.testing.assert_allclose(twice.metric[0], person.metric[0], atol=0.03)


def test_nobody_in_a_picture_of_noise(found):
    noise = np.random.default_rng(3).random((320, 320, 3)).astype(np.float32)
    people = found.run(noise)
    assert (people.score == 0).all() and all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(people))


def test_two_people_side_by_side(found, person, photograph):
    """Two photographs in one picture of the same size: both are found, each about where it is alone."""
    small = photograph.reshape(160, 2, 160, 2, 3).mean((1, 3))
    picture = np.full((320, 320, 3), 0.5, np.float32)
    picture[80:240, :160], picture[80:240, 160:] = small, small[:, ::-1]
    people = found.run(picture)
    assert (people.score > 0.5).all()
    noses = np.sort(np.asarray(people.landmarks[:, 0, 0]))
    want = float(person.landmarks[0, 0]) / 2
    np.testing.assert_allclose(noses, [want, 320 - want], atol=6)


def loop_suppression(corners, points, scores, places, least):
    """Weighted suppression as a plain loop over boxes."""
    left = [i for i in np.argsort(-scores) if scores[i] >= least]
    found = []
    while left and len(found) < places:
        best = left[0]
        same = [i for i in left if i == best or iou(corners[best], corners[i]) > 0.3]
        weight = scores[same] / scores[same].sum()
        found.append((weight @ corners[same], np.tensordot(weight, points[same], 1), scores[best]))
        left = [i for i in left if i not in same]
    return found


def iou(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(w, 0) * max(h, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def test_suppression_is_the_loop():
    rng = np.random.default_rng(4)
    low = rng.random((60, 2))
    corners = np.concatenate([low, low + 0.3 + 0.3 * rng.random((60, 2))], -1)
    points, scores = rng.random((60, 4, 2)), rng.random(60)
    got = suppress(corners, points, scores, max_people=20, min_score=0.4)
    want = loop_suppression(corners, points, scores, 20, 0.4)
    assert 5 < len(want) < 20
    np.testing.assert_allclose(got.scores[: len(want)], [w[2] for w in want])
    np.testing.assert_array_equal(got.scores[len(want) :], 0)
    for i, (box, place, _) in enumerate(want):
        np.testing.assert_allclose(got.boxes[i], box, atol=1e-12)
        np.testing.assert_allclose(got.points[i], place, atol=1e-12)


def test_overlap_of_boxes():
    a, b = jnp.asarray([0.0, 0, 2, 2]), jnp.asarray([1.0, 1, 3, 3])
    np.testing.assert_allclose(intersection_over_union(a, b), 1 / 7)
    assert intersection_over_union(a, jnp.asarray([2.0, 0, 3, 2])) == 0
    assert intersection_over_union(jnp.zeros(4), jnp.zeros(4)) == 0


def test_anchors_go_cell_by_cell():
    centres = anchors()
    assert centres.shape == (2254, 2)
    np.testing.assert_allclose(
        centres[[0, 1, 2, 56]], [[1 / 56, 1 / 56], [1 / 56, 1 / 56], [3 / 56, 1 / 56], [1 / 56, 3 / 56]]
    )
    np.testing.assert_allclose(
        centres[[1568, 1960, 2253]], [[1 / 28, 1 / 28], [1 / 14, 1 / 14], [13 / 14, 13 / 14]], atol=1e-7
    )


def test_detections_are_decoded_about_their_anchor():
    boxes = np.zeros((2254, 12))
    boxes[1960] = [22.4, 0, 44.8, 22.4, 11.2, -11.2, 0, 0, 0, 0, 0, 0]
    corners, points, scores = decode_detections(boxes, np.zeros(2254))
    x, y = 1 / 14 + 0.1, 1 / 14
    np.testing.assert_allclose(corners[1960], [x - 0.1, y - 0.05, x + 0.1, y + 0.05], atol=1e-7)
    np.testing.assert_allclose(points[1960, 0], [1 / 14 + 0.05, 1 / 14 - 0.05], atol=1e-7)
    np.testing.assert_allclose(scores, 0.5)


def raw_person():
    rng = np.random.default_rng(5)
    points = rng.normal(size=(1, 39, 5)) * 20
    points[..., :3] += [128, 128, 0]
    return RawLandmarks(
        points=jnp.asarray(points),
        metric=jnp.asarray(rng.normal(size=(1, 39, 3))),
        score=jnp.asarray([0.9]),
        mask=jnp.zeros((1, 256, 256)),
        heat=jnp.full((1, 64, 64, 39), -20.0),
    )


def test_a_sure_heat_map_moves_its_point_and_no_other():
    raw = raw_person()
    x, y = np.asarray(raw.points[0, 4, :2]) // 4
    heat = raw.heat.at[0, int(y) + 2, int(x) - 1, 4].set(20.0).at[0, int(y) + 2, int(x) + 1, 4].set(20.0)
    heat = heat.at[0, int(y) + 4, int(x), 4].set(20.0)  # outside of the window of three cells
    moved = refine(dataclasses.replace(raw, heat=heat))
    np.testing.assert_allclose(moved[0, 4, :2], [4 * x, 4 * (y + 2)], atol=1e-5)
    others = np.delete(np.arange(39), 4)
    np.testing.assert_allclose(moved[0, others], raw.points[0, others, :3])
    unsure = dataclasses.replace(raw, heat=raw.heat.at[0, int(y) + 2, int(x), 4].set(-0.1))
    np.testing.assert_allclose(refine(unsure), raw.points[..., :3])


def test_landmarks_turn_with_their_region():
    raw, angle = raw_person(), 0.7
    square = Region(centre=jnp.asarray([[300.0, 200.0]]), size=jnp.asarray([512.0]), angle=jnp.asarray([angle]))
    got = decode_landmarks(raw, square)
    want = to_picture(raw.points[:, :33, :2] / 256, square)
    np.testing.assert_allclose(got.landmarks[..., :2], want, atol=1e-9)
    np.testing.assert_allclose(got.landmarks[..., 2], raw.points[:, :33, 2] * 2)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(got.metric[0, :, :2], np.asarray(raw.metric[0, :33, :2]) @ rotation.T, atol=1e-12)
    np.testing.assert_allclose(got.metric[..., 2], raw.metric[:, :33, 2])
    np.testing.assert_allclose(got.box[0], [*np.asarray(want[0]).min(0), *np.asarray(want[0]).max(0)])
    low, high = np.asarray(to_picture(raw.points[:, 33:35, :2] / 256, square))[0]
    np.testing.assert_allclose(got.next_region.centre[0], low)
    np.testing.assert_allclose(got.next_region.size[0], 2.5 * np.linalg.norm(high - low))
