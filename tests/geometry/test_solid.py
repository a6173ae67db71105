import numpy as np
import pytest
import trimesh

from hoijax.errors import InputError
from hoijax.geometry import Mesh, build_sdf, build_solid_sdf, closed_and_outward, query_sdf
from hoijax.geometry.solid import AIR, INSIDE, SURFACE, flood
from hoijax.interaction import make_solid_template, make_template


def as_mesh(*meshes):
    mesh = trimesh.util.concatenate(meshes)
    return Mesh(np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces))


def box(place=(0, 0, 0), size=(0.4, 0.3, 0.2)):
    mesh = trimesh.creation.box(size)
    mesh.apply_translation(place)
    return mesh


def at(grid, *points):
    return np.asarray(query_sdf(grid, np.asarray(points, float)))


def test_a_closed_surface_has_the_grid_of_its_winding_number():
    ball = as_mesh(trimesh.creation.icosphere(3, 0.3))
    grid, report = build_solid_sdf(ball, resolution=32)
    np.testing.assert_allclose(grid.values, build_sdf(ball, resolution=32).values, atol=1e-12)
    assert (report.parts, report.closed, report.turned) == (1, 1, 0)
    assert report.notes() == []


def test_every_way_to_wind_gives_the_same_grid():
    faces = np.array(box().faces)
    vertices = np.asarray(box().vertices)
    half, away = faces.copy(), faces[:, ::-1]
    half[::2] = half[::2, ::-1]
    want = build_sdf(Mesh(vertices, faces), resolution=24).values
    for wound in (half, away):
        np.testing.assert_allclose(build_solid_sdf(Mesh(vertices, wound), resolution=24)[0].values, want, atol=1e-12)


def test_boxes_of_which_one_faces_inward_both_have_an_inside():
    inward = box((0.6, 0, 0))
    inward.invert()
    grid, report = build_solid_sdf(as_mesh(box(), inward), resolution=48)
    np.testing.assert_allclose(at(grid, (0, 0, 0), (0.6, 0, 0)), -0.1, atol=0.02)
    assert (report.parts, report.closed, report.turned) == (2, 2, 12)


def test_what_lies_within_is_solid_and_said_to_be_hidden():
    frame = box(size=(0.1, 0.1, 0.1))
    shell = as_mesh(box(), frame)
    frame.invert()
    for mesh in (shell, as_mesh(box(), frame)):  # two solids; a box with a sealed cavity
        grid, report = build_solid_sdf(mesh, resolution=40)
        assert at(grid, (0, 0, 0))[0] < -0.04
        assert report.hidden == pytest.approx(0.06 / (0.52 + 0.06), abs=0.02)


def test_a_sheet_is_felt_from_both_sides():
    sheet = Mesh(np.array([[-1.0, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]]), np.array([[0, 2, 1], [0, 3, 2]]))
    grid, report = build_solid_sdf(sheet, resolution=40)
    heights = np.linspace(-0.02, 0.02, 9)
    middle = at(grid, *[(0.1, y, 0.2) for y in heights])
    assert at(grid, (0.1, 0.0, 0.2))[0] < -0.15 * report.thickness
    assert (middle[np.abs(heights) > report.thickness / 2 + 0.001] > 0).all()
    np.testing.assert_allclose(at(grid, (0.1, 0.4, 0.2), (0.1, -0.4, 0.2)), 0.4, atol=1e-6)
    assert report.sheet == pytest.approx(1.0)
    assert "sheets" in report.notes()[0]


def test_an_open_shell_has_an_inside_whichever_way_it_winds():
    # An armchair's seat without a bottom: the flood gets in from below, the shell goes round what is within.
    seat = box(size=(0.5, 0.4, 0.5))
    keep = seat.face_normals[:, 1] > -0.5
    for faces in (seat.faces[keep], seat.faces[keep][:, ::-1]):
        grid, report = build_solid_sdf(Mesh(np.asarray(seat.vertices), np.asarray(faces)), resolution=40)
        assert at(grid, (0, 0.1, 0))[0] == pytest.approx(-0.1, abs=0.02)
        assert at(grid, (0, 0.25, 0))[0] == pytest.approx(0.05, abs=0.01)
        assert report.closed == 0


def test_a_bar_two_samples_wide_is_no_sheet():
    bar = as_mesh(box(size=(0.05, 1.0, 0.05)))
    grid, _ = build_solid_sdf(bar, resolution=49)  # 2.5 cm apart
    np.testing.assert_allclose(grid.values, build_sdf(bar, resolution=49).values, atol=1e-12)


def test_the_flood_goes_round_corners_but_through_no_wall():
    free = np.ones((9, 9, 9), bool)
    free[2:7, 2:7, 2:7] = False
    free[3:6, 3:6, 3:6] = True
    state = flood(free)
    assert state[0, 0, 0] == AIR
    assert state[4, 4, 4] == INSIDE
    assert state[2, 4, 4] == SURFACE
    free[4, 4, 2] = True
    assert flood(free)[4, 4, 4] == AIR
    free[4, 4, 2], free[2, 2, 2] = False, True  # a corner is no way in
    assert flood(free)[4, 4, 4] == INSIDE


def test_bad_meshes_are_refused():
    with pytest.raises(InputError, match="coincide"):
        build_solid_sdf(Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])))


def test_between_closed_parts_that_nearly_touch_there_is_air():
    """A hand goes between the bars of a handle that the flood of a coarse grid does not get through."""
    ring = as_mesh(
        box(size=(0.4, 0.02, 0.02)), box((0, 0.06, 0), (0.4, 0.02, 0.02)),
        box((0.19, 0.03, 0), (0.02, 0.08, 0.02)), box((-0.19, 0.03, 0), (0.02, 0.08, 0.02)),
        box((0, 0.03, 0.2), (0.02, 0.02, 0.5)),
    )  # fmt: skip
    report = closed_and_outward(ring)
    assert report is not None and report.parts == report.closed == 5 and report.turned == 0 and not report.notes()
    template, said = make_solid_template(ring, resolution=32)
    np.testing.assert_array_equal(template.sdf.values, make_template(ring, resolution=32).sdf.values)
    assert said == report


@pytest.mark.parametrize("flaw", ["one face turned", "inside out", "open"])
def test_only_closed_outward_meshes_are_taken_as_they_are(flaw):
    mesh = as_mesh(box(), box((1, 0, 0)))
    assert closed_and_outward(mesh) is not None
    faces = np.array(mesh.faces)
    if flaw == "one face turned":
        faces[3] = faces[3, ::-1]
    elif flaw == "inside out":
        faces[:12] = faces[:12, ::-1]
    else:
        faces = faces[1:]
    assert closed_and_outward(Mesh(mesh.vertices, faces)) is None
