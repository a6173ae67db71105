"""Poses of a body beside an object: rows of the diffusion prior, drawn by the bank's scripts and refined.

    python -m hoijax.experiments.interactanything.poses --work FOLDER

A case is a sentence and a mesh: procedural objects of SynthHOI's pools, the CC0 shapes that come with hoijax and the
shapes of the fifty prompts' ten nouns, each stretched along its axes. Of each case the bank draws some starts; of a few
cases these go through stages D and E, and what touches without penetrating is kept as a refined row. Finished pieces
are kept in the folder, so that it can be stopped. Splits share no instance: "val" are other seeds of the procedural
objects and other CC0 shapes, as they are, without the ten nouns' own shapes.
"""

import dataclasses
import pathlib
import zlib
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import tyro

from hoijax.body_models import BodyModel, free_body
from hoijax.data.objects.real import shipped
from hoijax.data.synth.sampling import instance
from hoijax.errors import InputError
from hoijax.experiments.interactanything.shapes import SHAPES
from hoijax.experiments.interactanything.touches import GROUPS, VALIDATION
from hoijax.geometry import Mesh, sixd_from_rotation
from hoijax.interaction import make_solid_template
from hoijax.io import read_npz, write_npz
from hoijax.nets.interactanything import Condition
from hoijax.systems.interactanything import OptimiseConfig, Prepared, SynthesisConfig, prepare, run
from hoijax.systems.interactanything.prior import condition_of
from hoijax.systems.interactanything.relations import reason
from hoijax.systems.interactanything.starts import Start, draw_starts

Split = Literal["train", "val"]
HOLD = ("holds {} with both hands", "lifts {}", "carries {}")
HANDS = (*HOLD, "lifts {} overhead", "holds {} with the left hand", "hugs {}")
SEAT = ("sits on {}", "stands on {}", "pushes {}", "lifts {} with both hands", "leans on the back of {}")
TABLE = ("leans on {}", "pushes {}", "wipes {}", "leans against {}", "sits on {}", "lies on {}")
UPRIGHT = ("pushes {}", "leans against {}", "touches {}", "stands next to {}")
SENTENCES: dict[str, tuple[str, ...]] = {
    "backpack": ("carries {} on the back", *HANDS, "opens {} on the ground"),
    "ball": ("dribbles {}", "sits on {}", "stands with one foot on {}", "kicks {}", *HANDS),
    "bat": ("swings {}", "carries {} with the right hand", *HOLD),
    "bed": ("lies on {}", "sits on {}", "leans on {}"),
    "bench": ("sits on {}", "lies on {}", "stands on {}", "leans on {}"),
    "bicycle": ("rides {}", "pushes {}", "stands next to {} holding the handlebar"),
    "bottle": ("drinks from {}", "holds {} with the right hand", "lifts {}"),
    "box": (*HANDS, "sits on {}", "pushes {}"),
    "chair": (*SEAT, "pulls {}"),
    "cup": ("drinks from {}", "holds {} with the right hand", "lifts {}"),
    "desk": TABLE[:5],
    "door": ("opens {}", "pushes {}", "leans against {}"),
    "keyboard": ("types on {}", "holds {} under the arm", "carries {} with the right hand", *HANDS),
    "laptop": ("types on {}", "holds {} under the arm", "carries {} with the right hand", *HOLD),
    "monitor": ("carries {} with both arms", "touches the screen of {}", "lifts {} overhead", "leans on {}", "hugs {}"),
    "racket": ("swings {}", "carries {} with the right hand", *HOLD),
    "skateboard": ("stands on {}", "holds {} under the arm", *HOLD),
    "sofa": ("sits on {}", "lies on {}", "stands on {}", "pushes {}"),
    "stool": ("sits on {}", "stands on {}", "lifts {} with both hands", "pushes {}"),
    "suitcase": ("pulls {}", "carries {} by the handle", "sits on {}", "opens {}", *HANDS),
    "table": TABLE,
    "trolley": ("pushes {}", "pulls {}"),
    "umbrella": ("carries {} with the right hand", "holds {} with the left hand", "lifts {}"),
    "motorcycle": ("rides {}", "pushes {}", "leans against {}", "stands next to {} holding the handlebar",
                   "sits sideways on {}"),
    "car": ("pushes {}", "leans against {}", "sits on the hood of {}", "opens the door of {}", "lifts {}"),
    "doll": ("cradles {}", "lifts {} overhead", "holds {} by the hand", "kisses the head of {}",
             "carries {} on the shoulders", "hugs {}"),
    "robot": ("shakes hands with {}", "hugs {}", "pushes {}", "dances with {}, holding both hands",
              "pats the head of {}"),
    "seat": SEAT,
    "large": ("hugs {}", "lifts {}", "pushes {}", "holds {} with both hands"),
    "small": HOLD,
    "cabinet": UPRIGHT,
}  # fmt: skip
"""What is done with objects of a category or of a group of CC0 shapes."""
OF_PROMPTS = {"motorcycle": "motorcycle", "car": "car", "baby doll": "doll", "humanoid robot": "robot"}
"""Shapes of the fifty prompts that the catalogue does not have, to their word here."""
INSTANCES = 3
"""Of a procedural category, and stretched copies of a shape of the fifty prompts."""
STRETCH = 0.08
"""Standard deviation of the logarithm of an axis' stretch."""
SEEDS = {"train": 0, "val": 100_000}
"""First seed of procedural objects: of SynthHOI's pools."""


