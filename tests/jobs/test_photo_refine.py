"""What is handed to the refiner after a photograph was fitted, and when its answer is kept."""

import dataclasses
import types

import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.body_models import BodyParams, free_body, named_pose, pose_body
from hoijax.camera import Camera
from hoijax.geometry import Mesh, RigidPose
from hoijax.interaction import make_template
from hoijax.jobs import photo_refine
from hoijax.jobs.photo_refine import PhotoRefiner
from hoijax.optim.fitting import (
    BodyFit,
    object_shape,
    object_target,
    observe,
    outline_target,
    place_points,
    point_table,
)
from hoijax.optim.gradient import RefineMetrics
from hoijax.render import rasterize

NAMES = ("left_wrist", "right_wrist", "left_knee", "right_knee", "left_elbow", "right_elbow")
MATRIX = np.array([[300.0, 0, 120], [0, 300, 160], [0, 0, 1]], np.float32)


def scene():
    """A person three metres away, upright in the camera's frame, with a box before the chest."""
    model = free_body("test")
    params = BodyParams.from_axis_angle(model, **named_pose("carry"), betas=np.zeros(10, np.float32))
    upright = jnp.asarray(np.diag([-1.0, -1, 1]), jnp.float32)  # y down, facing the camera
    pelvis = pose_body(model, params).joints[0] - params.translation
    turn = jnp.asarray(np.diag([1.0, -1, -1]), jnp.float32) @ params.rotations[0]
    place = jnp.asarray([0, 0.1, 3.0], jnp.float32) - pelvis
    params = params.replace(rotations=params.rotations.at[0].set(turn), translation=place)
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32) * 0.18
    faces = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6],
                      [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]], np.int32)  # fmt: skip
    pose = RigidPose(upright, jnp.asarray([0.0, -0.1, 2.5], jnp.float32), jnp.ones((), jnp.float32))
    return model, params, Mesh(corners, faces), pose


def fitted(params, swap):
    """A fit of which the body and the exchange of sides are looked at."""
    rest = {f.name for f in dataclasses.fields(BodyFit)} - {"source", "params", "swap"}
    return BodyFit(**dict.fromkeys(rest), params=params, swap=np.int32(swap), source="given")


@pytest.fixture(scope="module")
def case():
    model, params, mesh, pose = scene()
    camera = Camera(MATRIX, np.eye(4, dtype=np.float32), (320, 240))
    vertices = pose_body(model, params).vertices
    body = np.asarray(rasterize(vertices, model.faces, camera).depth)
    placed = mesh.vertices @ np.asarray(pose.rotation).T + np.asarray(pose.translation)
    thing = np.asarray(rasterize(placed, mesh.faces, camera).depth)
    human, mask = (body < thing), (thing <= body) & (thing < np.inf)
    points = np.asarray(place_points(point_table(model, NAMES), params)[0])
    pixels = points[:, :2] / points[:, 2:] * 300 + MATRIX[:2, 2]
    seen = observe(NAMES, pixels, spread=0.0, pixel_std=2.0)
    return {
        "observation": seen, "matrix": MATRIX, "outline": outline_target(human, hidden=mask),
        "target": object_target(mask, MATRIX, person=human), "shape": object_shape(mesh),
        "fit": fitted(params, 0), "pose": pose,
    }  # fmt: skip


@pytest.fixture(scope="module")
def refiner():
    return PhotoRefiner.of(free_body("test"), make_template(scene()[2], resolution=8))


def measures(contact, penetration):
    deepest = jnp.asarray([penetration])
    return RefineMetrics(jnp.asarray([contact]), deepest, mean_penetration=deepest, floor=deepest)


def answer(*changes, good=False, contact=(0.05, 0.02, 0.0, 0.0), penetrates=True, after=(0.01, 0.004)):
    """A refiner that moves the object by the next of `changes` in each run that has steps, and remembers its runs."""
    left = list(changes)

    def refine(model, params, template, poses, contacts, config, *, body, object, picture, surfaces, quick):
        assert config.freeze == ()
        refine.given, refine.asked = (params, poses, picture), np.asarray(contacts.parts[0]).any(axis=1)
        before = measures(list(contact), 0.03)
        verdict = types.SimpleNamespace(good=np.array([good]), penetrates=np.array([penetrates]))
        if config.steps == 0:
            return types.SimpleNamespace(params=params, pose=poses, before=before, after=before, verdict=verdict)
        refine.weights.append({stage.weights.outline for stage in config.stages})
        poses = poses.replace(translation=poses.translation + jnp.asarray([left.pop(0)], jnp.float32))
        return types.SimpleNamespace(
            params=params, pose=poses, before=before, after=measures(list(after), 0.002), verdict=verdict
        )

    refine.weights = []
    return refine


