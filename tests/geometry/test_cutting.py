"""Surfaces of fields, and cuts that leave closed parts: against closed forms and trimesh."""

import numpy as np
import pytest
import trimesh

from hoijax.errors import InputError
from hoijax.geometry import SDFGrid, cutting
from hoijax.geometry.isosurface import isosurface, union_grid

AXIS = np.linspace(-1.2, 1.2, 41)
POINTS = np.stack(np.meshgrid(AXIS, AXIS, AXIS, indexing="ij"), axis=-1)
LOW, SPACING = np.full(3, -1.2), AXIS[1] - AXIS[0]


def ball(center, radius):
    return np.linalg.norm(POINTS - center, axis=-1) - radius


def cube(center, half):
    q = np.abs(POINTS - center) - half
    return np.linalg.norm(np.maximum(q, 0), axis=-1) + np.minimum(q.max(axis=-1), 0)


def judged(vertices, faces):
    """Trimesh's word on a mesh as it is."""
    return trimesh.Trimesh(vertices, faces, process=False)


def test_a_ball_has_its_volume_and_area_and_faces_outward():
    mesh = isosurface(union_grid([ball([0.1, 0, 0], 0.8)], LOW, SPACING))
    whole = judged(mesh.vertices, mesh.faces)
    assert whole.is_watertight and whole.is_winding_consistent and whole.euler_number == 2
    assert whole.volume == pytest.approx(4 / 3 * np.pi * 0.8**3, rel=0.01)
    assert whole.area == pytest.approx(4 * np.pi * 0.8**2, rel=0.02)
    np.testing.assert_allclose(np.linalg.norm(mesh.vertices - [0.1, 0, 0], axis=1), 0.8, atol=0.1 * SPACING)
    assert (whole.area_faces > 1e-8).all()


def test_any_field_has_a_closed_surface_even_at_the_grids_border():
    noise = np.random.default_rng(0).normal(size=(9, 8, 7))
    mesh = isosurface(SDFGrid(values=noise, origin=np.zeros(3), spacing=np.float64(0.1)))
    whole = judged(mesh.vertices, mesh.faces)
    assert whole.is_watertight and whole.is_winding_consistent and whole.volume > 0
    assert cutting.is_watertight(mesh.faces)
    higher = isosurface(SDFGrid(values=noise, origin=np.zeros(3), spacing=np.float64(0.1)), level=0.5)
    assert judged(higher.vertices, higher.faces).volume > whole.volume


@pytest.mark.parametrize(("fill", "said"), [(1.0, "above"), (-1.0, "below"), (np.nan, "not finite")])
def test_fields_without_a_surface_are_refused(fill, said):
    with pytest.raises(InputError, match=said):
        isosurface(SDFGrid(values=np.full((4, 4, 4), fill), origin=np.zeros(3), spacing=np.float64(1)))


def test_a_fused_cube_and_ball_come_apart_closed_and_together_fill_what_they_were():
    fields = [cube([-0.45, 0, 0], 0.4), ball([0.45, 0, 0], 0.6)]
    mesh = isosurface(union_grid(fields, LOW, SPACING))
    labels = (mesh.vertices[:, 0] > 0.1).astype(int)  # a plane through the ball
    of_faces = (labels[mesh.faces].sum(axis=1) >= 2).astype(int)
    parts = cutting.split_surface(mesh.vertices, mesh.faces, of_faces)
    bodies = [judged(part.vertices, part.faces) for part in parts]
    for part, whole in zip(parts, bodies):
        assert part.closed and whole.is_watertight and whole.is_winding_consistent and whole.volume > 0
        np.testing.assert_array_equal(part.vertices[part.source >= 0], mesh.vertices[part.source[part.source >= 0]])
        assert (part.source[part.faces[~part.capped]] >= 0).all()
    slab = np.pi * (0.36 * 0.15 - (0.5**3 - 0.35**3) / 3)  # of the ball, between the cube's face and the plane
    assert bodies[0].volume == pytest.approx(0.8**3 + slab, rel=0.03)
    assert sum(b.volume for b in bodies) == pytest.approx(judged(mesh.vertices, mesh.faces).volume, rel=1e-5)
    # The caps are one surface: about the disc in which the plane cuts the ball.
    caps = [w.area_faces[p.capped].sum() for p, w in zip(parts, bodies)]
    assert caps[0] == pytest.approx(caps[1]) and caps[0] == pytest.approx(np.pi * (0.6**2 - 0.35**2), rel=0.15)
    for part in parts:
        assert np.abs(part.vertices[part.source < 0][:, 0] - 0.1).max() < SPACING


