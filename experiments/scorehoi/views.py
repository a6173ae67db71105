"""More pictures for ScoreHOI's training: SynthHOI's people seen again, by other cameras, in other rooms and colours.

    python -m hoijax.experiments.scorehoi.views --out runs/views/scripted --scripted 5000
    python -m hoijax.experiments.scorehoi.views --out runs/views/solved --root DIR --again 8

Solving an interaction takes seconds, drawing it a tenth of one, and a network that learns to see wants pictures. There
are two kinds: solved interactions of a split, each drawn `again` times, with their own contact labels; and starts of
SynthHOI's scripts, whose contact is not fitted and is off by centimetres, so that what is nearer than `near` to the
object counts as contact. Both are drawn by SynthHOI's own program and kept as crops, wider by `MARGIN` than what the
network takes, so that augmentation has something to turn into view.

A picture is a function of seed and index. Shards are written whole or not at all; the same command goes on with a
stopped run. `Views(folder)` reads them as samples of `hoijax.experiments.scorehoi.samples`, as they are asked for.
"""

import dataclasses
import io
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from hoijax.body_models import free_body, resample_vertices
from hoijax.data.synth import SynthConfig, open_split, read_config
from hoijax.data.synth.checks import body_mesh
from hoijax.data.synth.pictures import HUMAN, OBJECT, SUPPORT
from hoijax.data.synth.samples import (
    body_fields,
    body_piece,
    keypoint_places,
    object_piece,
    object_points,
    picture,
)
from hoijax.data.synth.sampling import draw, instance
from hoijax.data.synth.start import Placed
from hoijax.data.synth.styles import project
from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.common.runs import check_same_run
from hoijax.experiments.scorehoi.samples import random_surface, training_sample, truth_from_synth
from hoijax.experiments.scorehoi.states import POSES
from hoijax.io import output_directory, remove_partial_files, write_bytes, write_json, write_npz
from hoijax.systems.scorehoi.inputs import Layout

SHARD = 200
"""Pictures of a shard: what is lost by a kill."""
MARGIN = 1.25
"""Side of the stored pictures over that of the crops."""
FLOOR = 0.02
"""Template points below this height touch the floor, metres; SynthHOI's own rule."""
_SURFACE = 4000


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    out: pathlib.Path
    """Folder of the pictures."""
    root: pathlib.Path | None = None
    """Root of a built SynthHOI, for its solved interactions."""
    split: str = "train"
    """Whose solved interactions, instances and body shapes are drawn."""
    scripted: int = 0
    """Pictures of unsolved starts."""
    again: int = 0
    """Pictures of each solved interaction."""
    crop: int = 256
    """Pixels of a side of the network's input."""
    geometry: int = 256
    """Numbers of the object's global feature."""
    vertices: int = 431
    """How many vertices of the body carry contact labels."""
    image_size: int = 384
    """Side of the pictures that the crops are cut from."""
    near: float = 0.03
    """Distance of contact of unsolved starts, metres."""
    seed: int = 1
    until: int | None = None
    """Stop after so many shards of pictures, to go on another time."""

    def __post_init__(self):
        if min(self.scripted, self.again) < 0 or not self.scripted + self.again:
            raise InputError(
                f"wanted --scripted N or --again N, one of them above zero, got {self.scripted} and {self.again}"
            )
        if self.again and self.root is None:
            raise InputError("--again needs --root, the folder that `hoijax data build synth_hoi` filled")


