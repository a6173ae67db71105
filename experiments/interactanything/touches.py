"""Where objects are touched: rows of the learned affordance, from SynthHOI's interactions and from our own synthesis.

    python -m hoijax.experiments.interactanything.touches --work FOLDER

A row is an object's surface as points with normals, a part of the body, a verb, and for each point whether the part
touches it. Interactions of SynthHOI are made without pictures, or read from a build (`--build`); shapes are the CC0
ones that come with hoijax. Finished pieces are kept in the folder, so that it can be stopped. Splits: SynthHOI's own;
of the shapes those for training, of which a few are for validation, and those for tests.
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import tyro
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyModel, BodyParams, contact_regions, free_body, pose_body_compiled
from hoijax.data.objects.real import shipped
from hoijax.data.synth import SynthConfig, open_split
from hoijax.data.synth.attempts import find_interactions
from hoijax.data.synth.sampling import instance
from hoijax.geometry import Mesh
from hoijax.interaction import make_solid_template
from hoijax.io import read_npz, write_json, write_npz
from hoijax.io.archives import NUMBERS
from hoijax.nets.interactanything import POINTS
from hoijax.systems.interactanything import OptimiseConfig, SynthesisConfig, prepare, run
from hoijax.systems.interactanything.learned import surface_cloud
from hoijax.systems.interactanything.relations import reason

Split = Literal["train", "val", "test"]
TOUCH = 0.025
"""A point nearer to a part than this is touched, metres."""
VALIDATION = 5
"""Every so many of the shapes for training is one for validation."""
SHARD = 50
"""Interactions of SynthHOI in a piece."""
VERBS_OF_ACTIONS = {"carry_two_hands": "carry", "carry_one_hand": "carry"}
"""Verbs of SynthHOI's actions whose names are none."""
SENTENCES = {
    "seat": ("sits on", "stands on", "pushes", "lifts"),
    "bed": ("lies on", "sits on"),
    "table": ("leans on", "pushes", "wipes"),
    "cabinet": ("leans against", "pushes", "opens"),
    "small": ("holds", "lifts", "touches"),
    "large": ("hugs", "lifts", "pushes"),
}
"""What is done with shapes of a group; of each shape two of them, in turn."""
GROUPS = {
    **dict.fromkeys(("armchair", "bench", "chair", "sofa", "stool"), "seat"),
    "bed": "bed",
    **dict.fromkeys(("table", "desk"), "table"),
    "cabinet": "cabinet",
    **dict.fromkeys(("bin", "box", "lamp", "plant", "toy", "bag", "wheelbarrow"), "large"),
}
"""Group of a kind of shape; others are small."""


@dataclasses.dataclass(frozen=True)
class Config:
    """What is made."""

    work: pathlib.Path
    """Folder of the pieces."""
    split: Split = "train"
    source: Literal["synth_hoi", "shapes"] = "synth_hoi"
    count: int = 300
    """Interactions of SynthHOI, or at most so many sentences with shapes."""
    seed: int = 0
    build: pathlib.Path | None = None
    """Folder of a SynthHOI that is built already, whose first interactions are taken; None makes them."""


@dataclasses.dataclass(frozen=True)
class Touch:
    """One row."""

    points: Float[np.ndarray, "P 3"]
    """Of the surface, the object's own frame, y up, front towards +z, metres."""
    normals: Float[np.ndarray, "P 3"]
    part: str
    """Of the body."""
    verb: str
    touched: Float[np.ndarray, "P"]
    """Share of the interactions in which the part touches the point."""
    name: str
    """Of the object, the same for all rows of one instance."""


def touched(
    points: Float[np.ndarray, "P 3"], body: Float[np.ndarray, "V 3"], regions: dict[str, np.ndarray], part: str
) -> Bool[np.ndarray, "P"]:
    """Which points a part of a body touches; all in one frame, metres."""
    return cKDTree(body[regions[part]]).query(points, distance_upper_bound=TOUCH)[0] < TOUCH


def synth_touches(split: Split, first: int, number: int, seed: int) -> Iterator[Touch]:
    """Rows of some interactions of SynthHOI."""
    found, _ = find_interactions(SynthConfig(seed=seed), split, range(first, first + number))
    for checked in found.values():
        fitted, candidate = checked.fitted, checked.fitted.candidate
        yield from _interaction_touches(
            (candidate.category, candidate.object_seed), candidate.action.name, tuple(candidate.start.contact),
            checked.vertices, fitted.object_rotation, fitted.object_translation,
        )  # fmt: skip


def built_touches(build: pathlib.Path, split: Split, first: int, number: int) -> Iterator[Touch]:
    """The same of some interactions of a SynthHOI that is built."""
    samples, model = open_split(build, split), free_body("default")
    for k in range(first, min(first + number, len(samples))):
        sample = samples[k]
        body = {name: np.asarray(value)[None] for name, value in sample["body"].items()}
        vertices = np.asarray(pose_body_compiled(model, BodyParams.from_axis_angle(model, **body)).vertices)[0]
        yield from _interaction_touches(
            (str(sample["category"]), int(sample["object_seed"])), str(sample["action"]),
            tuple(sample["contact_parts"].split(",")), vertices,
            Rotation.from_rotvec(sample["obj_rot"]).as_matrix(), sample["obj_trans"],
        )  # fmt: skip


