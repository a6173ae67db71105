"""Scenes of the demonstration of score distillation: scripted people with things, and pictures of them."""

import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float

from hoijax.body_models import BodyParams, free_body, pose_body_compiled
from hoijax.camera import Camera, project
from hoijax.data.objects import random_object
from hoijax.data.synth.actions import ACTIONS
from hoijax.data.synth.rig import Puppet
from hoijax.data.synth.sampling import body_betas
from hoijax.geometry import Mesh, query_sdf, vertex_normals
from hoijax.interaction import make_solid_template
from hoijax.io import read_npz, write_npz
from hoijax.nets.interactanything.radiance import FieldConfig
from hoijax.optim.fitting.points import place_points, point_table
from hoijax.render import interpolate, rasterize
from hoijax.systems.interactanything.distil import (
    DistilConfig,
    Drawn,
    Embedded,
    group_cameras,
    mvdream_cameras,
)
from hoijax.systems.interactanything.prior import nearest_yaw

PROMPTS = {
    "A person sits on the chair": ("sit", "chair"),
    "A person carries the box with both hands": ("carry_two_hands", "box"),
    "A person kicks the ball": ("kick", "ball"),
}
"""To an action of SynthHOI and a category."""
SIDE = 32
"""Of a picture, pixels."""
VIEWS = 4
LANDMARKS = ("nose", *(f"{side}_{name}" for side in ("left", "right") for name in (
    "shoulder", "elbow", "wrist", "hip", "knee", "ankle")))  # fmt: skip
BODY, THING = np.array([0.25, 0.4, 0.75], np.float32), np.array([0.72, 0.45, 0.2], np.float32)
SKIN, TROUSERS = np.array([0.9, 0.7, 0.58], np.float32), np.array([0.25, 0.25, 0.3], np.float32)
_VERTICES, _FACES = 5000, 10000


def setting(field: FieldConfig | None = None, **changes: Any) -> DistilConfig:
    """The scene of the demonstration: all renders and the distillation see it through the same cameras."""
    small = FieldConfig(levels=5, entries=2**13, base=6, growth=1.6, hidden=32, bias=8.0, bias_radius=0.55)
    plain = {"size": SIDE, "samples": 48, "elevation": (5.0, 25.0), "distance": (3.0, 3.0)}
    return DistilConfig(field=field or small, **(plain | changes))


@struct.dataclass
class Scene:
    """Surfaces with colours and landmarks; the thing's front looks along +z, its box's middle is over the origin."""

    vertices: Any
    faces: Any
    colors: Any
    landmarks: Any


@functools.cache
def _model():
    return free_body("test")


def draw_scene(action: str, category: str, seed: tuple[int, ...]) -> tuple[Scene, Scene]:
    """A scripted person with a thing, and the person alone."""
    rng = np.random.default_rng(list(seed))
    things = (random_object(category, int(rng.integers(1 << 30))) for _ in range(500))
    thing = next(each for each in things if ACTIONS[action].suits(each))
    puppet = Puppet(body_betas(int(rng.integers(1 << 30))))
    placed = ACTIONS[action].script(rng, puppet, thing).placed
    params = BodyParams(*(np.asarray(x, np.float32) for x in (puppet.rotations, puppet.betas, puppet.translation)))
    body, model = np.asarray(pose_body_compiled(_model(), params).vertices), _model()
    world = placed.vertices()
    middle = (world.min(axis=0) + world.max(axis=0)) / 2 * [1.0, 0.0, 1.0]

    def home(points: np.ndarray) -> np.ndarray:
        return (points - middle) @ nearest_yaw(placed.rotation)

    joints = body_landmarks(params)
    colors = body_colors()
    faces = np.asarray(model.faces)
    alone = pad(home(body), faces, colors, home(joints))
    vertices = np.concatenate([body, world])
    faces = np.concatenate([faces, np.asarray(thing.mesh.faces) + len(body)])
    colors = np.concatenate([colors, np.broadcast_to(THING, (len(world), 3))])
    return pad(home(vertices), faces, colors, home(joints)), alone


def body_colors() -> np.ndarray:
    """Colours of the body's vertices: skin, a shirt, trousers."""
    model = _model()
    names, owner = model.joint_names, np.argmax(np.asarray(model.skin_weights), axis=1)
    legs = [k for k, n in enumerate(names) if n.endswith(("hip", "knee", "ankle", "foot")) or n == "pelvis"]
    skin = [
        k for k, n in enumerate(names) if n in ("head", "neck") or "wrist" in n or (n[-1] in "123" and "spine" not in n)
    ]
    colors = np.where(np.isin(owner, legs)[:, None], TROUSERS, BODY)
    return np.where(np.isin(owner, skin)[:, None], SKIN, colors).astype(np.float32)


