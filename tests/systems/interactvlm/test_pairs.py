"""What the light contact network is told: squares, cells of masks, labels, points of surfaces, by hand and by loops."""

import numpy as np
import pytest

from hoijax.body_models import free_body, subset
from hoijax.body_models.mhr import vertices_from
from hoijax.data.objects import make_object
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.nets.pair_contact import Answer
from hoijax.systems.interactvlm.pairs import (
    COLUMNS,
    JOINTS,
    MARGIN,
    OBJECT_POINTS,
    body_points,
    box_cells,
    even_points,
    label_number,
    make_pair,
    mask_cells,
    nearest_words,
    object_surface,
    pair_contact,
    square_about,
    vertex_normals,
)

WORDS = ("chair", "table", "sofa", "bicycle", "ball", "box", "cup")


@pytest.mark.parametrize(
    ("label", "word"),
    [
        ("chair", "chair"), ("Chairs", "chair"), ("office chair", "chair"), ("dining_table", "table"),
        ("couch", "sofa"),
        ("boxes", "box"), ("chairblack", "chair"), ("yogaball", "ball"), ("cup of tea", "cup"), ("dragon", None),
        ("soap", None), ("CUP", "cup"), ("chair table", "table"), ("bike 2", "bicycle"),
    ],
)  # fmt: skip
def test_labels(label, word):
    assert label_number(label, WORDS) == (0 if word is None else WORDS.index(word) + 1)


def test_a_label_without_a_word_is_refused_and_a_misspelled_one_recognised():
    with pytest.raises(InputError, match="no word"):
        label_number("12?", WORDS)
    assert nearest_words("chiar", WORDS) == ["chair"] and nearest_words("dragon", WORDS) == []


def test_a_square_holds_person_and_object():
    mask = np.zeros((100, 200), bool)
    mask[20:40, 150:180] = True
    points = np.array([[10.0, 30.0], [60.0, 90.0]])
    middle, half = square_about(points, mask)
    np.testing.assert_allclose(middle, [95.0, 55.0])
    assert half == pytest.approx(85 / (1 - 2 * MARGIN))
    middle, half = square_about(points, np.zeros_like(mask))
    np.testing.assert_allclose(middle, [35.0, 60.0])
    assert half == pytest.approx(30 / (1 - 2 * MARGIN))


@pytest.mark.parametrize(("middle", "half"), [((30.0, 20.0), 16.0), ((28.3, 21.7), 13.3), ((2.0, 45.0), 30.0)])
def test_cells_are_shares_of_the_mask(middle, half):
    rng = np.random.default_rng(0)
    mask = rng.random((48, 64)) > 0.5
    got = mask_cells(mask, np.array(middle), half, 4)
    fine = 400  # samples of a cell's side
    at = [middle[k] + half * ((np.arange(4 * fine) + 0.5) / (2 * fine) - 1) for k in (0, 1)]
    columns, rows = (np.floor(a).astype(int) for a in at)
    inside = ((rows >= 0) & (rows < 48))[:, None] & ((columns >= 0) & (columns < 64))[None]
    seen = mask[rows.clip(0, 47)[:, None], columns.clip(0, 63)[None]] & inside
    np.testing.assert_allclose(got, seen.reshape(4, fine, 4, fine).mean(axis=(1, 3)), atol=3e-3)


def test_a_pair_is_in_its_square():
    rng = np.random.default_rng(1)
    landmarks = rng.uniform(20, 90, (33, 3))
    metric, visibility = rng.normal(size=(33, 3)), rng.random(33)
    mask = np.zeros((120, 110), bool)
    mask[80:100, 30:50] = True
    surface = object_surface(make_object("box").mesh, 0.1)
    pair = make_pair(landmarks, metric, visibility, mask, 2, surface, 32)
    middle, half = square_about(landmarks[list(COLUMNS), :2], mask)
    np.testing.assert_allclose(pair.places[0] * half + middle, landmarks[list(COLUMNS), :2], atol=1e-4)
    np.testing.assert_allclose(pair.metric[0], metric[list(COLUMNS)], atol=1e-6)
    np.testing.assert_allclose(pair.visible[0], visibility[list(COLUMNS)], atol=1e-6)
    np.testing.assert_allclose(pair.mask[0].sum() * (2 * half / 32) ** 2, 400, rtol=1e-4)
    assert pair.mask.shape == (1, 32, 32) and pair.word.tolist() == [2] and pair.known.tolist() == [[1, 1, 1]]
    # Moving the picture moves nothing in the square.
    moved = np.zeros((160, 160), bool)
    moved[97:117, 41:61] = True
    other = make_pair(landmarks + [11, 17, 0], metric, visibility, moved, 2, surface, 32)
    np.testing.assert_allclose(other.places, pair.places, atol=1e-5)
    np.testing.assert_allclose(other.mask, pair.mask, atol=1e-4)


def test_what_is_missing_is_said():
    mask = np.zeros((50, 50), bool)
    landmarks = np.full((33, 3), 10.0)
    landmarks[::2] += 20
    for given, known in (
        ((None, None, None, mask, 0, None), [0, 0, 0]),
        ((None, None, None, ~mask, 0, None), [0, 1, 0]),
        ((landmarks, landmarks, landmarks[:, 0], mask, 0, None), [1, 0, 0]),
        ((landmarks, landmarks, landmarks[:, 0], None, 0, None), [1, 0, 0]),
    ):
        pair = make_pair(*given, 16)
        assert pair.known.tolist() == [known] and np.isfinite(pair.places).all() and np.isfinite(pair.mask).all()


