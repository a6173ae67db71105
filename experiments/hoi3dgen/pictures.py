"""Pictures that teach a small SANA: SynthHOI's scripted people and things on white, from known azimuths, with texts.

A scene is what a script of SynthHOI begins with, before its contact is fitted: palms are some centimetres off, less
than a pixel here. Three cameras look at it, one for each view tag, from the azimuths of `VIEWS` around the person, who
faces azimuth 0. A scene is drawn once, as light by surface, and painted in the colours of any number of texts.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from hoijax.body_models import BodyModel, BodyParams, free_body, free_body_regions, pose_body_compiled
from hoijax.camera import Camera
from hoijax.data.objects import random_object
from hoijax.data.synth.actions import ACTIONS
from hoijax.data.synth.rig import Puppet
from hoijax.data.synth.sampling import body_betas
from hoijax.geometry import vertex_normals
from hoijax.render import Lights, interpolate, phong, rasterize
from hoijax.render.scene import linear_from_srgb, srgb_from_linear
from hoijax.systems.hoi3dgen.small import COLORS, THING_COLORS, view_cameras

LEVEL = "test"
"""Level of detail of the body."""
SMOOTH = 2
"""A picture is drawn with so many times its rows, then averaged."""
PEOPLE = ("person", "man", "woman")
"""Words that change nothing: at this size a body fits each of them."""
TOPS, BOTTOMS = ("shirt", "jacket", "sweater"), ("trousers", "jeans", "pants")
"""Words for the two garments, which change nothing either."""
ACTS = {
    "carry_two_hands": ("carries {thing} {hands}", ("box", "ball")),
    "carry_one_hand": ("carries {thing} {hands}", ("suitcase",)),
    "wear": ("wears {thing} on the back", ("backpack",)),
    "kick": ("kicks {thing}", ("ball",)),
    "sit": ("sits on {thing}", ("chair",)),
}
"""What a text says of each action, and of which things."""
HANDS = {
    ("left_hand",): "in the left hand", ("right_hand",): "in the right hand",
    ("left_hand", "right_hand"): "with both hands",
}  # fmt: skip
"""What it says of the hands that touch."""
_SKIN = ((0.93, 0.76, 0.64), (0.82, 0.64, 0.54), (0.62, 0.43, 0.32), (0.40, 0.27, 0.20))
_VERTICES, _FACES = 6000, 12000


@dataclasses.dataclass(frozen=True)
class Scene:
    """One person with one thing, without colours."""

    text: str
    """What is done, with {thing} for the thing and its colour."""
    category: str
    """Of the thing."""
    vertices: np.ndarray
    """(V, 3) in the frame of `view_cameras`: the whole is in all pictures, its middle at the origin."""
    faces: np.ndarray
    """(F, 3)."""
    surfaces: np.ndarray
    """(V,) which of `surface_names` each vertex belongs to."""


@functools.cache
def surface_names() -> tuple[str, ...]:
    """What has a colour of its own: regions of the body, and the thing."""
    return (*free_body_regions(LEVEL)[1], "thing")


@functools.cache
def _model() -> BodyModel:
    return free_body(LEVEL)


def draw_scene(action: str, category: str, seed: Sequence[int], side: str | None = None) -> Scene:
    """A scene, the same for the same numbers.

    Args:
      action: a key of `ACTS`.
      category: of its things.
      seed: of body, thing and pose.
      side: "left" or "right", of the hand that alone touches, where one does; None: as it comes.
    """
    rng = np.random.default_rng(list(seed))
    things = (random_object(category, int(rng.integers(1 << 30))) for _ in range(500))
    thing = next(each for each in things if ACTIONS[action].suits(each))
    betas = body_betas(int(rng.integers(1 << 30)))
    for _ in range(100):
        puppet = Puppet(betas)
        start = ACTIONS[action].script(rng, puppet, thing)
        if side is None or start.contact == (f"{side}_hand",):
            break
    model = _model()
    params = BodyParams(*(np.asarray(x, np.float32) for x in (puppet.rotations, puppet.betas, puppet.translation)))
    body = np.asarray(pose_body_compiled(model, params).vertices)
    vertices = np.concatenate([body, start.placed.vertices()])
    faces = np.concatenate([np.asarray(model.faces), np.asarray(thing.mesh.faces) + len(body)])
    surfaces = np.full(len(vertices), len(surface_names()) - 1)
    surfaces[: len(body)] = free_body_regions(LEVEL)[0]
    text = ACTS[action][0].format(thing="{thing}", hands=HANDS.get(start.contact, ""))
    return Scene(text, category, framed(vertices), faces, surfaces)


def every_scene(seed: int, poses: int = 1) -> list[Scene]:
    """Scenes of everything that texts can say.

    Args:
      seed: of them all.
      poses: bodies and poses of each.
    """
    scenes = []
    for action, (_, things) in ACTS.items():
        sides = ("left", "right") if action == "carry_one_hand" else (None,)
        for category in things:
            for side in sides:
                scenes += [draw_scene(action, category, (seed, len(scenes), pose), side) for pose in range(poses)]
    return scenes


def framed(points: Float[np.ndarray, "N 3"], margin: float = 0.1) -> Float[np.ndarray, "N 3"]:
    """Points moved and scaled, alike along all axes, so that all three views hold them with a margin.

    Args:
      points: y up, the person facing +z.
      margin: share of half a picture left free on each side.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    points = points - (low + high) / 2
    cameras = view_cameras(2)
    slope = (1 - margin) / float(cameras.intrinsics[0, 0, 0])
    scales = []
    for transform in np.asarray(cameras.T_camera_world, np.float64):
        local = points @ transform[:3, :3].T
        # |s x| <= slope (d + s z) for the scale s and the distance d.
        need = np.abs(local[:, :2]).max(axis=1) - slope * local[:, 2]
        scales.append(slope * transform[2, 3] / need.max())
    return (points * min(scales)).astype(np.float32)


