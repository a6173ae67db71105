"""From an accepted interaction to the fields of a sample: picture, masks, depth, keypoints, contacts, text."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from hoijax.body_models import free_body
from hoijax.camera import Camera
from hoijax.data.synth import styles
from hoijax.data.synth.checks import LEVEL, Checked
from hoijax.data.synth.config import UNSEEN, SynthConfig
from hoijax.data.synth.pictures import HUMAN, OBJECT, OCCLUDER, SUPPORT, Drawn, PictureMeshes, draw, gather, silhouette
from hoijax.data.synth.sampling import instance, pool_seed, source
from hoijax.data.synth.schema import encode_depth, jpeg, pack_labels
from hoijax.data.synth.start import Placed, stand_on_floor
from hoijax.interaction import surface_points
from hoijax.render import rasterize

_OCCLUDERS = ("box", "chair", "table", "trolley", "bench", "ball", "monitor", "backpack")
"""What may stand before the person."""
_TRIES, _SMALL, _VISIBLE = 8, 64, 0.45
"""Cameras that are tried, the side of the pictures they are judged by, the share of the person that must be visible."""
_POINTS, POINT_TOUCHES = 64, 0.02
"""Template points, their contacts: nearer to the body, or to the floor, than this, metres."""

Piece = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]


@functools.lru_cache(maxsize=512)
def _normals(category: str, seed: int) -> np.ndarray:
    obj = instance(category, seed)
    return styles.corner_normals(np.asarray(obj.mesh.vertices), np.asarray(obj.mesh.faces))


@functools.lru_cache(maxsize=1024)
def object_points(category: str, seed: int) -> np.ndarray:
    """The 64 points that stand for an instance, as `make_template` takes them, canonical frame."""
    mesh = instance(category, seed).mesh
    return surface_points(np.asarray(mesh.vertices, float), np.asarray(mesh.faces), _POINTS).astype(np.float32)


def object_piece(rng: np.random.Generator, placed: Placed, label: int) -> Piece:
    """An object to draw."""
    obj = placed.object
    normals = _normals(obj.category, placed.seed) @ placed.rotation.T.astype(np.float32)
    local = np.asarray(obj.mesh.vertices)
    return placed.vertices(), np.asarray(obj.mesh.faces), normals, styles.object_colors(rng, obj), local, label


def body_piece(rng: np.random.Generator, vertices: np.ndarray) -> Piece:
    """The body to draw."""
    model = free_body(LEVEL)
    faces = np.asarray(model.faces)
    normals = styles.corner_normals(vertices, faces, 85.0)
    return vertices, faces, normals, styles.person_colors(rng), np.asarray(model.v_template), HUMAN


def keypoint_places(vertices: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """The named points of the "default" body, as `hoijax.body_models.keypoints` orders them."""
    return np.concatenate([joints, vertices[[v for _, v in free_body(LEVEL).landmarks]]])


def body_fields(rotations: np.ndarray, betas: np.ndarray, translation: np.ndarray) -> dict[str, np.ndarray]:
    """The field's keys of a body."""
    vectors = Rotation.from_matrix(rotations).as_rotvec().astype(np.float32).reshape(-1)
    keys = ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose")
    fields = dict(zip(keys, np.split(vectors, [3, 66, 111])))
    return fields | {"betas": betas.astype(np.float32), "transl": translation.astype(np.float32)}


@functools.partial(jax.jit, static_argnums=4)
def _small(vertices: jax.Array, faces: jax.Array, human: jax.Array, camera: tuple[jax.Array, jax.Array], size: int):
    """How many pixels see the person, and how many would if nothing stood before it."""
    view = Camera(camera[0], camera[1], (size, size))
    with_all = rasterize(vertices, faces, view).face_id
    seen = jnp.sum((with_all >= 0) & human[jnp.maximum(with_all, 0)])
    alone = rasterize(vertices, jnp.where(human[:, None], faces, 0), view).face_id
    return seen, jnp.sum(alone >= 0)