def body_landmarks(params: BodyParams) -> Float[np.ndarray, "J 3"]:
    """Where the landmarks of a body are, metres."""
    return np.asarray(place_points(point_table(_model(), LANDMARKS), params)[0], float)


def pad(vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray, landmarks: np.ndarray) -> Scene:
    """Arrays of one size, so that all scenes share a program."""
    out = np.zeros((_VERTICES, 3), np.float32), np.zeros((_FACES, 3), np.int32), np.zeros((_VERTICES, 3), np.float32)
    for array, own in zip(out, (vertices, faces, colors)):
        array[: len(own)] = own
    return Scene(*out, landmarks.astype(np.float32))


def draw(scene: Scene, camera: Camera, smooth: int = 2) -> Drawn:
    """A scene on white under a light beside each camera; traced, V cameras."""
    height, width = camera.image_size

    def one(intrinsics: jax.Array, pose: jax.Array) -> tuple[jax.Array, jax.Array]:
        scaled = intrinsics * jnp.asarray([[smooth], [smooth], [1.0]], intrinsics.dtype)
        fine = Camera(scaled, pose, (smooth * height, smooth * width))
        fragments = rasterize(scene.vertices, scene.faces, fine)
        values = jnp.concatenate([scene.colors, vertex_normals(scene.vertices, scene.faces)], axis=1)
        values = interpolate(fragments, scene.faces, values)
        toward = -pose[2, :3] + 0.4 * jnp.asarray([0.0, 1.0, 0.0], pose.dtype)
        light = 0.45 + 0.55 * jnp.abs(values[..., 3:] @ (toward / jnp.linalg.norm(toward)))
        seen = fragments.face_id >= 0
        color = jnp.where(seen[..., None], values[..., :3] * light[..., None], 1.0)
        blocks = (height, smooth, width, smooth)
        depth = jnp.where(seen, fragments.depth, jnp.inf).reshape(blocks).min(axis=(1, 3))
        return color.reshape(*blocks, 3).mean(axis=(1, 3)), depth

    return Drawn(*jax.vmap(one)(camera.intrinsics, camera.T_camera_world))


def renders(work: pathlib.Path, scenes: int, groups: int, seed: int) -> dict[str, np.ndarray]:
    """Pictures of scenes of every prompt: with the thing, and of the person alone with where landmarks are.

    Args:
      work: folder that keeps them.
      scenes: of each prompt.
      groups: of four views, of each scene.
      seed: of all that is drawn.
    """
    path = work / "renders.npz"
    if path.is_file():
        return dict(read_npz(path))
    view = setting()

    @jax.jit
    def group(scene: Scene, alone: Scene, key: jax.Array):
        camera = group_cameras(key, view)
        seen = jax.vmap(lambda k, t: project(Camera(k, t, (SIDE, SIDE)), alone.landmarks)[0])(
            camera.intrinsics, camera.T_camera_world
        )
        return draw(scene, camera).color, draw(alone, camera).color, mvdream_cameras(camera, view), seen

    rows: dict[str, list[Any]] = {name: [] for name in ("pictures", "alone", "cameras", "landmarks", "text")}
    for k, (action, category) in enumerate(PROMPTS.values()):
        for n in range(scenes):
            scene, alone = draw_scene(action, category, (seed, k, n))
            for g in range(groups):
                key = jax.random.key(((k * 1000 + n) * 100 + g) * 7 + seed)
                for name, value in zip(rows, group(scene, alone, key)):
                    rows[name].append(np.asarray(value))
                rows["text"].append(k)
    out = {name: np.stack(values) for name, values in rows.items()}
    for name in ("pictures", "alone"):
        out[name] = np.round(255 * np.clip(out[name], 0, 1)).astype(np.uint8)
    write_npz(path, out)
    return out


def on_floor(mesh: Mesh) -> Mesh:
    """The object in the middle of the floor, its front along +z."""
    vertices = np.asarray(mesh.vertices, np.float32)
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    vertices = vertices - np.array([middle[0], vertices[:, 1].min(), middle[2]], np.float32)
    return Mesh(vertices, np.asarray(mesh.faces))


def embed(mesh: Mesh) -> Embedded:
    """An object as the distillation wants it."""
    grid = make_solid_template(mesh)[0].sdf
    scene = pad(mesh.vertices, mesh.faces, np.broadcast_to(THING, mesh.vertices.shape), np.zeros((1, 3)))
    return Embedded(
        draw=lambda camera: jax.lax.stop_gradient(draw(scene, camera)),
        inside=lambda points: jax.lax.stop_gradient(
            query_sdf(grid, points.reshape(-1, 3)).reshape(points.shape[:-1]) < 0
        ),
    )