@functools.partial(jax.jit, static_argnames="size")
def _draw(vertices: jax.Array, faces: jax.Array, surfaces: jax.Array, light: jax.Array, cameras: Camera, size: int):
    def one(intrinsics: jax.Array, transform: jax.Array) -> jax.Array:
        camera = Camera(intrinsics, transform, (size, size))
        fragments = rasterize(vertices, faces, camera)
        values = jnp.concatenate([vertices, vertex_normals(vertices, faces), surfaces], axis=1)
        values = interpolate(fragments, faces, values)
        ones = jnp.ones(3, vertices.dtype)
        lights = Lights(light[None], 0.55 * ones[None], 0.75 * ones, 0.4 * ones)
        eye = -transform[:3, :3].T @ transform[:3, 3]
        lit = phong(values[..., :3], values[..., 3:6], jnp.ones_like(values[..., :3]), eye, lights)[..., :1]
        seen = (fragments.face_id >= 0)[..., None]
        return jnp.where(seen, jnp.concatenate([lit * values[..., 6:], jnp.zeros_like(lit)], axis=-1), ground)

    ground = jax.nn.one_hot(surfaces.shape[1], surfaces.shape[1] + 1, dtype=vertices.dtype)
    layers = jax.vmap(one)(cameras.intrinsics, cameras.T_camera_world)
    shape = (len(layers), size // SMOOTH, SMOOTH, size // SMOOTH, SMOOTH, -1)
    return jnp.mean(layers.reshape(shape), axis=(2, 4))


def draw_layers(scenes: Sequence[Scene], size: int, seed: int = 0) -> Float[np.ndarray, "N V S S L"]:
    """How much light each surface sends to each pixel of every view, the white ground last.

    Args:
      scenes: N of them.
      size: of a picture's side, pixels.
      seed: of the lights, which stand near the camera of the front.
    """
    rng, cameras, kinds = np.random.default_rng([seed, 7]), view_cameras(SMOOTH * size), len(surface_names())
    layers = []
    for scene in scenes:
        vertices, faces = np.zeros((_VERTICES, 3), np.float32), np.zeros((_FACES, 3), np.int32)
        surfaces = np.zeros((_VERTICES, kinds), np.float32)
        vertices[: len(scene.vertices)], faces[: len(scene.faces)] = scene.vertices, scene.faces
        surfaces[np.arange(len(scene.surfaces)), scene.surfaces] = 1
        light = np.float32([rng.uniform(-4, 4), rng.uniform(3, 6), rng.uniform(4, 6)])
        layers.append(np.asarray(_draw(vertices, faces, surfaces, light, cameras, SMOOTH * size)))
    return np.stack(layers)


def draw_words(rng: np.random.Generator, scene: Scene) -> tuple[str, dict[str, tuple[float, float, float]]]:
    """A text for a scene, without a view, and the colours that it names; the thing's is neither garment's."""
    top, bottom = (str(c) for c in rng.choice(list(COLORS), 2))
    own = str(rng.choice([c for c in THING_COLORS if c not in (top, bottom)]))
    text = f"A {rng.choice(PEOPLE)} in {_article(top)} {top} {rng.choice(TOPS)}"
    if rng.random() < 0.75:
        text += f" and {bottom} {rng.choice(BOTTOMS)}"
    return f"{text} {scene.text.format(thing=f'{_article(own)} {own} {scene.category}')}.", palette(
        top, bottom, own, rng
    )


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def palette(
    top: str, bottom: str, thing: str, rng: np.random.Generator | None = None
) -> dict[str, tuple[float, float, float]]:
    """Colours of surfaces by name, sRGB; skin, hair and how pure the colours are are drawn where there is chance."""
    pure = (lambda: 1.0) if rng is None else (lambda: rng.uniform(0.85, 1.1))
    skin = _SKIN[1 if rng is None else int(rng.integers(len(_SKIN)))]
    hair = tuple(x * pure() for x in (0.24, 0.17, 0.13))
    tone = lambda name, by: tuple(min(1.0, x * by) for x in COLORS[name])  # noqa: E731
    return {
        "skin": skin, "lips": skin, "hair": hair, "brows": hair, "shirt": tone(top, pure()),
        "trousers": tone(bottom, pure()), "shoes": (0.12, 0.12, 0.13), "eyes": skin, "irises": hair,
        "thing": tone(thing, pure()),
    }  # fmt: skip


def paint(
    layers: Float[np.ndarray, "*B S S L"], colors: Mapping[str, tuple[float, float, float]]
) -> UInt8[np.ndarray, "*B S S 3"]:
    """Pictures on white of a scene's layers."""
    table = np.array([colors[name] for name in surface_names()] + [(1.0, 1.0, 1.0)], np.float32)
    linear = np.asarray(linear_from_srgb(table))
    return np.round(255 * np.clip(np.asarray(srgb_from_linear(layers @ linear)), 0, 1)).astype(np.uint8)


def to_network(pictures: UInt8[np.ndarray, "*B 3"]) -> Float[np.ndarray, "*B 3"]:
    """Pictures in [-1, 1], as an autoencoder takes them."""
    return np.asarray(pictures, np.float32) / 127.5 - 1


def from_network(pictures: Float[np.ndarray, "*B 3"]) -> UInt8[np.ndarray, "*B 3"]:
    """Pictures of 8 bits of an autoencoder's answer."""
    return np.round((np.clip(np.asarray(pictures, np.float32), -1, 1) + 1) * 127.5).astype(np.uint8)
