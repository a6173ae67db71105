"""One picture fitted from end to end: what the networks would say comes from a drawn truth, the fits themselves run."""

import pathlib
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from PIL import Image, ImageDraw
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyParams, free_body, named_pose, pose_body
from hoijax.jobs import objects, photo_fit, photo_people
from hoijax.jobs.photo_fit import PhotoFitter
from hoijax.jobs.photographs import Photograph
from hoijax.nets.blaze import Person, Region
from hoijax.optim.fitting import MEDIAPIPE_BODY, Hypotheses, ObjectFitConfig, object_shape, place_points, point_table

HEIGHT, WIDTH, FOCAL = 320, 360, 400.0
CENTRE = np.array([WIDTH / 2, HEIGHT / 2])
OFF = 3.0
"""Pixels by which the landmarks lie beside the truth, all to one side: what the outline mends."""
BETAS = np.float32([0.5, -1.0, 1.5, 0, 0, 0, 0, 0, 0, 0])
SIZE = 1.08
"""Of the object over its mesh's, which the floor under the person tells."""
CONFIG = ObjectFitConfig(
    hypotheses=Hypotheses(yaws=24, tilts=(0.0,), lying=2, free=30), kept=(12, 4), steps=(5, 16), touch=0.0
)
"""That of `tests/optim/fitting/test_objects.py`, so that one program serves both."""


def project(points):
    return points[:, :2] / points[:, 2:] * FOCAL + CENTRE


def covered(vertices, faces):
    """Mask (H, W) by painting every triangle, four times as fine."""
    image = Image.new("L", (4 * WIDTH, 4 * HEIGHT))
    draw = ImageDraw.Draw(image)
    for corners in 4 * project(vertices)[faces]:
        draw.polygon([tuple(map(float, corner)) for corner in corners], fill=255)
    return np.asarray(image.resize((WIDTH, HEIGHT), Image.Resampling.BOX)) > 127


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """A stout person who stands three metres away, and half behind them, on their floor, a thing without symmetry."""
    model = free_body("test")
    pose = named_pose("stand") | {"betas": BETAS, "transl": np.float32([-0.3, 0.05, 3.0])}
    turn = Rotation.from_matrix(np.diag([1.0, -1, -1])) * Rotation.from_rotvec([0, 0.4, 0])
    params = BodyParams.from_axis_angle(model, **(pose | {"global_orient": turn.as_rotvec().astype(np.float32)}))
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)
    body = np.asarray(pose_body(model, params).vertices)
    parts = [((0.6, 0.1, 0.4), (0, 0.05, 0)), ((0.1, 0.7, 0.1), (0.22, 0.45, 0.1)), ((0.1, 0.3, 0.4), (-0.2, 0.2, 0))]
    mesh = trimesh.util.concatenate([
        trimesh.creation.box(size, trimesh.transformations.translation_matrix(at)) for size, at in parts
    ])  # fmt: skip
    path = tmp_path_factory.mktemp("whole") / "thing.obj"
    mesh.export(path)
    rotation = np.diag([1.0, -1, -1]) @ Rotation.from_rotvec([0, 0.9, 0]).as_matrix()
    move = np.array([0.1, body[:, 1].max(), 3.4])
    placed = SIZE * mesh.vertices @ rotation.T + move
    points, joints = (np.asarray(x) for x in place_points(point_table(model, _names()), params))
    return types.SimpleNamespace(
        model=model, body=body, joints=joints[:22], points=points, path=path, rotation=rotation, move=move,
        placed=placed, faces=np.asarray(mesh.faces), middle=0.5 * (placed.min(0) + placed.max(0)),
    )  # fmt: skip


def _names():
    return tuple(name for name in MEDIAPIPE_BODY if name)


