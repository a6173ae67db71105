"""Labels of a fused cube and ball, whose parts are known, from masks of eight views; and what masks may lack."""

import numpy as np
import pytest
import trimesh

from hoijax.camera import Camera
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.geometry.isosurface import isosurface, union_grid
from hoijax.systems.hoi3dgen import segmentation as seg
from hoijax.systems.hoi3dgen import views
from hoijax.viz.scene import NamedMesh

SIZE = 112
LOW, SPACING, COUNT = np.array([-1.1, -0.7, -0.7]), 0.06, (38, 24, 24)


@pytest.fixture(scope="module")
def case():
    """A fused cube (the person) and ball (the object), the truth of its vertices, its views and their masks."""
    axes = [LOW[k] + SPACING * np.arange(COUNT[k]) for k in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    q = np.abs(points - [-0.5, 0, 0]) - 0.45
    cube = np.linalg.norm(np.maximum(q, 0), axis=-1) + np.minimum(q.max(axis=-1), 0)
    ball = np.linalg.norm(points - [0.5, 0, 0], axis=-1) - 0.58
    mesh = isosurface(union_grid([cube, ball], LOW, SPACING))
    vertices = np.asarray(mesh.vertices)
    truth = (np.abs(np.linalg.norm(vertices - [0.5, 0, 0], axis=1) - 0.58) < 0.02).astype(int)
    truth[vertices[:, 0] < -0.055] = 0
    surface = NamedMesh("surface", vertices, mesh.faces)
    ring = views.render_surface(surface, size=SIZE)
    return surface, truth, ring, shown(ring, truth, mesh.faces)


def shown(ring, labels, faces):
    """Masks of the faces of either label as the views see them."""
    of_face = (labels[np.asarray(faces)].sum(axis=1) >= 2).astype(int)
    face = np.maximum(ring.face_id, 0)
    return np.stack([(ring.face_id >= 0) & (of_face[face] == part) for part in (0, 1)])


def accuracy(result, truth):
    return float((result.labels == truth).mean())


def test_true_masks_give_true_labels_and_closed_parts(case):
    surface, truth, ring, masks = case
    result = seg.segment(surface, ring, masks)
    assert accuracy(result, truth) > 0.99
    for part, whole in zip(result.parts, (0.9**3, 4 / 3 * np.pi * 0.58**3)):
        judge = trimesh.Trimesh(part.vertices, part.faces, process=False)
        assert part.closed and judge.is_watertight and judge.volume == pytest.approx(whole, rel=0.08)
    assert [m.name for m in result.named()] == ["human", "object"]
    colors = np.random.default_rng(0).random(surface.vertices.shape).astype(np.float32)
    human = result.named(colors)[0]
    own = result.parts[0].source >= 0
    np.testing.assert_array_equal(human.colors[own], colors[result.parts[0].source[own]])


def test_the_order_of_views_does_not_matter(case):
    surface, _truth, ring, masks = case
    order = np.array([3, 0, 7, 5, 1, 6, 2, 4])
    cameras = Camera(ring.cameras.intrinsics[order], ring.cameras.T_camera_world[order], ring.cameras.image_size)
    other = views.SurfaceViews(ring.images[order], ring.depth[order], cameras, ring.frame)
    np.testing.assert_array_equal(
        seg.segment(surface, other, masks[:, order]).labels, seg.segment(surface, ring, masks).labels
    )


@pytest.mark.parametrize("kind", ["pixels", "views"])
def test_a_fifth_of_the_masks_may_be_wrong(case, kind):
    surface, truth, ring, masks = case
    wrong = masks.copy()
    if kind == "pixels":
        flip = np.random.default_rng(0).random(masks.shape[1:]) < 0.2
        wrong = np.where(flip, masks[::-1], masks)
    else:
        wrong[:, [1, 6]] = masks[::-1, [1, 6]]
    assert accuracy(seg.segment(surface, ring, wrong), truth) > 0.95


def test_masks_may_be_missing(case):
    surface, truth, ring, masks = case
    given = np.ones((2, 8), bool)
    given[0, 2] = given[1, 5] = False
    given[:, 7] = False
    left = masks & given[..., None, None]
    assert accuracy(seg.segment(surface, ring, left, given), truth) > 0.98
    filled = seg.masks_of_all(left, given, ring)
    np.testing.assert_array_equal(filled[0, 2], (ring.face_id[2] >= 0) & ~masks[1, 2])
    assert not filled[:, 7].any()
    # One mask of one view, of the object alone.
    alone = np.zeros((2, 8), bool)
    alone[1, 0] = True
    assert accuracy(seg.segment(surface, ring, masks & alone[..., None, None], alone), truth) > 0.92


def test_what_no_view_sees_takes_its_neighbours_label(case):
    surface, truth, _ring, _masks = case
    mesh = Mesh(surface.vertices, surface.faces)
    known = surface.vertices[:, 1] > 0.25  # the upper part
    labels = np.where(known, truth, 7)
    found = seg.spread_labels(mesh, labels, known)
    np.testing.assert_array_equal(found[known], truth[known])
    assert (found == truth).mean() > 0.97
    # A crease holds better than none: without its cost the border wanders.
    flat = seg.spread_labels(mesh, labels, known, config=seg.VoteConfig(crease=0.0))
    assert (flat == truth).mean() <= (found == truth).mean()
    # A piece apart takes the label of what is nearest in space.
    away = trimesh.creation.icosphere(1, 0.05)
    joined = Mesh(
        np.concatenate([surface.vertices, away.vertices + [1.2, 0, 0]]).astype(np.float32),
        np.concatenate([surface.faces, away.faces + len(truth)]),
    )
    more = np.zeros(len(away.vertices), bool)
    far = seg.spread_labels(joined, np.append(labels, np.full(len(more), 7)), np.append(known, more))
    assert (far[len(truth) :] == 1).all()
    with pytest.raises(InputError, match="no view sees"):
        seg.spread_labels(mesh, labels, np.zeros(len(truth), bool))


def test_masks_are_carried_from_one_view_to_all(case):
    surface, _truth, ring, masks = case
    carried = seg.track_masks(surface, ring, masks[:, 0], 0)
    assert (carried & masks).sum() > 0.9 * masks.sum()
    assert not (carried[0] & carried[1]).any()


def test_masks_of_known_colours(case):
    surface, truth, _, masks = case
    colors = np.where(truth[:, None] == 0, [[0.8, 0.2, 0.2]], [[0.2, 0.4, 0.9]])
    ring = views.render_surface(NamedMesh("surface", surface.vertices, surface.faces, colors), size=SIZE)
    found = seg.masks_from_colors(ring.images, [(0.8, 0.2, 0.2)], [(0.2, 0.4, 0.9)])
    assert (found & masks).sum() > 0.97 * masks.sum() and (found & ~masks).sum() < 0.03 * masks.sum()
    with pytest.raises(InputError, match="at least one colour"):
        seg.masks_from_colors(ring.images, [], [(0, 0, 0)])


def test_point_clouds_lie_on_their_part_and_apart(case):
    surface, _, ring, masks = case
    human, thing = seg.part_clouds(ring, masks, gap=0.03)
    q = np.abs(human - [-0.5, 0, 0]) - 0.45
    assert np.abs(np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0)).max() < 0.03
    assert np.abs(np.linalg.norm(thing - [0.5, 0, 0], axis=1) - 0.58).max() < 0.03
    # The gap is what keeps clouds apart that are not eroded.
    apart = seg.part_clouds(ring, masks, erode=0, gap=0.03)
    near = np.linalg.norm(apart[0][:, None] - apart[1][None, ::5], axis=-1).min()
    assert near > 0.03 * np.ptp(surface.vertices[:, 0]) * 0.99
    more = seg.part_clouds(ring, masks, erode=0, gap=0.0)
    assert len(more[0]) > len(human) and len(more[0]) == masks[0].sum()
    with pytest.raises(InputError, match="show nothing"):
        seg.part_clouds(ring, np.stack([masks[0], np.zeros_like(masks[1])]))


