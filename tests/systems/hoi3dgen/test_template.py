"""The template path from pictures to a mesh: a known body and a known box are found where the pictures show them."""

import dataclasses

import jax
import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyParams, free_body, free_body_regions, named_pose, pose_body_compiled
from hoijax.camera import Camera, project
from hoijax.data.objects import random_object
from hoijax.errors import InputError
from hoijax.experiments.hoi3dgen import pictures
from hoijax.geometry import Mesh
from hoijax.optim.fitting import Hypotheses, ObjectFitConfig
from hoijax.systems.hoi3dgen import chain, template
from hoijax.systems.hoi3dgen.fusing import FuseConfig
from hoijax.systems.hoi3dgen.image_to_mesh import ImageToMesh
from hoijax.systems.hoi3dgen.small import view_cameras
from hoijax.systems.hoi3dgen.views import camera_at, render_surface

SIDE = 128
# As in the tests of fits of objects, whose program it then is.
FIT = ObjectFitConfig(
    hypotheses=Hypotheses(yaws=24, tilts=(0.0,), lying=2, free=30), kept=(12, 4), steps=(5, 16), touch=0.0
)
FUSE = FuseConfig(spacing=0.03, resolution=40)
COLORS = ("red", "yellow", "blue")


@pytest.fixture(autouse=True)
def single_precision():
    with jax.enable_x64(False):
        yield


@dataclasses.dataclass(frozen=True)
class Shown:
    """A body that holds a box before it, three pictures of that, and what was drawn."""

    model: object
    params: BodyParams
    box: Mesh
    cut: np.ndarray
    person: np.ndarray  # vertices in the pictures' world
    thing: np.ndarray
    scale: float


@pytest.fixture(scope="module")
def shown():
    with jax.enable_x64(False):
        model = free_body("test")
        pose = {k: np.asarray(v, np.float32) for k, v in named_pose("carry").items()}
        pose["global_orient"] = np.float32([0, 0.2, 0])
        params = BodyParams.from_axis_angle(model, **pose)
        person = np.asarray(pose_body_compiled(model, params).vertices)
        joints = np.asarray(pose_body_compiled(model, params).joints)
        hands = joints[[model.joint_names.index(f"{side}_wrist") for side in ("left", "right")]].mean(axis=0)
        box = random_object("box", 3).mesh
        turn = Rotation.from_rotvec([0, 0.2, 0]).as_matrix()
        thing = np.asarray(box.vertices) @ turn.T + hands + turn @ [0, 0.02, 0.1 - np.asarray(box.vertices)[:, 2].min()]
        both = np.concatenate([person, thing])
        framed = pictures.framed(both)
        surfaces = np.full(len(both), len(pictures.surface_names()) - 1)
        surfaces[: len(person)] = free_body_regions("test")[0]
        faces = np.concatenate([np.asarray(model.faces), np.asarray(box.faces) + len(person)])
        scene = pictures.Scene("", "box", framed, faces, surfaces)
        drawn = pictures.paint(pictures.draw_layers([scene], SIDE)[0], pictures.palette(*COLORS))
        cut = np.stack([chain.cut_out(picture) for picture in drawn])
        scale = float(np.ptp(framed[:, 1]) / np.ptp(both[:, 1]))
        return Shown(model, params, box, cut, framed[: len(person)], framed[len(person) :], scale)


def lifted(shown, body, **changes):
    parts = template.parts_by_color(*([pictures.COLORS[c] for c in part] for part in (("red", "yellow"), ("blue",))))
    lift = template.TemplateMesh(shown.model, shown.box, parts, body, FIT, FUSE)
    return dataclasses.replace(lift, **changes)


@pytest.fixture(scope="module")
def made(shown):
    """From the true body, which stands somewhere else and faces the same way."""
    with jax.enable_x64(False):
        other = shown.params.replace(translation=shown.params.translation + np.float32([3.0, -1.0, 5.0]))
        return lifted(shown, other).lift_parts(shown.cut, view_cameras(SIDE))


def far(a, b):
    """Mean distances from each of two clouds to the other."""
    return cKDTree(a).query(b)[0].mean(), cKDTree(b).query(a)[0].mean()


def test_body_and_box_are_where_the_pictures_show_them(made, shown):
    vertices, labels = made.surface.vertices, made.labels
    assert made.scale == pytest.approx(shown.scale, rel=0.06)
    # A pixel is a hundredth of the person, three centimetres of depth; the grid has no fingers.
    assert max(far(vertices[labels == 0], shown.person)) < 0.07 * shown.scale
    middle = vertices[labels == 1].mean(axis=0) - shown.thing.mean(axis=0)
    assert np.abs(middle[:2]).max() < 0.03 * shown.scale and abs(middle[2]) < 0.12 * shown.scale
    assert made.overlap > 0.8 and made.pose.scale == pytest.approx(1, abs=0.2)
    # The box's own mesh, moved by the pose it is told to have, is the part that is labelled so.
    moved = np.asarray(shown.box.vertices) @ (made.pose.scale * made.pose.rotation).T + made.pose.translation
    eye = np.float32([0, 0, 2])
    placed = eye + made.scale * (moved - eye)
    thing = vertices[labels == 1]
    for low, high in ((placed.min(0), thing.min(0)), (thing.max(0), placed.max(0))):
        assert (low - high < 0.04 * shown.scale).all()
    body = np.asarray(pose_body_compiled(shown.model, made.body).vertices)
    assert max(far(eye + made.scale * (body - eye), vertices[labels == 0])) < 0.06 * shown.scale


