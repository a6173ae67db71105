"""Training pairs for the light contact network: SynthHOI's scripts before their fit or its samples, without pictures.

What the network reads of a picture are a person's landmarks and the object's mask, and both follow from geometry; so a
pair costs 20 ms instead of two seconds, and cameras are drawn anew at every look. Contact is that of the scripted
start, where a part that was asked to touch is taken to have been brought to the object: within 1 cm of its nearest 3 %.
That is not quite what a fit gives; pairs of a build's training samples have their own contact.

    python -m hoijax.experiments.interactvlm.light_data --out scripts.npz --count 3000
    python -m hoijax.experiments.interactvlm.light_data --out fitted.npz --synth DIR
"""

import dataclasses
import pathlib
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from hoijax.body_models import contact_regions, free_body
from hoijax.data.objects import CATEGORIES
from hoijax.data.synth import UNSEEN, SynthConfig, open_split, styles
from hoijax.data.synth.checks import body_mesh
from hoijax.data.synth.samples import POINT_TOUCHES
from hoijax.data.synth.sampling import Candidate, draw
from hoijax.data.synth.start import Placed
from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.interactvlm.redraw import mirrored_vertices, stands
from hoijax.io import write_npz
from hoijax.systems.interactvlm.pairs import JOINTS, OBJECT_POINTS, even_points, vertex_normals

WORDS: tuple[str, ...] = tuple(name for name in CATEGORIES if name not in UNSEEN)
"""Labels that are taught."""
LEVEL = "test"
"""Level of detail of the body whose vertices are labelled."""
CLOUD, ASKED, CAMERAS = 1024, 192, 6
"""Points of an object that its mask is made of, that are labelled, cameras of a pair."""
_BROUGHT, _TOUCHES, _NEAR = 0.01, 0.01, 0.06
"""How much farther than its nearest 3 % a part still touches; from where anything else does; distances end there."""
_OBJECT_TOUCHES = 0.018
"""A point of the object touches what is nearer than this: before the fit hands hover a little."""
_VIEW = 2
"""Side of the cameras' pictures: pixels are from 0 to 2."""


def word_of(category: str) -> int:
    """Number of a category's label; 0: it is not taught."""
    return WORDS.index(category) + 1 if category in WORDS else 0


@dataclasses.dataclass(frozen=True)
class Config:
    """Which pairs."""

    out: pathlib.Path
    """The file."""
    count: int = 3000
    """Pairs of scripts; a fourth of them are mirror images of others."""
    seed: int = 7
    """Of SynthHOI's draws."""
    real: float = 0.4
    """Share of shapes that nobody here drew, where there are some."""
    synth: pathlib.Path | None = None
    """A build: pairs are all its training samples and their mirror images, instead of scripts."""

    def __post_init__(self):
        if self.count < 1:
            raise InputError(f"count must be at least 1, got {self.count}")


def make_pairs(config: Config) -> dict[str, np.ndarray]:
    """Pairs as arrays with a leading axis: what `light.Source` draws batches from."""
    synth = SynthConfig(seed=config.seed, real=config.real, instances=1024, shapes=4096)
    mirrored = mirrored_vertices(LEVEL)
    rows: list[dict[str, np.ndarray]] = []
    index = 0
    while len(rows) < config.count:
        row = make_row(draw(synth, "train", index, 0), np.random.default_rng([config.seed, index]))
        if row is not None:
            rows.append(row)
            if index % 3 == 0:
                rows.append(mirror_row(row, mirrored))
        index += 1
    return {name: np.stack([row[name] for row in rows[: config.count]]) for name in rows[0]}


