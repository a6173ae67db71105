"""The body that a front picture shows, for a registration to begin with."""

import jax
import numpy as np
import pytest

from hoijax.body_models import free_body, pose_body_compiled
from hoijax.camera import Camera, project
from hoijax.experiments.hoi3dgen import pictures
from hoijax.jobs.front_body import body_of_front
from hoijax.systems.hoi3dgen import chain
from hoijax.systems.hoi3dgen.small import view_cameras


@pytest.fixture(autouse=True)
def single_precision():
    with jax.enable_x64(False):
        yield


@pytest.fixture(scope="module")
def shown():
    with jax.enable_x64(False):
        scene = pictures.draw_scene("carry_two_hands", "box", (0, 0, 0))
        return pictures.paint(pictures.draw_layers([scene], 128)[0], pictures.palette("red", "yellow", "blue"))


def camera_of(view):
    cameras = view_cameras(128)
    return Camera(cameras.intrinsics[view], cameras.T_camera_world[view], cameras.image_size)


@pytest.mark.parametrize("view", [0, 1])
def test_who_faces_the_front_does_so_in_the_cameras_world(shown, view):
    model, camera = free_body("test"), camera_of(view)
    cut = chain.cut_out(shown[view])
    params = body_of_front(cut, camera, model)
    root = np.asarray(params.rotations)[0]
    assert np.degrees(np.arccos((np.trace(root) - 1) / 2)) < 30
    joints = np.asarray(pose_body_compiled(model, params).joints)
    names = ("pelvis", "head", "left_ankle", "left_wrist", "right_wrist")
    at = {name: joints[model.joint_names.index(name)] for name in names}
    assert at["head"][1] > at["pelvis"][1] + 0.4 > at["left_ankle"][1] + 0.8
    hands = (at["left_wrist"] + at["right_wrist"]) / 2
    assert hands[2] > at["pelvis"][2] + 0.03  # they hold something before the person, who faces +z
    row, column = np.nonzero(cut[..., 3])
    seen, _ = project(camera, joints[:22])
    low, high = (np.array([f(column), f(row)]) for f in (np.min, np.max))
    assert ((np.asarray(seen) > low - 6) & (np.asarray(seen) < high + 6)).all()


def test_nobody_in_the_picture_is_no_body():
    cut = np.zeros((128, 128, 4), np.uint8)
    cut[40:90, 50:80] = (40, 90, 200, 255)
    assert body_of_front(cut, camera_of(0), free_body("test")) is None