def run(monkeypatch, refiner, case, fake):
    monkeypatch.setattr(photo_refine, "refine_batch", fake)
    return refiner.refine(**case)


def test_an_answer_that_keeps_the_outlines_is_kept(monkeypatch, refiner, case):
    fake = answer([0.001, 0.0, 0.004])
    found = run(monkeypatch, refiner, case, fake)
    assert (
        found.note == "refined with the picture: contact 5.0, penetration 3.0 cm became contact 1.0, penetration 0.2 cm"
    )
    moved = np.asarray(case["pose"].translation) + [0.001, 0, 0.004]
    np.testing.assert_allclose(found.pose.translation, moved, atol=1e-6)
    params, poses, picture = fake.given
    assert params.translation.shape == (1, 3) and poses.rotation.shape == (1, 3, 3)
    np.testing.assert_allclose(picture.pixels[0], case["observation"].pixels)
    np.testing.assert_array_equal(picture.T_camera_world[0], np.eye(4))
    assert fake.weights == [{1.0}]


@pytest.mark.parametrize("change", [[0.05, 0.0, 0.0], [np.nan, 0.0, 0.0]])
def test_an_answer_that_costs_an_outline_is_not_kept(monkeypatch, refiner, case, change):
    found = run(monkeypatch, refiner, case, answer(change, change))
    assert found.note.startswith("not refined, an outline would suffer") and found.fall == 0
    np.testing.assert_array_equal(found.pose.translation, case["pose"].translation)


def test_where_an_outline_suffers_it_counts_more_in_a_second_run(monkeypatch, refiner, case):
    fake = answer([0.05, 0.0, 0.0], [0.0, 0.0, 0.004])
    found = run(monkeypatch, refiner, case, fake)
    assert found.note.startswith("refined with the picture")
    assert fake.weights == [{1.0}, {photo_refine.OUTLINES[1]}]
    moved = np.asarray(case["pose"].translation) + [0.0, 0, 0.004]
    np.testing.assert_allclose(found.pose.translation, moved, atol=1e-6)


def test_what_is_good_far_apart_or_gains_nothing_stays_as_fitted(monkeypatch, refiner, case):
    given = np.asarray(case["pose"].translation)
    fake = answer(good=True)
    found = run(monkeypatch, refiner, case, fake)
    assert found.note == "not refined, it is good as fitted: contact 5.0, penetration 3.0 cm"
    assert fake.weights == []
    np.testing.assert_array_equal(found.pose.translation, given)
    found = run(monkeypatch, refiner, case, answer([0, 0, 0.004], after=(0.08, 0.04)))
    assert found.note.startswith("not refined, nothing is gained")
    np.testing.assert_array_equal(found.pose.translation, given)
    fake = answer(contact=(0.21, 0.3, 0, 0), penetrates=False)
    monkeypatch.setattr(photo_refine, "propose_parts", lambda *args, most: ("left_hand",))
    found = run(monkeypatch, refiner, case, fake)
    assert (
        found.note
        == "not refined, of what usually touches the nearest, left_hand, is 21 cm away and not taken to touch"
    )
    assert fake.weights == []
    np.testing.assert_array_equal(found.pose.translation, given)


def test_parts_that_are_far_are_not_asked_to_touch(monkeypatch, refiner, case):
    monkeypatch.setattr(photo_refine, "propose_parts", lambda *args, most: ("left_hand", "right_hand")[:most])
    # What penetrates is driven out though nothing is near enough to touch.
    for contact, asked in (((0.21, 0.3, 0, 0), 0), ((0.05, 0.21, 0, 0), 1), ((0.19, 0.19, 0, 0), 2)):
        fake = answer([0, 0, 0.004], contact=contact)
        assert run(monkeypatch, refiner, case, fake).note.startswith("refined with the picture")
        assert fake.asked.tolist() == [row < asked for row in range(photo_refine.ROWS)]


def test_sides_are_those_of_the_fit(monkeypatch, refiner, case):
    """Where the fit has exchanged left and right, the landmarks that hold it are exchanged too."""
    fake = answer([0.0, 0.0, 0.0])
    monkeypatch.setattr(photo_refine, "refine_batch", fake)
    refiner.refine(**(case | {"fit": fitted(case["fit"].params, 1)}))
    pixels = case["observation"].pixels
    np.testing.assert_allclose(fake.given[2].pixels[0], pixels[[1, 0, 3, 2, 5, 4]])