def make_fitted_pairs(config: Config) -> dict[str, np.ndarray]:
    """Pairs of a build's training samples, each followed by its mirror image.

    Raises:
      InputError: there is no such build.
    """
    mirrored, rows = mirrored_vertices(LEVEL), []
    samples = open_split(config.synth, "train")
    for index in range(len(samples)):
        row = fitted_row(samples[index], np.random.default_rng([config.seed, index]))
        rows += [row, mirror_row(row, mirrored)]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def fitted_row(sample: dict[str, Any], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One pair of a sample of SynthHOI, with its own contact; a category that is not taught has the number 0.

    Args:
      sample: of a build.
      rng: of points and cameras.
    """
    vertices, joints, placed = stands(sample)
    touches = np.asarray(sample["body_contact"])[: free_body(LEVEL).num_vertices]
    return _row(word_of(sample["category"]), vertices, joints, placed, touches, POINT_TOUCHES, rng)[0]


def make_row(candidate: Candidate, rng: np.random.Generator) -> dict[str, np.ndarray] | None:
    """One pair of a script; None where nothing touches.

    Args:
      candidate: a scripted start.
      rng: of points and cameras.
    """
    start = candidate.start
    vertices, joints = body_mesh(start.puppet.rotations, start.puppet.betas, start.puppet.translation)
    mesh, placed = start.placed.object.mesh, start.placed
    few = vertices[: free_body(LEVEL).num_vertices]
    distance = signed_to_cloud(few, placed, np.asarray(mesh.vertices, float), np.asarray(mesh.faces))
    touches = touching_vertices(distance, start.contact)
    row, gap = _row(word_of(candidate.category), vertices, joints, placed, touches, _OBJECT_TOUCHES, rng)
    return row if touches.any() and (gap < 3 * _OBJECT_TOUCHES).any() else None


def _row(
    word: int, vertices: np.ndarray, joints: np.ndarray, placed: Placed, touches: np.ndarray, near: float,
    rng: np.random.Generator,
) -> tuple[dict[str, np.ndarray], np.ndarray]:  # fmt: skip
    """A pair's arrays, and how far the body is from the points of the object that are labelled: these touch what is
    nearer than `near`, metres."""
    few, mesh = vertices[: free_body(LEVEL).num_vertices], placed.object.mesh
    corners, faces = np.asarray(mesh.vertices, float), np.asarray(mesh.faces)
    cloud, normals = even_points(corners, faces, CLOUD, rng.uniform(0.1, 0.9))
    tree = cKDTree(vertices)
    world = cloud @ placed.rotation.T + placed.translation
    chosen = rng.choice(CLOUD, ASKED // 2, replace=False)
    ids = rng.integers(0, len(corners), ASKED // 2)
    asked = np.concatenate([cloud[chosen], corners[ids]])
    asked_normals = np.concatenate([normals[chosen], vertex_normals(corners, faces)[ids]])
    gap = tree.query(asked @ placed.rotation.T + placed.translation)[0]
    named = _named_points(vertices, joints)
    points, point_normals = even_points(corners, faces, OBJECT_POINTS)
    cameras = [_camera(rng, vertices, placed) for _ in range(CAMERAS)]
    row = {
        "word": np.array(word, np.int32),
        "joints": np.float32(named), "body": np.float16(few), "cloud": np.float16(world),
        "points": np.float32(points), "normals": np.float32(point_normals),
        "asked": np.float32(asked), "asked_normals": np.float32(asked_normals),
        "touches": touches, "asked_touches": gap < near,
        "joint_gap": np.float32(cKDTree(world).query(named)[0]),
        "point_gap": np.float32(tree.query(points @ placed.rotation.T + placed.translation)[0]),
        "cameras": np.float32(cameras),
    }  # fmt: skip
    return row, gap


def signed_to_cloud(points: np.ndarray, placed: Placed, corners: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Distances of points to an object, negative behind its nearest face's plane, at most `_NEAR`; metres."""
    dense, normals = even_points(corners, faces, 6000)
    local = (points - placed.translation) @ placed.rotation
    found, index = cKDTree(dense).query(local, distance_upper_bound=_NEAR)
    near = np.isfinite(found)
    offset = local[near] - dense[index[near]]
    height = np.einsum("ij,ij->i", offset, normals[index[near]])
    # Samples lie centimetres apart: beside one, the height over its plane is the distance.
    level = np.linalg.norm(offset - height[:, None] * normals[index[near]], axis=1) < 0.025
    out = np.full(len(points), _NEAR)
    out[near] = np.where(level, height, found[near])
    return np.where(out < -_NEAR, _NEAR, out)


def touching_vertices(distance: np.ndarray, parts: tuple[str, ...], level: str = LEVEL) -> np.ndarray:
    """Which vertices touch, once the parts that were asked to are brought to the object.

    Args:
      distance: of the vertices, metres (`signed_to_cloud`).
      parts: regions that were asked to.
      level: of the body.
    """
    touches = distance < _TOUCHES
    regions = contact_regions(free_body(level))
    for part in parts:
        mine = distance[regions[part]]
        nearest = np.sort(mine)[: max(3, int(0.03 * len(mine)))].mean()
        touches[regions[part]] |= mine < min(nearest, _NEAR / 2) + _BROUGHT
    return touches


def _named_points(vertices: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """The network's points of a posed "default" free body, (27, 3)."""
    model = free_body("default")
    places = dict(model.landmarks)
    return np.stack([joints[model.joint_names.index(n)] if n in model.joint_names else vertices[places[n]]
                     for n in JOINTS])  # fmt: skip


def _camera(rng: np.random.Generator, vertices: np.ndarray, placed: Placed) -> np.ndarray:
    """Focal length (pixels of a picture of side 2) and T_camera_world in one row of 13 numbers, as SynthHOI's."""
    wanted = [vertices[::14]]
    if max(placed.object.size) < 1.1:
        wanted.append(placed.vertices()[::3])
    intrinsics, transform, _ = styles.camera(rng, np.concatenate(wanted), _VIEW)
    return np.concatenate([intrinsics[:1, 0], transform[:3].reshape(-1)])


def mirror_row(row: dict[str, np.ndarray], mirrored: np.ndarray) -> dict[str, np.ndarray]:
    """The mirror image of a pair, x for -x in the world and in the object's frame."""
    swap = [JOINTS.index(_other_side(name)) for name in JOINTS]
    flip = np.array([-1, 1, 1])
    out = dict(row)
    for name in ("points", "normals", "asked", "asked_normals", "cloud"):
        out[name] = (row[name] * flip).astype(row[name].dtype)
    out["joints"] = np.float32(row["joints"][swap] * flip)
    out["joint_gap"] = row["joint_gap"][swap]
    out["body"], out["touches"] = np.float16(row["body"][mirrored] * flip), row["touches"][mirrored]
    # A camera of the mirror image: x turned in the world and in the picture.
    transforms = row["cameras"][:, 1:].reshape(-1, 3, 4) * np.array([-1, 1, 1])[None, :, None]
    transforms = transforms * np.array([-1, 1, 1, 1])[None, None]
    out["cameras"] = np.float32(np.concatenate([row["cameras"][:, :1], transforms.reshape(len(transforms), 12)], 1))
    return out


def _other_side(name: str) -> str:
    return name.replace("left_", "*").replace("right_", "left_").replace("*", "right_")


def save_pairs(config: Config) -> dict[str, Any]:
    """Makes pairs and writes them.

    Raises:
      InputError: the file cannot be written, or there is no such build.
    """
    arrays = make_pairs(config) if config.synth is None else make_fitted_pairs(config)
    write_npz(config.out, arrays)
    return {"pairs": len(arrays["word"]), "touching": float(arrays["touches"].mean())}


if __name__ == "__main__":
    print(run_command(save_pairs, Config))
