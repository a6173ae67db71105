"""Solved scenes seen again: other cameras, mirror images, other furniture around, for a depth picture each.

To fit a person to furniture takes seconds, to look at the two once more a tenth of one. Of each scene there are many
views, which share the person, shape and what the person touches; so a split is by scenes, never by views.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from hoijax.body_models import free_body
from hoijax.data.synth import styles
from hoijax.data.synth.checks import body_mesh
from hoijax.data.synth.config import SCENE_SPLITS, SynthConfig
from hoijax.data.synth.pictures import HUMAN, OBJECT, PictureMeshes, depth_in_room
from hoijax.data.synth.samples import body_fields, choose_camera
from hoijax.data.synth.sampling import source
from hoijax.data.synth.scenes import Person, find_people, furnish
from hoijax.data.synth.schema import decode_depth, encode_depth
from hoijax.errors import InputError
from hoijax.io import output_directory, read_json, read_npz, remove_partial_files, write_json, write_npz

ACTIONS = ("lean", "lie", "sit", "lean", "lie")
"""What people do, in turn; those who lean and lie were moved when nothing was wrong with them, so they are many."""
STANDING = 8
"""Every so manieth person stands or walks."""
SHARD = 50
"""Scenes that are solved together."""
_CAPACITY = 8192
"""Vertices and faces are filled up to multiples of this, so that few programs serve all pictures."""
_BODY = ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "betas", "transl")
_USE = 4
"""Of `sampling.source`: others are taken by the scenes' own furniture and pictures."""