def test_a_ring_cut_in_half_has_two_caps_and_a_hole_that_touches_itself_is_closed():
    x, y, z = np.moveaxis(POINTS, -1, 0)
    mesh = isosurface(union_grid([np.hypot(np.hypot(x, y) - 0.8, z) - 0.25], LOW, SPACING))
    of_faces = (mesh.vertices[mesh.faces].mean(axis=1)[:, 0] > 0.01).astype(int)
    for part in cutting.split_surface(mesh.vertices, mesh.faces, of_faces):
        whole = judged(part.vertices, part.faces)
        assert part.closed and whole.is_watertight and whole.euler_number == 2
    # Two faces that touch in one corner are taken out: one border through that corner twice.
    faces = np.asarray(mesh.faces)
    corner = faces[0, 0]
    around = np.flatnonzero((faces == corner).any(axis=1))
    apart = next(f for f in around[1:] if len(set(faces[f]) & set(faces[around[0]])) == 1)
    opened = np.delete(faces, [around[0], apart], axis=0)
    assert len(cutting.border_loops(opened)) == 2
    closed = cutting.close_holes(mesh.vertices, opened)
    assert closed.closed and closed.capped.sum() >= 6 and cutting.is_watertight(closed.faces)
    # Wherever the walk along the border begins, also away from the corner.
    rim = np.flatnonzero(np.isin(opened, cutting.border_edges(opened)).sum(axis=1) >= 2)
    for first in rim:
        loops = cutting.border_loops(np.roll(opened, -first, axis=0))
        assert sorted(len(loop) for loop in loops) == [3, 3]


def test_random_labels_leave_closed_parts():
    mesh = isosurface(union_grid([ball([0, 0, 0], 0.9)], LOW, SPACING))
    rng = np.random.default_rng(1)
    labels = (np.sin(4 * mesh.vertices @ rng.normal(size=(3, 3))).sum(axis=1) > 0).astype(int)
    of_faces = (labels[mesh.faces].sum(axis=1) >= 2).astype(int)
    for part in cutting.split_surface(mesh.vertices, mesh.faces, of_faces):
        assert part.closed and judged(part.vertices, part.faces).is_watertight


def test_open_seamed_and_broken_surfaces():
    box = trimesh.creation.box()
    open_box = np.asarray(box.faces)[box.face_normals[:, 0] < 0.9]
    assert not cutting.is_watertight(open_box) and cutting.is_watertight(box.faces)
    closed = cutting.close_holes(box.vertices, open_box)
    assert closed.closed and judged(closed.vertices, closed.faces).volume == pytest.approx(1.0)
    seamed = np.asarray(box.vertices)[box.faces].reshape(-1, 3)
    alone = np.arange(36).reshape(-1, 3)
    assert not cutting.is_watertight(alone) and cutting.is_watertight(cutting.weld(seamed, alone))
    turned = np.asarray(box.faces).copy()
    turned[0] = turned[0, ::-1]
    assert not cutting.is_watertight(turned)
    assert not cutting.is_watertight(np.zeros((0, 3), int))
    empty = cutting.split_surface(box.vertices, box.faces, np.zeros(12, int))[1]
    assert not empty.closed and not len(empty.faces)


def test_small_regions_are_found():
    mesh = isosurface(union_grid([ball([0, 0, 0], 0.9)], LOW, SPACING))
    labels = (mesh.vertices[:, 0] > 0).astype(int)
    spot = np.linalg.norm(mesh.vertices - [-0.9, 0, 0], axis=1) < 0.1
    labels[spot] = 1
    np.testing.assert_array_equal(cutting.small_components(mesh.faces, labels, 0.02), spot)
    assert not cutting.small_components(mesh.faces, labels, 1e-5).any()