def test_names_are_those_of_the_landmarks():
    assert len(JOINTS) == 27 and JOINTS[0] == "nose" and JOINTS[COLUMNS.index(15)] == "left_wrist"
    assert JOINTS[COLUMNS.index(32)] == "right_big_toe"


def test_the_bodys_points():
    whole, coarse = (body_points(free_body(level), 0.1) for level in ("default", "test"))
    count = free_body("test").num_vertices
    np.testing.assert_array_equal(coarse.places, whole.places[:, :count])
    np.testing.assert_allclose(whole.near.sum(axis=-1), 1, atol=1e-5)
    model = free_body("default")
    tip = dict(model.landmarks)["left_index"]
    assert JOINTS[whole.near[0, tip].argmax()] == "left_index1"
    assert JOINTS[whole.near[0, dict(model.landmarks)["right_heel"]].argmax()] == "right_heel"
    # SMPL's vertices are asked about where they lie on the free body.
    smpl = subset(model, np.arange(6890, dtype=np.int32)).replace(kind="smpl")
    ids = vertices_from("smpl", "free")
    fine = body_points(free_body("render"), 0.1)
    np.testing.assert_array_equal(body_points(smpl, 0.1).places, fine.places[:, ids])
    np.testing.assert_allclose(fine.places[:, : whole.places.shape[1]], whole.places, atol=1e-6)
    with pytest.raises(InputError, match="its map"):
        body_points(model.replace(kind="smpl"), 0.1)
    with pytest.raises(InputError):
        body_points(model.replace(kind="mano"), 0.1)


def test_points_are_spread_by_area_and_lie_on_the_surface():
    obj = make_object("box", width=0.4, height=0.2, depth=0.3)
    vertices, faces = np.asarray(obj.mesh.vertices), np.asarray(obj.mesh.faces)
    points, normals = even_points(vertices, faces, 3000)
    axis = np.abs(normals).argmax(axis=1)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-9)
    on_side = np.take_along_axis(points * normals, axis[:, None], 1)[:, 0]
    near_flat = np.abs(normals).max(axis=1) > 0.999
    np.testing.assert_allclose(on_side[near_flat], np.array([0.2, 0.1, 0.15])[axis[near_flat]], atol=0.02)
    top = np.isclose(normals[:, 1], 1)
    assert top.mean() == pytest.approx(0.12 / 0.52, abs=0.06)
    assert abs(points[top].mean(axis=0)[[0, 2]]).max() < 0.01
    out = vertex_normals(vertices, faces)
    assert np.einsum("ij,ij->i", out, vertices).min() > 0  # outwards


def test_an_objects_surface():
    obj = make_object("chair")
    surface = object_surface(obj.mesh, 0.1)
    moved = object_surface(Mesh(np.asarray(obj.mesh.vertices) + [3, 4, 5], obj.mesh.faces), 0.1)
    np.testing.assert_allclose(surface.points, moved.points, atol=1e-5)
    assert surface.points.shape == (OBJECT_POINTS, 3)
    np.testing.assert_allclose(surface.asked.places[0], obj.mesh.vertices, atol=1e-6)
    asked = surface.asked
    np.testing.assert_allclose(asked.near.sum(axis=-1), 1, atol=1e-5)
    gap = np.linalg.norm(asked.places[0][:, None] - surface.points[None], axis=-1)
    np.testing.assert_array_equal(gap.argmin(axis=1), asked.near[0].argmax(axis=1))
    want = np.exp(-(gap**2) / 0.02)
    np.testing.assert_allclose(asked.near[0], want / want.sum(axis=1, keepdims=True), atol=1e-3)


def test_cells_of_bodies_and_boxes():
    whole = body_points(free_body("default"), 0.1)
    count = free_body("test").num_vertices
    np.testing.assert_array_equal(whole.cell[0, :count], np.arange(count))
    gap = np.linalg.norm(whole.places[0] - whole.places[0, whole.cell[0]], axis=-1)
    assert gap.max() < 0.09 and whole.cell.max() < count
    half = np.array([1.0, 2.0, 3.0])
    assert box_cells(np.array([[-0.99, -1.9, -2.9], [0.99, 1.9, 2.9], [0.1, -0.1, -2.9]]), half, 2).tolist() == [
        0,
        7,
        4,
    ]
    assert box_cells(half[None], half, 6).tolist() == [215] and box_cells(-half[None], half, 6).tolist() == [0]
    surface = object_surface(make_object("table").mesh, 0.1, boxes=4)
    size = np.asarray(make_object("table").size) / 2
    np.testing.assert_array_equal(surface.asked.cell[0], box_cells(surface.asked.places[0], size, 4))


@pytest.mark.parametrize("faces", [np.zeros((0, 3), np.int32), np.int32([[0, 0, 0], [1, 1, 2]])])
def test_a_mesh_without_faces_is_refused(faces):
    with pytest.raises(InputError, match="face"):
        object_surface(Mesh(np.eye(3), faces), 0.1)


def test_thresholds_are_moved_to_one_half():
    said = Answer(np.float32([[-1.0, 0.0, 2.0]]), np.float32([[0.5]]), np.zeros((1, 27)), np.zeros((1, OBJECT_POINTS)))
    asked = body_points(free_body("test"), 0.1)
    pair = make_pair(None, None, None, None, 0, None, 8)
    found = pair_contact(lambda *_: said, pair, asked, asked, (float(1 / (1 + np.exp(1.0))), 0.5))
    np.testing.assert_allclose(found.body, 1 / (1 + np.exp(-np.float32([[0.0, 1.0, 3.0]]))), atol=1e-6)
    np.testing.assert_allclose(found.object, 1 / (1 + np.exp(-0.5)), atol=1e-6)