@dataclasses.dataclass(frozen=True)
class Views:
    """Drawn pictures as training samples.

    Args:
      folder: of a finished run.

    Raises:
      InputError: it is none.
    """

    folder: pathlib.Path
    facts: dict[str, Any] = dataclasses.field(init=False)
    images: list[np.ndarray] = dataclasses.field(init=False)
    fields: list[Mapping[str, np.ndarray]] = dataclasses.field(init=False)

    def __post_init__(self):
        path = self.folder / "views.json"
        if not path.is_file():
            raise InputError(f"{self.folder} holds no finished pictures of hoijax.experiments.scorehoi.views")
        facts = json.loads(path.read_text())
        names = range(facts["shards"])
        images = [np.load(_image_path(self.folder, i), mmap_mode="r", allow_pickle=False) for i in names]
        fields = []
        for i in names:
            with np.load(_field_path(self.folder, i), allow_pickle=False) as data:
                fields.append({name: data[name] for name in data.files})
        for name, value in (("facts", facts), ("images", images), ("fields", fields)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return self.facts["count"]

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        shard, row = divmod(index, SHARD)
        stored = np.asarray(self.images[shard][row])
        masks = [(stored[..., 3] >> bit & 1).astype(np.float32) for bit in range(2)]
        image = np.concatenate([stored[..., :3].astype(np.float32) / 255, np.stack(masks, axis=-1)], axis=-1)
        return {"image": image} | {name: value[row] for name, value in self.fields[shard].items()}


def run(config: Config) -> Views | None:
    """Draws what is missing.

    Returns:
      The pictures; None where `until` stopped it before the last.

    Raises:
      InputError: SynthHOI is missing, or the folder holds other pictures.
    """
    solved = open_split(config.root, config.split) if config.again else ()
    built = read_config(config.root) if config.root else None
    synth = dataclasses.replace(built or SynthConfig(), image_size=config.image_size)
    out = output_directory(config.out)
    check_same_run(out, config, ("out", "root", "until"))
    remove_partial_files(out)
    layout = _layout(config)
    count = config.scripted + config.again * len(solved)
    shards = -(-count // SHARD)
    for shard in tqdm(range(min(shards, config.until or shards)), desc="views", unit="shard", disable=None):
        if _image_path(out, shard).exists():
            continue
        indices = range(shard * SHARD, min((shard + 1) * SHARD, count))
        samples = [_sample(config, synth, solved, layout, i, count) for i in indices]
        fields = {name: np.stack([s[name] for s in samples]) for name in samples[0] if name != "image"}
        write_npz(_field_path(out, shard), fields)
        write_bytes(_image_path(out, shard), _npy(np.stack([_pack_image(s["image"]) for s in samples])))
    if config.until is not None and config.until < shards:
        return None
    write_json(out / "views.json", {"count": count, "shards": shards, "solved": len(solved)})
    return Views(out)


def _layout(config: Config) -> Layout:
    model = free_body("default")
    ids = resample_vertices(model, config.vertices).ids
    return Layout(model, ids, crop=config.crop, geometry=config.geometry, margin=MARGIN)


def _sample(
    config: Config, synth: SynthConfig, solved: Any, layout: Layout, index: int, count: int
) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([config.seed, 7, index])
    # Solved ones are spread evenly over the run, so that any part of it holds its share of them.
    before, after = (config.again * len(solved) * k // count for k in (index, index + 1))
    if after > before:
        sample = solved[before % len(solved)]
        body = sample["body"]
        vectors = np.concatenate([np.asarray(body[name], np.float64).reshape(-1, 3) for name in POSES])
        placed = _place(sample["category"], int(sample["object_seed"]), sample["obj_rot"], sample["obj_trans"])
        furniture = [_place(f["category"], f["seed"], f["rotation"], f["translation"]) for f in sample["furniture"]]
        given = sample
        pose = Rotation.from_rotvec(vectors).as_matrix(), np.asarray(body["betas"]), np.asarray(body["transl"])
    else:
        drawn = draw(synth, config.split, index, 0)
        start, given = drawn.start, None
        placed = dataclasses.replace(start.placed, seed=drawn.object_seed)
        furniture = list(start.furniture)
        pose = start.puppet.rotations, start.puppet.betas, start.puppet.translation
    return training_sample(truth_from_synth(_truth_fields(config, synth, rng, pose, placed, furniture, given)), layout)


def _place(category: str, seed: int, rotation: np.ndarray, translation: np.ndarray) -> Placed:
    turn = Rotation.from_rotvec(np.asarray(rotation, np.float64)).as_matrix()
    return Placed(instance(category, seed), turn, np.asarray(translation, np.float64), seed)


def _truth_fields(
    config: Config,
    synth: SynthConfig,
    rng: np.random.Generator,
    pose: tuple[np.ndarray, np.ndarray, np.ndarray],
    placed: Placed,
    furniture: list[Placed],
    given: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The fields of one picture that `truth_from_synth` reads; contacts of `given` where they are known."""
    vertices, joints = body_mesh(*pose)
    pieces = [body_piece(rng, vertices), object_piece(rng, placed, OBJECT)]
    pieces += [object_piece(rng, piece, SUPPORT) for piece in furniture]
    known = given is not None
    points = np.asarray(given["object_points"]) if known else object_points(placed.object.category, placed.seed)
    world = points @ placed.rotation.T + placed.translation
    wanted = [vertices[::7], world if max(placed.object.size) < 1.1 else world[_distance(vertices, world) < 0.1]]
    drawn, _, camera, _ = picture(synth, config.split, rng, pieces, joints, np.concatenate(wanted))
    keypoints = keypoint_places(vertices, joints)
    if known:
        touched = {name: given[name] for name in ("body_contact", "object_points_contact")}
    else:
        faces = np.asarray(placed.object.mesh.faces)
        surface = random_surface(placed.vertices(), faces, _SURFACE, seed=int(rng.integers(1 << 31)))
        touched = {
            "body_contact": _distance(surface, vertices) < config.near,
            "object_points_contact": _distance(vertices, world) < config.near,
        }
    return touched | {
        "image": drawn.image, "human_mask": drawn.label == HUMAN, "object_mask": drawn.label == OBJECT,
        "body": body_fields(*pose), "T_camera_world": camera[1],
        "obj_rot": Rotation.from_matrix(placed.rotation).as_rotvec(), "obj_trans": placed.translation,
        "keypoints_3d": keypoints, "keypoints_2d": project(keypoints, *camera)[0],
        "object_points": points, "object_points_floor": world[:, 1] < FLOOR,
    }  # fmt: skip


def _distance(to: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Of each point to the nearest of others."""
    return cKDTree(to).query(points)[0]


def _pack_image(image: np.ndarray) -> np.ndarray:
    """Colours and, as bits of a fourth channel, masks."""
    bits = (image[..., 3] > 0.5) + 2 * (image[..., 4] > 0.5)
    return np.concatenate([np.round(255 * image[..., :3]), bits[..., None]], axis=-1).astype(np.uint8)


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _image_path(folder: pathlib.Path, shard: int) -> pathlib.Path:
    return folder / f"images-{shard:05d}.npy"


def _field_path(folder: pathlib.Path, shard: int) -> pathlib.Path:
    return folder / f"fields-{shard:05d}.npz"


def main() -> None:
    """The command line."""
    run_command(run, Config)


if __name__ == "__main__":
    main()