def said(truth, human):
    """The networks' answer: landmarks, metres and mask of the truth in a square about the person."""
    known = np.array([bool(name) for name in MEDIAPIPE_BODY])
    landmarks, metric = np.zeros((2, 33, 3), np.float32)
    landmarks[known, :2], metric[known] = project(truth.points) + [OFF, 0], truth.points - truth.joints[0]
    rows, columns = np.nonzero(human)
    centre = np.array([columns.mean(), rows.mean()], np.float32)
    size = np.float32(1.3 * np.ptp(rows))
    x, y = (np.floor(c + ((np.arange(256) + 0.5) / 256 - 0.5) * size).astype(int) for c in centre)
    inside = ((y >= 0) & (y < HEIGHT))[:, None] & ((x >= 0) & (x < WIDTH))[None]
    mask = inside & human[np.clip(y, 0, HEIGHT - 1)[:, None], np.clip(x, 0, WIDTH - 1)[None]]
    region = Region(centre, size, np.float32(0))
    box = np.float32([*landmarks[known, :2].min(0), *landmarks[known, :2].max(0)])
    person = Person(
        landmarks=landmarks, metric=metric, visibility=known.astype(np.float32), presence=known.astype(np.float32),
        mask=mask.astype(np.float32), score=np.float32(0.99), box=box, region=region, next_region=region,
    )  # fmt: skip
    return jax.tree.map(lambda x: np.asarray(x)[None], person)


@pytest.mark.slow
def test_body_and_object_come_out_where_they_are(truth, monkeypatch):
    human, whole = covered(truth.body, np.asarray(truth.model.faces)), covered(truth.placed, truth.faces)
    thing = whole & ~human
    assert 0.6 < thing.sum() / whole.sum() < 0.9
    monkeypatch.setattr(photo_people, "find_people", lambda *args, **kwargs: said(truth, human))
    monkeypatch.setattr(objects, "SDF_RESOLUTION", 16)
    asset = objects.ObjectAsset.read(truth.path, None)
    fitter = PhotoFitter(truth.model, truth.model, {}, asset, object_shape(asset.light), CONFIG)
    nobody = np.zeros((HEIGHT, WIDTH), bool)
    spoilt = thing.copy()
    spoilt[300:312, 8:120:3] = spoilt[4:8, 350:354] = True  # a caption and a speck, which are none of it
    photo = Photograph("a", pathlib.Path("a.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8), nobody, spoilt)
    found = photo_fit.fit_photograph(fitter, photo, FOCAL)
    # The network's mask, in the picture.
    seen = found.photograph.human
    assert (seen & human).sum() / (seen | human).sum() > 0.93
    # The body: joints where they are, in the picture's own camera.
    joints = np.asarray(found.body.joints)[:22]
    error = joints - truth.joints
    pixels = np.linalg.norm(project(joints) - project(truth.joints), axis=1)
    assert pixels.mean() < 1.2 and pixels.max() < 3
    assert np.abs(error[:, :2]).max() < 0.05 and abs(error[0, 2]) < 0.08  # along the line of sight size decides
    np.testing.assert_allclose(found.intrinsics, [[FOCAL, 0, CENTRE[0]], [0, FOCAL, CENTRE[1]], [0, 0, 1]])
    np.testing.assert_allclose(found.vertices, pose_body(truth.model, found.params).vertices, atol=1e-5)
    # The object: turned as it is, and where it is in its mesh's own frame.
    pose = found.pose
    cosine = (np.trace(np.asarray(pose.rotation).T @ truth.rotation) - 1) / 2
    turn = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    placed = float(pose.scale) * asset.light.vertices @ np.asarray(pose.rotation).T + np.asarray(pose.translation)
    miss = 0.5 * (placed.min(0) + placed.max(0)) - truth.middle
    # Size and distance are told apart by the floor alone, which has a decimetre's slack: 4 % of the distance.
    assert turn < 6 and np.abs(miss[:2]).max() < 0.02 and abs(pose.scale / SIZE - 1) < 0.06
    assert abs(miss[2]) < 0.04 * truth.middle[2]
    assert found.overlap["body"] > 0.9 and found.overlap["object"] > 0.9
    assert found.people == 1 and found.notes == ("focal length: 400 pixels, as given",)
    assert found.body.source == "given"
    # What is drawn: each of the two over its mask, body blue and object orange.
    (low, side), (red, _, blue, alpha) = found.box, np.moveaxis(found.drawn.astype(int), -1, 0)
    x, y = (np.floor(c + (np.arange(photo_fit.SIZE) + 0.5) * side / photo_fit.SIZE).astype(int) for c in low)
    inside = ((y >= 0) & (y < HEIGHT))[:, None] & ((x >= 0) & (x < WIDTH))[None]
    for mask, shown in ((human, blue > red), (thing, red > blue)):
        want = inside & mask[np.clip(y, 0, HEIGHT - 1)[:, None], np.clip(x, 0, WIDTH - 1)[None]]
        shown = inside & shown & (alpha > 0)
        assert (want & shown).sum() / (want | shown).sum() > 0.85