def choose_camera(
    rng: np.random.Generator, meshes: PictureMeshes, wanted: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first of some random cameras that sees enough of the person, or the best of them."""
    best, most = None, -1.0
    human = meshes.labels == HUMAN
    human &= meshes.faces.any(axis=1)
    for _ in range(_TRIES):
        intrinsics, transform, eye = styles.camera(rng, wanted, size)
        shrink = np.diag([_SMALL / size, _SMALL / size, 1.0]).astype(np.float32) @ intrinsics
        seen, alone = _small(meshes.vertices, meshes.faces, human, (shrink, transform), _SMALL)
        share = float(seen) / max(float(alone), 1.0)
        if share > most:
            best, most = (intrinsics, transform, eye), share
        if share > _VISIBLE:
            break
    return best


def _occluder(
    rng: np.random.Generator, config: SynthConfig, split: str, joints: np.ndarray, eye: np.ndarray
) -> Placed | None:
    """Something that stands between the camera and a leg or the trunk, sometimes."""
    if rng.random() > 0.3:
        return None
    category = str(rng.choice([c for c in _OCCLUDERS if c not in UNSEEN]))
    seed = pool_seed(
        config, "train" if split == "test_unseen_category" else split, "object", int(rng.integers(0, 1 << 30))
    )
    aim = joints[rng.choice([1, 2, 4, 5, 0, 7, 8])]
    at = aim + (eye - aim) * rng.uniform(0.45, 0.62) + rng.normal(0, 0.25, 3)
    placed = stand_on_floor(instance(category, seed), rng.uniform(0, 360), seed)
    return placed.at(at[0], None, at[2])


def picture(
    config: SynthConfig,
    split: str,
    rng: np.random.Generator,
    pieces: list[Piece],
    joints: np.ndarray,
    wanted: np.ndarray,
    *,
    occluded: bool = True,
) -> tuple[Drawn, PictureMeshes, tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Camera, occluder, room and picture of some pieces, the body first.

    Args:
      config: of the build.
      split: of the sample.
      rng: source of chance.
      pieces: what to draw.
      joints: of the body.
      wanted: points that must be in the picture.
      occluded: whether something may stand before the person.

    Returns:
      The picture, the meshes, the camera, and the room.
    """
    meshes = gather(pieces)
    intrinsics, transform, eye = choose_camera(rng, meshes, wanted, config.image_size)
    occluder = _occluder(rng, config, split, joints, eye) if occluded else None
    if occluder is not None and np.linalg.norm(occluder.translation - eye) > 0.8:
        clear = cKDTree(np.concatenate([p[0] for p in pieces])).query(occluder.vertices(), distance_upper_bound=0.06)[0]
        more = gather([*pieces, object_piece(rng, occluder, OCCLUDER)])
        shrink = np.diag([_SMALL / config.image_size] * 2 + [1.0]).astype(np.float32) @ intrinsics
        human = (more.labels == HUMAN) & more.faces.any(axis=1)
        seen, alone = _small(more.vertices, more.faces, human, (shrink, transform), _SMALL)
        if not np.isfinite(clear).any() and float(seen) > 0.55 * float(alone):
            meshes = more
    used = meshes.vertices[np.unique(meshes.faces)].astype(float)
    room = styles.room_around(rng, used, eye)
    drawn = draw(meshes, (intrinsics, transform), styles.look(rng, room), config.image_size)
    return jax.tree.map(np.asarray, drawn), meshes, (intrinsics, transform), room


def alone(meshes: PictureMeshes, label: int, camera: tuple[np.ndarray, np.ndarray], size: int) -> np.ndarray:
    """Which pixels the meshes of a label would cover if nothing stood before them."""
    faces = np.where((meshes.labels == label)[:, None], meshes.faces, 0)
    return np.isfinite(np.asarray(silhouette(meshes.vertices, faces, camera, size)))


def common_fields(
    config: SynthConfig, drawn: Drawn, camera: tuple[np.ndarray, np.ndarray], vertices: np.ndarray, joints: np.ndarray
) -> dict[str, Any]:
    """Image, depth, keypoints and camera of a sample."""
    points = keypoint_places(vertices, joints)
    pixels, depths = styles.project(points, *camera)
    size = config.image_size
    column, row = (np.clip(pixels[:, k].astype(int), 0, size - 1) for k in (0, 1))
    inside = ((pixels >= 0) & (pixels < size)).all(axis=1)
    # Joints lie under the skin: within a hand's breadth behind the person's own surface they count as seen.
    seen = inside & (drawn.label[row, column] == HUMAN) & (depths < drawn.depth[row, column] + 0.15)
    return {
        "intrinsics": camera[0], "T_camera_world": camera[1], "image": jpeg(drawn.image),
        "depth": encode_depth(drawn.depth),
        "keypoints_3d": points.astype(np.float32), "keypoints_2d": pixels.astype(np.float32), "keypoints_visible": seen,
    }  # fmt: skip


def interaction_sample(config: SynthConfig, split: str, checked: Checked) -> dict[str, Any]:
    """All fields of an interaction, images encoded.

    Args:
      config: of the build.
      split: of the sample.
      checked: an accepted interaction.
    """
    fitted = checked.fitted
    candidate, start = fitted.candidate, fitted.candidate.start
    rng = source(config, split, candidate.index, candidate.attempt, use=1)
    placed = Placed(start.placed.object, fitted.object_rotation, fitted.object_translation, candidate.object_seed)
    furniture = [Placed(f.object, *at, f.seed) for f, at in zip(start.furniture, fitted.furniture)]
    pieces = [body_piece(rng, checked.vertices), object_piece(rng, placed, OBJECT)]
    pieces += [object_piece(rng, piece, SUPPORT) for piece in furniture]
    body = checked.vertices[::7]
    wanted = [body, np.asarray(checked.object.vertices)[checked.object_contact]]
    if max(placed.object.size) < 1.1:
        wanted.append(placed.vertices())
    drawn, meshes, camera, _ = picture(config, split, rng, pieces, checked.joints, np.concatenate(wanted))
    size = config.image_size
    masks = {
        "human_mask": drawn.label == HUMAN, "object_mask": drawn.label == OBJECT,
        "human_full_mask": alone(meshes, HUMAN, camera, size),
        "object_full_mask": alone(meshes, OBJECT, camera, size), "support_mask": drawn.label == SUPPORT,
    }  # fmt: skip
    points = object_points(candidate.category, candidate.object_seed)
    world = points @ placed.rotation.T + placed.translation
    near = cKDTree(checked.vertices).query(world)[0]
    return {
        "key": f"{split}-{candidate.index:06d}", "action": candidate.action.name, "category": candidate.category,
        "text": candidate.text, "object_seed": candidate.object_seed, "shape_seed": candidate.shape_seed,
        "body": body_fields(fitted.rotations, start.puppet.betas, fitted.translation),
        "obj_rot": Rotation.from_matrix(fitted.object_rotation).as_rotvec().astype(np.float32),
        "obj_trans": fitted.object_translation.astype(np.float32),
        "furniture": furniture_rows(furniture),
        **common_fields(config, drawn, camera, checked.vertices, checked.joints),
        "labels": pack_labels(masks),
        "contact_parts": ",".join(start.contact),
        "body_contact": checked.body_contact, "body_floor_contact": checked.body_floor,
        "object_contact": checked.object_contact, "object_floor_contact": checked.object_floor,
        "object_points": points,
        "object_points_contact": near < POINT_TOUCHES, "object_points_floor": world[:, 1] < POINT_TOUCHES,
        "max_penetration": np.float32(checked.depth),
    }  # fmt: skip


def furniture_rows(furniture: list[Placed]) -> list[dict[str, Any]]:
    """Furniture as a sample stores it."""
    return [
        {
            "category": f.object.category, "seed": f.seed,
            "rotation": Rotation.from_matrix(f.rotation).as_rotvec().astype(np.float32),
            "translation": f.translation.astype(np.float32),
        }
        for f in furniture
    ]  # fmt: skip
