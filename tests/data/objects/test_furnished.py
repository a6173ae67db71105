"""Shipped shapes as objects of the catalogue: parts where a person would look for them, one split for each."""

import numpy as np
import pytest

from hoijax.data.objects import CATEGORIES, random_object, real_numbers, real_object
from hoijax.data.objects.furnished import KINDS, LEFT_OUT
from hoijax.data.objects.real import shipped
from hoijax.geometry import winding_number_host

SHAPES = [(c, split, n) for c in KINDS for split in ("train", "test") for n in real_numbers(c, split)]


def test_what_fits_and_which_split():
    split_of = {shape.number: shape.split for shape in shipped()}
    assert len(SHAPES) == len({n for _, _, n in SHAPES}) >= 35
    assert all(split_of[n] == split for _, split, n in SHAPES)
    assert set(KINDS) <= set(CATEGORIES)
    assert not {int(name[-3:]) for name in LEFT_OUT} & {n for _, _, n in SHAPES}
    assert real_numbers("bicycle", "train") == () and 26 in real_numbers("chair", "train")


@pytest.mark.parametrize(("category", "split", "number"), SHAPES)
def test_a_shape_is_an_object_like_the_drawn_ones(category, split, number):
    obj = random_object(category, -number)
    assert obj is real_object(category, number) and not obj.drawn and obj.category == category
    vertices, faces, labels = np.asarray(obj.mesh.vertices), np.asarray(obj.mesh.faces), obj.vertex_labels
    np.testing.assert_allclose(vertices.max(axis=0), np.array(obj.size) / 2, atol=1e-9)
    np.testing.assert_allclose(vertices.min(axis=0), -np.array(obj.size) / 2, atol=1e-9)
    assert (labels[faces] == obj.part_labels[:, None]).all() and set(labels) == set(range(len(obj.part_names)))
    # The surface is the shape's own, doubled vertices and the racket's turn apart.
    shape = next(s for s in shipped() if s.number == number)
    corners = np.asarray(shape.mesh.vertices, float)[np.asarray(shape.mesh.faces)]

    def sides(c):
        return np.sort(np.linalg.norm(c - np.roll(c, 1, axis=1), axis=2), axis=1)

    np.testing.assert_allclose(sides(vertices[faces]), sides(corners), atol=1e-6)
    drawn = random_object(category, 0)
    wanted = {"seat", "back", "top", "mattress", "body", "grip"} & set(drawn.part_names)
    assert wanted <= set(obj.part_names)


@pytest.mark.parametrize(("category", "part", "low", "high"), [
    ("chair", "seat", 0.38, 0.56), ("bench", "seat", 0.35, 0.56), ("table", "top", 0.68, 1.03),
    ("desk", "top", 0.68, 0.8), ("bed", "mattress", 0.4, 0.7), ("sofa", "seat", 0.25, 0.56),
])  # fmt: skip
def test_what_bears_is_where_people_sit_and_lean(category, part, low, high):
    for number in real_numbers(category, "train") + real_numbers(category, "test"):
        obj = real_object(category, number)
        mine = np.asarray(obj.mesh.vertices)[obj.vertex_labels == obj.part_names.index(part)]
        top = mine[:, 1].max() - obj.bottom
        assert low < top < high, number
        if part == "seat" and "back" in obj.part_names:
            back = np.asarray(obj.mesh.vertices)[obj.vertex_labels == obj.part_names.index("back")]
            assert back[:, 2].mean() < mine[:, 2].mean() and back[:, 1].max() > mine[:, 1].max() + 0.2


def test_a_cup_and_a_racket_have_their_handles():
    cup = real_object("cup", 89)
    handle = np.asarray(cup.mesh.vertices)[cup.vertex_labels == cup.part_names.index("handle")]
    body = np.asarray(cup.mesh.vertices)[cup.vertex_labels == cup.part_names.index("body")]
    assert handle[:, 0].mean() > body[:, 0].max() - 0.02 and np.ptp(body[:, 0]) < 1.06 * np.ptp(body[:, 2])
    racket = real_object("racket", 135)
    assert racket.size[1] == max(racket.size) and racket.size[0] < 0.1
    grip = np.asarray(racket.mesh.vertices)[racket.vertex_labels == racket.part_names.index("grip")]
    head = np.asarray(racket.mesh.vertices)[racket.vertex_labels == racket.part_names.index("head")]
    assert grip[:, 1].max() < 0 and np.ptp(grip[:, 2]) < 0.3 * np.ptp(head[:, 2])


def test_turning_a_racket_keeps_its_hand():
    """A mirror image would be inside out."""
    obj, shape = real_object("racket", 135), next(s for s in shipped() if s.number == 135)
    a, b, c = np.moveaxis(np.asarray(obj.mesh.vertices)[np.asarray(obj.mesh.faces)], 1, 0)
    d, e, f = np.moveaxis(np.asarray(shape.mesh.vertices, float)[np.asarray(shape.mesh.faces)], 1, 0)
    turned = np.einsum("ij,ij->", a - a.mean(0), np.cross(b - a, c - a))
    assert np.isclose(turned, np.einsum("ij,ij->", d - d.mean(0), np.cross(e - d, f - d)), rtol=1e-3)
    ball = real_object("ball", 78)
    assert winding_number_host(np.zeros((1, 3)), ball.mesh)[0] > 0.9


def test_what_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no shipped chair has the number 27"):
        random_object("chair", -27)
    with pytest.raises(ValueError, match="no shipped bicycle"):
        random_object("bicycle", -26)
