"""What a mesh shows: levels, seats, backrests, handles, rods, against shapes of known measure."""

import numpy as np
import pytest
import trimesh

from hoijax.data.objects import make_object
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.systems.interactanything.relations import Box, measure
from hoijax.systems.interactanything.relations.places import WORDS, places, shows


def mesh_of(*parts):
    mesh = trimesh.util.concatenate(parts)
    return Mesh(np.asarray(mesh.vertices), np.asarray(mesh.faces))


def box(size, at=(0, 0, 0)):
    return trimesh.creation.box(size, trimesh.transformations.translation_matrix(at))


def turned(mesh, quarter):
    a = quarter * np.pi / 2
    c, s = round(np.cos(a)), round(np.sin(a))
    return Mesh(mesh.vertices @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T, mesh.faces)


def within(box, lower, upper, near=0.03):
    return np.allclose(box.lower, lower, atol=near) and np.allclose(box.upper, upper, atol=near)


def test_a_box_has_one_level_its_top():
    shape = measure(mesh_of(box((1.2, 0.74, 0.8), (3, 5, -2))))
    (level,) = shape.levels
    assert level.height == pytest.approx(0.74) and level.area == pytest.approx(0.96, rel=0.04)
    assert within(level.box, (2.4, 5.37, -2.4), (3.6, 5.37, -1.6))
    assert shape.size == pytest.approx([1.2, 0.74, 0.8]) and shape.seat == level
    assert shape.backrest is None and not shape.handles and not shape.round and not shape.slender


def test_a_shelf_under_a_top_is_no_level_and_a_slope_neither():
    table = mesh_of(box((1, 0.04, 1), (0, 0.7, 0)), box((0.9, 0.04, 0.9), (0, 0.3, 0)))
    assert [round(x.height, 2) for x in measure(table).levels] == [0.44]
    roof = trimesh.creation.box((1, 0.02, 1))
    roof.apply_transform(trimesh.transformations.rotation_matrix(np.radians(40), [1, 0, 0]))
    assert not measure(mesh_of(roof)).levels


def test_which_way_faces_wind_and_in_which_units_they_are_does_not_count():
    chair = make_object("chair").mesh
    want = measure(chair)
    flipped = measure(Mesh(chair.vertices, chair.faces[:, ::-1]))
    assert flipped.seat.height == pytest.approx(want.seat.height, abs=1e-3)
    assert within(flipped.backrest, want.backrest.lower, want.backrest.upper, 1e-3)
    millimetres = measure(Mesh(chair.vertices * 1000, chair.faces), 1e-3)
    assert millimetres.seat.height == pytest.approx(want.seat.height)
    np.testing.assert_allclose(millimetres.backrest.lower, want.backrest.lower, atol=1e-9)


@pytest.mark.parametrize(("quarter", "side"), [(0, (0, -1)), (1, (-1, 0)), (2, (0, 1)), (3, (1, 0))])
def test_a_backrest_is_found_on_every_side(quarter, side):
    shape = measure(turned(make_object("chair").mesh, quarter))
    assert shape.seat.height == pytest.approx(0.45, abs=0.01)
    middle = (np.array(shape.backrest.lower) + shape.backrest.upper) / 2
    assert np.dot(middle[[0, 2]], side) > 0.15 and abs(np.dot(middle[[0, 2]], side[::-1])) < 0.05
    assert shape.backrest.size[1] == pytest.approx(0.44, abs=0.03)


def test_what_rises_on_both_sides_is_no_backrest():
    crib = mesh_of(box((0.5, 0.05, 1.2), (0, 0.4, 0)), *[box((0.5, 0.8, 0.05), (0, 0.4, z)) for z in (-0.6, 0.6)])
    assert measure(crib).seat is not None and measure(crib).backrest is None
    narrow = mesh_of(box((0.6, 0.45, 0.5), (0, 0.225, 0)), box((0.1, 0.4, 0.05), (0, 0.65, -0.22)))
    assert measure(narrow).backrest is None  # a post is no backrest


@pytest.mark.parametrize(
    "corners",
    [[[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 0, 0], [1, 0, 0], [0, 0, 1]], [[0, 0, 0], [1, 1e-6, 0], [2, 0, 1e-6]],
     [[1e6, 1e6, 1e6], [1e6 + 1, 1e6, 1e6], [1e6, 1e6, 1e6 + 1]], [[0, 0, 0], [1e-4, 0, 0], [0, 0, 1e-4]]],
)  # fmt: skip
def test_any_triangle_can_be_measured(corners):
    shape = measure(Mesh(np.array(corners), np.array([[0, 1, 2]])))
    for part in WORDS:
        for found in places(shape, part):
            assert np.isfinite([found.lower, found.upper]).all() and (found.size >= 0).all()