@dataclasses.dataclass(frozen=True)
class ReviewConfig:
    """One build of views; equal values give equal files on the same machine."""

    split: str = "scenes_train"
    """Whose pools of instances and shapes, of `SCENE_SPLITS`."""
    scenes: int = 600
    """Solved people."""
    views: int = 10
    """Of each."""
    farthest: float = 6.0
    """Of the cameras from the middle of the person, metres."""
    image_size: int = 192
    """Side of the depth pictures, pixels."""
    steps: int = 150
    """Gradient steps of the contact fitting."""
    seed: int = 0

    def __post_init__(self):
        if self.split not in SCENE_SPLITS:
            raise InputError(f"split must be one of {', '.join(SCENE_SPLITS)}, got {self.split!r}")
        for name, least in (("scenes", 1), ("views", 1), ("image_size", 64), ("steps", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not self.farthest > 0:
            raise InputError(f"farthest must be above zero, got {self.farthest}")

    def synth(self) -> SynthConfig:
        """The build of SynthHOI whose people these are."""
        return SynthConfig(
            train=0, val=0, test=0, test_unseen_category=0, scenes=0, seed=self.seed, actions=ACTIONS,
            image_size=self.image_size, steps=self.steps,
        )  # fmt: skip


def build_reviews(config: ReviewConfig, folder: str | pathlib.Path, *, progress: bool = True) -> pathlib.Path:
    """Makes the views, or goes on where an earlier run was stopped; one file for each solved scene.

    Args:
      config: what to make.
      folder: where to.
      progress: whether a bar is shown.

    Returns:
      The folder.

    Raises:
      InputError: the folder cannot be written, or holds another build.
    """
    folder = output_directory(folder)
    wanted, path = dataclasses.asdict(config), folder / "config.json"
    if path.exists() and read_json(path) != wanted:
        raise InputError(f"{folder} holds views of another configuration; choose another folder")
    write_json(path, wanted)
    remove_partial_files(folder)
    with tqdm(total=config.scenes, unit="scene", desc=config.split, disable=not progress) as bar:
        for first in range(0, config.scenes, SHARD):
            indices = range(first, min(first + SHARD, config.scenes))
            missing = [i for i in indices if not _file(folder, i).exists()]
            # People are solved side by side, and depend on who is solved with them.
            people = find_people(config.synth(), config.split, indices, STANDING)[0] if missing else {}
            for index in missing:
                write_npz(_file(folder, index), _stack([review(config, people[index], index, view)
                                                        for view in range(config.views)]))  # fmt: skip
                bar.update()
            bar.update(len(indices) - len(missing))
    return folder


def review(config: ReviewConfig, person: Person, index: int, view: int) -> dict[str, Any]:
    """One view of a solved scene without its person.

    Args:
      config: of the build.
      person: who is there.
      index: of the scene.
      view: its number; decides with the index about everything else.

    Returns:
      `depth_empty` (H, W), metres, 0 where nothing is; `intrinsics`, `T_camera_world`; `body`, the field's keys;
      `action` and whether it is `mirrored`: the fields of SynthHOI's scenes that GRAFT wants.
    """
    rng = source(config.synth(), config.split, index, view, use=_USE)
    furniture = [
        (f.vertices(), np.asarray(f.object.mesh.faces)) for f in furnish(rng, config.synth(), config.split, person)
    ]
    rotations, translation, vertices = person.rotations, person.translation, person.vertices
    mirrored = bool(rng.random() < 0.5)
    if mirrored:
        rotations, translation = mirror(rotations, translation)
        vertices = body_mesh(rotations, person.betas, translation)[0]
        furniture = [(v * [-1, 1, 1], f[:, ::-1]) for v, f in furniture]
    small = free_body("test")
    pieces = [*furniture, (vertices[: small.num_vertices], np.asarray(small.faces))]
    labels = [OBJECT] * len(furniture) + [HUMAN]
    meshes = _join(pieces, labels)
    intrinsics, transform, eye = choose_camera(rng, meshes, vertices[::7], config.image_size)
    transform, eye = step_back(rng, transform, eye, vertices.mean(axis=0), config.farthest)
    room = styles.room_around(rng, np.concatenate([v for v, _ in pieces]), eye).astype(np.float32)
    empty = np.where((meshes.labels == HUMAN)[:, None], 0, meshes.faces)
    depth = np.asarray(depth_in_room(meshes.vertices, empty, (intrinsics, transform), room, config.image_size))
    return {
        "depth_empty": depth, "intrinsics": intrinsics, "T_camera_world": transform, "action": person.action,
        "mirrored": mirrored, "body": body_fields(rotations, person.betas, translation),
    }  # fmt: skip


def mirror(rotations: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (J, 3, 3) and translation of the mirror image of the free body in the plane x = 0, exactly.

    Its template and shapes are symmetric, so the shape stays as it is.
    """
    names = free_body("test").joint_names
    other = {"left": "right", "right": "left"}
    parts = [name.partition("_") for name in names]
    order = [names.index(other.get(side, side) + under + rest) for side, under, rest in parts]
    return np.asarray(rotations)[order] * np.outer([-1, 1, 1], [-1, 1, 1]), np.asarray(translation) * [-1, 1, 1]


def step_back(
    rng: np.random.Generator, transform: np.ndarray, eye: np.ndarray, middle: np.ndarray, farthest: float
) -> tuple[np.ndarray, np.ndarray]:
    """A camera moved back along its axis by a random way: T_camera_world and its place.

    Args:
      rng: source of chance.
      transform: T_camera_world.
      eye: its place.
      middle: of the person.
      farthest: from the middle at most, metres; a camera that is as far already stays.
    """
    # Its square is drawn: half of the cameras move by less than a fourth of the way that there is.
    back = max(0.0, farthest - float(np.linalg.norm(eye - middle))) * rng.random() ** 2
    moved = np.array(transform)
    moved[2, 3] += back
    return moved, eye - back * moved[2, :3]


class Reviews(Sequence):
    """The views of a build; `views[i]` is what `review` gives. Views of one scene are neighbours."""

    def __init__(self, folder: str | pathlib.Path):
        """Raises `InputError` where there is no finished build."""
        self.folder = pathlib.Path(folder)
        if not (self.folder / "config.json").is_file():
            raise InputError(f"no views of scenes at {self.folder}; build them with hoijax.data.synth.reviews")
        self.config = ReviewConfig(**read_json(self.folder / "config.json"))
        missing = [i for i in range(self.config.scenes) if not _file(self.folder, i).exists()]
        if missing:
            raise InputError(f"{self.folder} lacks {len(missing)} of its {self.config.scenes} scenes; build it again")

    def __len__(self) -> int:
        return self.config.scenes * self.config.views

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"view {index} of {len(self)}")
        scene, view = divmod(index % len(self), self.config.views)
        arrays = read_npz(_file(self.folder, scene), kinds="biufU")
        start, end = arrays["ends"][view], arrays["ends"][view + 1]
        return {
            "depth_empty": decode_depth(arrays["depths"][start:end].tobytes()),
            "intrinsics": arrays["intrinsics"][view], "T_camera_world": arrays["T_camera_world"][view],
            "action": str(arrays["action"][view]), "mirrored": bool(arrays["mirrored"][view]),
            "body": {name: arrays[name][view] for name in _BODY},
        }  # fmt: skip


def _file(folder: pathlib.Path, scene: int) -> pathlib.Path:
    return folder / f"scene-{scene:06d}.npz"


def _stack(views: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """The arrays of a file: depths as PNG, one after the other."""
    pictures = [encode_depth(view["depth_empty"]) for view in views]
    names = ("intrinsics", "T_camera_world", "action", "mirrored")
    return {
        "depths": np.frombuffer(b"".join(pictures), np.uint8),
        "ends": np.cumsum([0, *map(len, pictures)]),
        **{name: np.stack([view[name] for view in views]) for name in names},
        **{name: np.stack([view["body"][name] for view in views]) for name in _BODY},
    }


def _join(pieces: list[tuple[np.ndarray, np.ndarray]], labels: list[int]) -> PictureMeshes:
    """Meshes as one, filled up; without what only colours want."""
    firsts = np.cumsum([0, *(len(v) for v, _ in pieces)])
    faces = np.concatenate([f + first for (_, f), first in zip(pieces, firsts)]).astype(np.int32)
    label = np.repeat(np.asarray(labels, np.int32), [len(f) for _, f in pieces])
    vertices = np.concatenate([v for v, _ in pieces]).astype(np.float32)
    rows, more = -len(faces) % _CAPACITY, -len(vertices) % _CAPACITY
    return PictureMeshes(
        vertices=np.pad(vertices, ((0, more), (0, 0))), faces=np.pad(faces, ((0, rows), (0, 0))),
        normals=None, colors=None, places=None, labels=np.pad(label, (0, rows), constant_values=OBJECT),
    )  # fmt: skip