def test_small_islands_go_with_what_surrounds_them(case):
    surface, truth, ring, _masks = case
    spot = np.linalg.norm(surface.vertices - [0.5, 0, 0.58], axis=1) < 0.1
    labels = np.where(spot, 0, truth)
    spotted = shown(ring, labels, surface.faces)
    plain = seg.VoteConfig(smooth=0, window=1)
    assert (seg.segment(surface, ring, spotted, config=plain).labels[spot] == 1).all()
    kept = seg.segment(surface, ring, spotted, config=seg.VoteConfig(smooth=0, window=1, smallest=0.0))
    assert (kept.labels[spot] == 0).mean() > 0.5


def test_seams_are_no_borders(case):
    surface, truth, ring, masks = case
    alone = NamedMesh("surface", surface.vertices[surface.faces].reshape(-1, 3),
                      np.arange(3 * len(surface.faces)).reshape(-1, 3))  # fmt: skip
    result = seg.segment(alone, ring, masks)
    assert all(part.closed for part in result.parts)
    assert (result.labels == truth[surface.faces].reshape(-1)).mean() > 0.98


def test_masks_that_say_nothing_are_refused(case):
    surface, _, ring, masks = case
    with pytest.raises(InputError, match="no mask shows anything"):
        seg.segment(surface, ring, np.zeros_like(masks))
    with pytest.raises(InputError, match="the views want"):
        seg.segment(surface, ring, masks[:, :7])