def test_armrests_and_what_has_none():
    sofa = measure(make_object("sofa").mesh)
    assert sofa.backrest is not None and len(sofa.armrests) == 2
    ends = sorted((a.lower[0] + a.upper[0]) / 2 for a in sofa.armrests)
    assert ends[0] < -0.6 and ends[1] > 0.6
    assert [a.upper[1] - sofa.box.lower[1] for a in sofa.armrests] == pytest.approx([0.62] * 2, abs=0.02)
    assert not measure(make_object("chair").mesh).armrests
    stool = measure(make_object("stool").mesh)
    assert stool.seat is not None and stool.backrest is None


def test_a_handle_is_the_bar_beyond_an_opening():
    # A block with a hoop on top: posts at x = +-0.1, a bar 3 cm thick between them.
    posts = [box((0.03, 0.12, 0.03), (x, 0.26, 0)) for x in (-0.1, 0.1)]
    shape = measure(mesh_of(box((0.4, 0.4, 0.2)), *posts, box((0.23, 0.03, 0.03), (0, 0.335, 0))))
    assert within(shape.handles[0], (-0.09, 0.32, -0.015), (0.09, 0.35, 0.015), 0.015)
    cup = measure(make_object("cup").mesh)
    assert cup.handles[0].lower[0] > 0.04  # its ear is at +x
    thick = mesh_of(box((0.4, 0.1, 0.2)), *[box((0.1, 0.12, 0.1), (x, 0.1, 0)) for x in (-0.15, 0.15)],
                    box((0.4, 0.1, 0.1), (0, 0.2, 0)))  # fmt: skip
    assert not measure(thick).handles
    gap = mesh_of(*[box((0.03, 0.3, 0.03), (x, 0, 0)) for x in (-0.35, 0.35)],
                  *[box((0.7, 0.03, 0.03), (0, y, 0)) for y in (-0.15, 0.15)])  # fmt: skip
    assert not measure(gap).handles  # a frame seven tenths of a metre wide
    deep = mesh_of(*[box((0.03, 0.1, 0.1), (x, 0, 0)) for x in (-0.1, 0.1)],
                   *[box((0.23, 0.03, 0.1), (0, y, 0)) for y in (-0.06, 0.06)])  # fmt: skip
    assert not measure(deep).handles  # a sleeve: no hand closes round what is a decimetre deep
    walls = [box((0.01, 0.2 + 2 * y, 0.01), (sign * x, 0, 0)) for x, y in ((0.1, 0), (0.12, 0.02)) for sign in (-1, 1)]
    walls += [box((0.2 + 2 * x, 0.01, 0.01), (0, sign * y, 0)) for x, y in ((0, 0.1), (0.02, 0.12)) for sign in (-1, 1)]
    inner = [b for b in measure(mesh_of(*walls)).handles if b.size.max() < 0.22]
    assert not inner  # no finger goes between two walls a centimetre apart
    two = mesh_of(*[box((0.03, 0.4, 0.03), (x, 0, 0)) for x in (-0.15, 0.15)],
                  *[box((0.3, 0.03, 0.03), (0, y, 0)) for y in (-0.2, -0.1, 0.2)])  # fmt: skip
    between = [b for b in measure(two).handles if b.lower[1] > -0.12 and b.upper[1] < -0.08]
    assert len(measure(two).handles) == 2 and not between  # the rail between two openings is no handle


def test_rods_and_balls():
    bat = measure(make_object("bat").mesh)
    assert bat.slender and bat.handles[-1] == bat.box
    racket = measure(make_object("racket").mesh)
    assert not racket.slender and racket.handles[-1].upper[1] < 0.05 and racket.handles[-1].size[1] > 0.2
    assert measure(make_object("ball").mesh).round and not measure(mesh_of(box((1, 1, 1)))).round
    egg = trimesh.creation.icosphere(3)
    egg.apply_scale([1, 1.4, 1])
    assert not measure(mesh_of(egg)).round