@dataclasses.dataclass(frozen=True)
class Config:
    """What is made."""

    work: pathlib.Path
    """Folder of the pieces."""
    split: Split = "train"
    draws: int = 8
    """Starts of each case."""
    refined: int = 10
    """Every so many cases are refined; 0: none."""
    first: int = 0
    """Only meshes from this one on, and"""
    last: int | None = None
    """up to this one; None: all."""
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Thing:
    """A mesh and what is done with it."""

    name: str
    noun: str
    mesh: Mesh
    sentences: tuple[str, ...]


def things(split: Split, seed: int = 0) -> Iterator[Thing]:
    """The meshes of a split and their sentences, the same in every run."""
    for category, sentences in SENTENCES.items():
        if category in ("seat", "large", "small", "cabinet", *OF_PROMPTS.values()):
            continue
        for k in range(INSTANCES if split == "train" else 1):
            mesh = instance(category, SEEDS[split] + k).mesh
            yield _thing(f"{category}_{k}", category, mesh, sentences, split, seed)
    for k, shape in enumerate(shipped("train")):
        if (k % VALIDATION == VALIDATION - 1) == (split == "val"):
            group = GROUPS.get(shape.kind, "small")
            yield _thing(shape.name, shape.kind, shape.mesh, SENTENCES[group], split, seed)
    if split == "train":
        for noun, word in OF_PROMPTS.items():
            for k in range(INSTANCES):
                yield _thing(f"{word}_{k}", noun, SHAPES[noun]().mesh, SENTENCES[word], split, seed)


def _thing(name: str, noun: str, mesh: Mesh, sentences: tuple[str, ...], split: Split, seed: int) -> Thing:
    if split == "train":
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        mesh = Mesh(np.asarray(mesh.vertices) * np.exp(STRETCH * rng.normal(size=3)), np.asarray(mesh.faces))
    return Thing(name, noun, mesh, tuple(f"A person {s.format(f'the {noun}')}" for s in sentences))