def _interaction_touches(
    thing: tuple[str, int],
    action: str,
    parts: Sequence[str],
    body: Float[np.ndarray, "V 3"],
    rotation: Float[np.ndarray, "3 3"],
    translation: Float[np.ndarray, "3"],
) -> Iterator[Touch]:
    regions = contact_regions(free_body("default"))
    points, normals = surface_cloud(instance(*thing).mesh)
    world = points @ np.asarray(rotation, float).T + np.asarray(translation, float)
    for part in parts:
        mask = touched(world, body, regions, part)
        if mask.any():
            verb = VERBS_OF_ACTIONS.get(action, action)
            yield Touch(points, normals, part, verb, mask.astype(float), "_".join(map(str, thing)))


def shape_cases(split: Split) -> list[tuple[str, str, Mesh]]:
    """Name, sentence and mesh of what is done with the shapes of a split."""
    train = [s for k, s in enumerate(shipped("train")) if (k % VALIDATION == VALIDATION - 1) == (split == "val")]
    cases = []
    for k, shape in enumerate(shipped("test") if split == "test" else train):
        verbs = SENTENCES[GROUPS.get(shape.kind, "small")]
        for verb in {verbs[k % len(verbs)], verbs[(k + 1) % len(verbs)]}:
            cases.append((shape.name, f"A person {verb} the {shape.kind}", shape.mesh))
    return sorted(cases, key=lambda case: case[:2])


def shape_touches(model: BodyModel, name: str, sentence: str, mesh: Mesh, seed: int) -> Iterator[Touch]:
    """Rows of one sentence with one mesh, from the candidates of our own synthesis that touch and do not penetrate."""
    relations = reason(sentence, mesh)
    sized = Mesh((np.asarray(mesh.vertices) * relations.mesh_scale).astype(np.float32), np.asarray(mesh.faces))
    prepared = prepare(model, make_solid_template(sized)[0], relations)
    config = SynthesisConfig(count=4, draws=1, seed=seed, optimise=OptimiseConfig(tries=0).scaled(0.7))
    good = [c for c in run(prepared, config).candidates if c.good]
    points, normals = surface_cloud(sized)
    regions = contact_regions(model)
    for part in relations.body_parts:
        share = np.zeros(POINTS)
        for c in good:
            world = points @ np.asarray(c.pose.rotation, float).T + np.asarray(c.pose.translation, float)
            share += touched(world, np.asarray(c.body, float), regions, part) / len(good)
        if share.any():
            yield Touch(points, normals, part, relations.action, share, name)


def write_touches(path: pathlib.Path, rows: Sequence[Touch]) -> None:
    """Writes rows; there may be none."""
    shape = (len(rows), POINTS, 3)
    arrays = {
        "points": np.reshape([r.points for r in rows], shape).astype(np.float32),
        "normals": np.reshape([r.normals for r in rows], shape).astype(np.float16),
        "touched": np.reshape([r.touched for r in rows], shape[:2]).astype(np.float16),
        **{key: np.array([getattr(r, key) for r in rows], "U32") for key in ("part", "verb", "name")},
    }
    write_npz(path, arrays)


def read_touches(folder: pathlib.Path, split: Split) -> dict[str, Any]:
    """All rows of a split that are in a folder."""
    pieces = [read_npz(p, kinds=NUMBERS + "U") for p in sorted(folder.glob(f"{split}_*.npz"))]
    return {key: np.concatenate([p[key] for p in pieces]) for key in pieces[0]} if pieces else {}


def main(config: Config) -> None:
    """Makes what is not there yet."""
    config.work.mkdir(parents=True, exist_ok=True)
    if config.source == "synth_hoi":
        for first in range(0, config.count, SHARD):
            path = config.work / f"{config.split}_synth_{first:05d}.npz"
            if not path.is_file():
                number = min(SHARD, config.count - first)
                rows = (
                    synth_touches(config.split, first, number, config.seed)
                    if config.build is None
                    else built_touches(config.build, config.split, first, number)
                )
                write_touches(path, list(rows))
                print(path, flush=True)
        write_json(config.work / f"{config.split}.json", {"source": "synth_hoi", "count": config.count})
        return
    model = free_body("light")
    for name, sentence, mesh in shape_cases(config.split)[: config.count]:
        path = config.work / f"{config.split}_{name}_{sentence.split()[2]}.npz"
        if not path.is_file():
            write_touches(path, list(shape_touches(model, name, sentence, mesh, config.seed)))
            print(path, flush=True)


if __name__ == "__main__":
    main(tyro.cli(Config))
