"""A person who holds a box before a camera: how both look, where they are, what touches."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import trimesh
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyParams, free_body, pose_body
from hoijax.camera import Camera
from hoijax.geometry import Mesh, RigidPose
from hoijax.interaction import make_template
from hoijax.optim.fitting import ContactEvidence, joint_problem, object_target
from hoijax.render import rasterize

SIZE = (200, 240)
MATRIX = np.array([[260.0, 0, 120], [0, 260.0, 100], [0, 0, 1]], np.float32)


@dataclasses.dataclass
class World:
    """Camera frame, metres; contact of all that is nearer than 6 cm."""

    model: Any
    params: Any
    vertices: np.ndarray
    box: Any
    template: Any
    pose: RigidPose
    masks: tuple
    contact: ContactEvidence

    def problem(self, contact=None, params=None, mask=None, **options):
        obj, person = self.masks
        obj = obj if mask is None else mask
        target = object_target(obj, MATRIX, person=person, size=48)
        return joint_problem(
            self.model, self.params if params is None else params, self.template.mesh, self.template.sdf,
            self.contact if contact is None else contact, target, picture=SIZE, matrix=MATRIX, person=person,
            hidden=obj & ~person, **options,
        )  # fmt: skip


def make_world():
    model = free_body("test")
    names = model.joint_names
    angles = np.zeros((model.num_joints, 3))
    for side, sign in (("left", 1), ("right", -1)):
        angles[names.index(f"{side}_shoulder")] = [0, -sign * 0.9, -sign * 1.1]
        angles[names.index(f"{side}_elbow")] = [0, -sign * 1.2, 0]
    rotations = Rotation.from_rotvec(angles).as_matrix().astype(np.float32)
    rotations[0] = np.diag([1.0, -1.0, -1.0])
    params = BodyParams(rotations, np.zeros(model.num_betas, np.float32), np.array([0, 0.0, 2.8], np.float32))
    posed = pose_body(model, params)
    vertices, joints = np.asarray(posed.vertices), np.asarray(posed.joints)
    hands = [joints[names.index(f"{side}_middle1")] for side in ("left", "right")]
    middle = np.mean(hands, axis=0) + [0, 0, -0.02]
    width = abs(hands[0][0] - hands[1][0]) - 0.05
    box = trimesh.creation.box((max(width, 0.15), 0.22, 0.16)).subdivide().subdivide().subdivide()
    box.vertices[:, 1] += 0.3  # the file's origin is below the box
    turn = Rotation.from_euler("xyz", [np.pi, 0.25, 0.1]).as_matrix()
    pose = RigidPose(turn.astype(np.float32), (middle - turn @ [0, 0.3, 0]).astype(np.float32), np.float32(1))
    template = make_template(Mesh(np.asarray(box.vertices, np.float32), np.asarray(box.faces, np.int32)), resolution=24)
    placed = np.asarray(box.vertices) @ turn.T + np.asarray(pose.translation)
    depths = [depth_of(v, f) for v, f in ((placed, box.faces), (vertices, model.faces))]
    seen = [np.isfinite(depths[0]) & (depths[0] <= depths[1]), np.isfinite(depths[1]) & (depths[1] < depths[0])]
    near = cKDTree(placed).query(vertices)[0] < 0.06, cKDTree(vertices).query(placed)[0] < 0.06
    contact = ContactEvidence(near[0].astype(np.float32), near[1].astype(np.float32))
    return World(model, params, vertices, box, template, pose, tuple(seen), contact)


def depth_of(vertices, faces):
    camera = Camera(jnp.asarray(MATRIX), jnp.eye(4, dtype=jnp.float32), SIZE)
    return np.asarray(rasterize(jnp.asarray(vertices, jnp.float32), jnp.asarray(faces, jnp.int32), camera).depth)