def rows_of(prepared: Prepared, starts: list[Start], refined: bool) -> dict[str, np.ndarray]:
    """Arrays of some starts, or of candidates written as starts: `State`'s, without the condition."""
    corners = np.asarray(prepared.thing.mesh.vertices, np.float64)
    middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
    rotations, own, turn, place = (
        np.stack([np.asarray(getattr(s, n), np.float64) for s in starts])
        for n in ("rotations", "translation", "object_rotation", "object_translation")
    )
    away = turn @ middle + place - own
    return {
        "rotations": np.asarray(sixd_from_rotation(rotations), np.float32),
        "height": own[:, 1:2].astype(np.float32),
        "turn": np.asarray(sixd_from_rotation(turn), np.float32),
        "middle": away.astype(np.float32),
        "feet": np.array([[1.0 if s.feet else -1.0] for s in starts], np.float32),
        "refined": np.full(len(starts), refined),
    }


def refined_starts(prepared: Prepared, starts: list[Start], seed: int) -> list[Start]:
    """What stages D and E make of starts, where it touches and does not penetrate."""
    config = SynthesisConfig(count=len(starts), draws=1, seed=seed, optimise=OptimiseConfig(tries=0))
    return [
        dataclasses.replace(
            c.start, rotations=np.asarray(c.params.rotations), translation=np.asarray(c.params.translation),
            object_rotation=np.asarray(c.pose.rotation), object_translation=np.asarray(c.pose.translation),
        )
        for c in run(prepared, config, starts).candidates
        if c.good
    ]  # fmt: skip


def mesh_rows(model: BodyModel, thing: Thing, config: Config, number: int) -> dict[str, np.ndarray]:
    """All rows of one mesh; `case` says which of its conditions a row has."""
    pieces, conditions, kept = [], [], {}
    for k, sentence in enumerate(thing.sentences):
        try:
            relations = reason(sentence, thing.mesh)
        except InputError:
            continue
        scale = relations.mesh_scale
        if scale not in kept:
            vertices = (np.asarray(thing.mesh.vertices) * scale).astype(np.float32)
            kept[scale] = make_solid_template(Mesh(vertices, np.asarray(thing.mesh.faces)))[0]
        prepared = prepare(model, kept[scale], relations)
        relations = prepared.relations
        starts = draw_starts(relations, prepared.thing, config.draws, config.seed + number)
        rows = [rows_of(prepared, starts, refined=False)]
        if config.refined and (number + k) % config.refined == 0:
            good = refined_starts(prepared, starts, config.seed)
            rows += [rows_of(prepared, good, refined=True)] if good else []
        for piece in rows:
            pieces.append(piece | {"case": np.full(len(piece["height"]), len(conditions))})
        conditions.append(condition_of(relations, prepared.thing))
    out = {key: np.concatenate([p[key] for p in pieces]) for key in pieces[0]}
    told = {f"condition_{f.name}": np.stack([getattr(c, f.name) for c in conditions])
            for f in dataclasses.fields(Condition) if f.name != "refined"}  # fmt: skip
    return out | told


def read_poses(folder: pathlib.Path, split: Split) -> dict[str, Any]:
    """All rows of a split that are in a folder; `case` counts through."""
    pieces, count = [], 0
    for path in sorted(folder.glob(f"{split}_*.npz")):
        piece = dict(read_npz(path))
        piece["case"] = piece["case"] + count
        count += len(piece["condition_choices"])
        pieces.append(piece)
    return {key: np.concatenate([p[key] for p in pieces]) for key in pieces[0]} if pieces else {}


def main(config: Config) -> None:
    """Makes what is not there yet."""
    config.work.mkdir(parents=True, exist_ok=True)
    model = free_body("light")
    for number, thing in enumerate(things(config.split, config.seed)):
        path = config.work / f"{config.split}_{thing.name}.npz"
        chosen = config.first <= number and (config.last is None or number < config.last)
        if chosen and not path.is_file():
            rows = mesh_rows(model, thing, config, number)
            write_npz(path, rows)
            print(path.stem, len(rows["height"]), int(rows["refined"].sum()), flush=True)


if __name__ == "__main__":
    main(tyro.cli(Config))