def test_the_surface_looks_like_the_front_picture_and_each_part_keeps_its_colours(made, shown):
    surface, camera = made.surface, camera_at(view_cameras(SIDE), 0)
    pixels, _ = project(camera, surface.vertices)
    seen = shown.cut[0, ..., 3] > 127
    row, column = np.asarray(pixels).T[::-1].astype(int)
    near = np.zeros_like(seen)
    near[:-3, :] |= seen[3:]
    near[3:, :] |= seen[:-3]
    near[:, 3:] |= seen[:, :-3]
    near[:, :-3] |= seen[:, 3:]
    assert near[row, column].mean() > 0.97
    blue = surface.colors[:, 2] > surface.colors[:, 0] + 0.15
    assert blue[made.labels == 1].mean() > 0.95 and blue[made.labels == 0].mean() < 0.02
    edges = np.sort(surface.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] % 2 == 0).all()


def test_a_body_is_moved_to_its_outline(shown):
    camera, model = camera_at(view_cameras(SIDE), 1), shown.model
    there = shown.params.replace(translation=shown.params.translation + np.float32([0.2, -0.9, -1.0]))
    drawn = np.asarray(project(camera, np.asarray(pose_body_compiled(model, there).vertices))[0])
    mask = np.zeros((SIDE, SIDE), bool)
    low, high = np.round(drawn.min(axis=0)).astype(int), np.round(drawn.max(axis=0)).astype(int)
    mask[low[1] : high[1], low[0] : high[0]] = True
    found = template.move_to_outline(model, shown.params, mask, camera)
    np.testing.assert_allclose(found.translation, there.translation, atol=0.06)
    np.testing.assert_array_equal(found.rotations, shown.params.rotations)
    again = np.asarray(project(camera, np.asarray(pose_body_compiled(model, found).vertices))[0])
    box = np.array([again.min(axis=0), again.max(axis=0)])
    np.testing.assert_allclose(box.mean(axis=0), (low + high) / 2, atol=0.1)
    assert np.ptp(box[:, 1]) == pytest.approx(high[1] - low[1], abs=0.1)
    with pytest.raises(InputError, match="person has 0 pixels"):
        template.move_to_outline(model, shown.params, np.zeros_like(mask), camera)


def test_views_of_known_parts_are_masked_by_them(made):
    views = render_surface(made.surface, count=4, size=64)
    masks = template.label_masks(views, made.surface.faces, made.labels)
    seen = np.isfinite(views.depth)
    np.testing.assert_array_equal(masks.sum(axis=0), seen)
    # Told by colours it is the same.
    blue = views.images[..., 2] > views.images[..., 0].astype(int) + 30
    assert (blue == masks[1])[seen].mean() > 0.97 and masks[1].mean(axis=(1, 2)).min() < masks[1].mean(
        axis=(1, 2)
    ).max()
    corner = np.zeros(3, int)
    corner[0] = 1
    one = dataclasses.replace(views, face_id=np.zeros_like(views.face_id))
    assert not template.label_masks(one, np.array([[0, 1, 2]]), corner)[1].any()
    assert template.label_masks(one, np.array([[0, 1, 2]]), 1 - corner)[1].all()
    with pytest.raises(InputError, match="render the surface"):
        template.label_masks(dataclasses.replace(views, face_id=None), made.surface.faces, made.labels)


def test_what_cannot_be_placed_is_refused(shown):
    lift, cameras = lifted(shown, shown.params), view_cameras(SIDE)
    assert isinstance(lift, ImageToMesh) and isinstance(lift, template.LabelledLift)
    with pytest.raises(InputError, match="none were given"):
        lift.lift(shown.cut)
    with pytest.raises(InputError, match="3 pictures of .* do not fit 3 cameras"):
        lift.lift(shown.cut, view_cameras(SIDE // 2))
    with pytest.raises(InputError, match="nobody is found"):
        lifted(shown, lambda picture, camera, model: None).lift(shown.cut, cameras)
    with pytest.raises(InputError, match="object's mask has 0 pixels"):
        lifted(shown, shown.params, parts=lambda images: np.zeros(images.shape[:3], bool)).lift(shown.cut, cameras)


def test_who_finds_the_body_is_asked_with_the_front_picture(shown):
    asked = []

    def front(picture, camera, model):
        asked.append((picture, camera, model))

    with pytest.raises(InputError, match="nobody"):
        lifted(shown, front).lift(shown.cut, view_cameras(SIDE))
    picture, camera, model = asked[0]
    np.testing.assert_array_equal(picture, shown.cut[0])
    np.testing.assert_array_equal(camera.T_camera_world, view_cameras(SIDE).T_camera_world[0])
    assert isinstance(camera, Camera) and model is shown.model