@pytest.mark.parametrize(
    ("vertices", "faces", "words"),
    [
        (np.zeros((9, 3)), np.zeros((0, 3), int), "9 vertices and no faces"),
        (np.zeros((3, 3)), np.array([[0, 1, 2]]), "no area"),
        (np.eye(3), np.array([[0, 1, 3]]), "vertex 3 of a mesh with 3 vertices"),
        (np.array([[0, 0, 0], [1, 0, np.nan], [0, 1, 0]]), np.array([[0, 1, 2]]), "not finite"),
        (np.zeros((3, 2)), np.array([[0, 1, 2]]), "wanted vertices"),
    ],
)
def test_meshes_without_a_surface_are_named(vertices, faces, words):
    with pytest.raises(InputError, match=words):
        measure(Mesh(vertices, faces))


def test_words_of_parts_are_places_on_the_mesh():
    chair = measure(make_object("chair").mesh)
    (seat,) = places(chair, "seat")
    assert seat.upper[1] - chair.box.lower[1] == pytest.approx(0.45, abs=0.01) and seat.size[1] < 0.05
    assert places(chair, "backrest") == (chair.backrest,)
    assert places(chair, "front")[0].lower[2] > 0.1 and places(chair, "back")[0].upper[2] < -0.1
    assert places(chair, "left side")[0].lower[0] > 0.1 and places(chair, "right")[0].upper[0] < -0.1
    left, right = places(chair, "sides")
    assert left.upper[0] < 0 < right.lower[0] and left.size[2] == pytest.approx(chair.size[2])
    keyboard = Box((0.0, 0, 0), (1.4, 0.1, 0.3))
    wide = places(measure(mesh_of(box(keyboard.size))), "sides")
    assert wide[0].upper[2] < 0 < wide[1].lower[2]  # two hands hold a long thing across
    assert places(chair, "bottom")[0].upper[1] < -0.2 and places(chair, "legs")[0].size[1] == pytest.approx(
        0.356, abs=0.01
    )
    assert places(chair, "pedals") == places(chair, "legs") and places(chair, "wheels") == places(chair, "bottom")
    assert places(chair, "gizmo") == (chair.box,) and places(chair, "body") == (chair.box,)
    (top,) = places(measure(make_object("bed").mesh), "mattress")
    assert top.size[2] > 1.8 and top.upper[1] < 0.1  # the headboard rises behind it to 0.44
    (top,) = places(measure(make_object("table").mesh), "top")
    assert top.upper[1] == pytest.approx(0.37, abs=0.01) and top.size[1] < 0.05
    car = measure(mesh_of(box((1.8, 0.7, 4.3), (0, 0.55, 0)), box((1.6, 0.6, 2.2), (0, 1.2, -0.4))))
    (hood,) = places(car, "hood")
    assert hood.upper[1] == pytest.approx(0.9, abs=0.01) and 0.6 < hood.lower[2] < hood.upper[2] < 2.2
    assert places(car, "roof")[0].upper[1] == pytest.approx(1.5, abs=0.01)
    assert shows(chair, "backrest") and not shows(chair, "armrest") and shows(chair, "gizmo")
    assert set(WORDS.values()) >= {"seat", "top", "handle", "sides"}
    assert not shows(measure(make_object("stool").mesh), "backrest")


def test_a_side_is_what_one_sees_and_not_what_sticks_out():
    screen = measure(make_object("monitor", width=0.75).mesh)
    front, back = places(screen, "screen")[0], places(screen, "back")[0]
    assert front.size[0] > 0.7 and front.size[1] > 0.4 and front.upper[2] < 0.07  # the panel, not the foot's edge
    assert back.size[0] > 0.7 and back.lower[2] > -0.07
    ends = places(screen, "sides")
    assert ends[0].upper[0] < -0.2 and ends[1].lower[0] > 0.2  # two hands reach to both ends
    block = measure(mesh_of(box((1.0, 0.5, 0.4))))
    np.testing.assert_allclose(block.faces[2][1].size, [1.0, 0.5, 0.08], atol=1e-9)
    np.testing.assert_allclose(block.faces[0][0].upper, [-0.3, 0.25, 0.2], atol=1e-9)


def test_a_saddle_is_a_level_however_wide_the_handlebar():
    wide = measure(mesh_of(box((0.3, 0.1, 0.6), (0, 0.75, -0.3)), box((0.05, 0.8, 1.9), (0, 0.4, 0)),
                           box((1.4, 0.05, 0.05), (0, 1.0, 0.9))))  # fmt: skip
    assert wide.seat is not None and wide.seat.height == pytest.approx(0.8, abs=0.02)
    assert wide.seat.box.size[0] == pytest.approx(0.3, abs=0.06)
