"""ScoreHOI's first stage by a photograph's landmarks and masks, beside its regressor, on SynthHOI's pictures.

    hoijax data build synth_hoi --root ROOT --set image_size=512
    python -m hoijax.experiments.scorehoi.photo_start --root ROOT --samples 20

Rows on the same samples: the shipped regressor's estimate; ScoreHOI from it (`GuidedConfig.denoising`); body from the
landmarks that `nets.blaze` finds and from the person's mask, object from its mask, as `hoijax reconstruct` does it; and
that refined with the picture's terms. The first two see a crop of both masks, the others the picture, both masks, the
intrinsics and the mesh; none sees the truth. People whom the landmark network does not find are left out of all rows
and counted.

Numbers are the evaluation harness's (Chamfer distances after one alignment of body and object together, contact within
5 cm) and of joints about the pelvis in the camera's frame and the root's angle. A run that is stopped goes on where it
was: each sample's answers are a file below `--work`. Writes `scorehoi_photo.json` and `.md` to `--out`. Some 25 CPU
seconds a sample.
"""

import dataclasses
import pathlib
import time
from typing import Any

import jax
import numpy as np
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from hoijax.body_models import BodyParams, free_body, pose_body_compiled
from hoijax.data.evaluation import EvaluateConfig, evaluate, open_truth, read_predictions
from hoijax.data.objects import random_object
from hoijax.data.synth import open_split
from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.common.environment import software
from hoijax.experiments.common.pages import RESULTS, heading, interval, number, page, settings_of, table, write_page
from hoijax.experiments.common.splits import Split, note_of, synth_splits
from hoijax.experiments.object_from_mask import FULL, Case, read_case
from hoijax.experiments.scorehoi.predictors import template_of
from hoijax.experiments.scorehoi.samples import training_sample, truth_from_synth
from hoijax.geometry import Mesh, RigidPose
from hoijax.interaction import make_solid_template
from hoijax.io import output_directory, read_npz, write_npz
from hoijax.jobs.photo_refine import PhotoRefiner
from hoijax.metrics import bootstrap_mean
from hoijax.nets.blaze import find_people, load
from hoijax.nets.weights import shipped_file
from hoijax.optim.fields import body_field, object_field
from hoijax.optim.fitting import (
    Intrinsics,
    fit_object_compiled,
    fit_people,
    follow_outlines,
    object_scene,
    object_shape,
    object_target,
    observe_mediapipe,
    outline_target,
    prepare_body,
)
from hoijax.systems.scorehoi import GuidedConfig, compile_reconstruction, guided_scene, interaction_from_state
from hoijax.systems.scorehoi.networks import load_networks
from hoijax.systems.scorehoi.reconstruct import state_from_estimate

ROWS = ("regressor's estimate", "ScoreHOI from it", "landmarks and masks", "the same, refined with the picture")
NUMBERS = {
    "root": "root, degrees", "joints": "joints about the pelvis, mm", "chamfer_body_cm": "body Chamfer, cm",
    "chamfer_object_cm": "object Chamfer, cm", "contact_5cm_precision": "contact p", "contact_5cm_recall": "r",
    "contact_5cm_f1": "F",
}  # fmt: skip
OWN = ("root", "joints")
"""Those that are not the harness's."""
DIGITS = {"root": 1, "joints": 0, "chamfer_body_cm": 1, "chamfer_object_cm": 1}
RESOLUTION = 96
"""Samples of the objects' distance grids along their longest side, where it is refined with the picture."""
Answer = tuple[BodyParams, RigidPose]
"""Of one person, in the camera's frame, metres."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    root: pathlib.Path
    """Where SynthHOI was built."""
    split: Split = "dev"
    """"dev" to look, "test" for the page."""
    samples: int = 20
    """Of each split, the first whose object is more than half seen."""
    resamples: int = 1000
    """Of the bootstrap."""
    work: pathlib.Path = pathlib.Path("runs/scorehoi_photo")
    """Where each sample's answers are kept."""
    out: pathlib.Path = RESULTS


class Networks:
    """ScoreHOI's shipped networks, one picture at a time."""

    def __init__(self):
        self.parts = load_networks(shipped_file("scorehoi_regressor"), shipped_file("scorehoi_denoiser"))
        self.run = compile_reconstruction(self.parts.regressor, self.parts.denoiser, config=GuidedConfig.denoising())
        self.unpack = jax.jit(interaction_from_state)

    def answers(self, sample: dict[str, Any]) -> tuple[Answer, Answer]:
        """The estimate and the diffusion's answer; about the pelvis."""
        nets = self.parts
        made = training_sample(truth_from_synth(sample), nets.layout)
        scene = guided_scene([template_of(sample["category"], int(sample["object_seed"]))])
        result = self.run(nets.body, scene, made["image"][None], nets.describe(made["points"])[None])
        states = state_from_estimate(nets.body, result.estimate), result.guided.x
        found = [jax.tree.map(lambda x: np.asarray(x)[0], self.unpack(nets.body, x)) for x in states]
        return tuple((one.body, one.object) for one in found)


class Photographs:
    """Landmarks and masks to body and object."""

    def __init__(self):
        self.networks = {name: load(name) for name in ("detector", "landmarks")}
        self.coarse = free_body("test")
        self.field = body_field(free_body("light"))

    def answers(self, case: Case) -> tuple[Answer, Answer] | None:
        """As fitted and as refined; None where nobody is found."""
        people = find_people(self.networks, np.asarray(case.image, np.float32) / 255, max_people=1)
        if not np.asarray(people.score)[0] > 0.5:
            return None
        person = jax.tree.map(lambda x: np.asarray(x)[0], people)
        seen = observe_mediapipe(person.landmarks, person.visibility, person.metric, image_size=case.image.shape[:2])
        camera, prepared = Intrinsics(case.matrix, np.float32(0), "given"), prepare_body(self.coarse, seen.names)
        outline = outline_target(case.person, hidden=case.mask & ~case.person)
        fit, _ = follow_outlines(prepared, self.coarse, seen, camera, fit_people(prepared, seen, camera), outline)
        whole = random_object(case.category, case.seed).mesh
        shape = object_shape(whole)
        target = object_target(case.mask, case.matrix, person=case.person, image=case.image)
        posed = np.asarray(pose_body_compiled(self.coarse, fit.params).vertices), np.asarray(self.coarse.faces)
        pose = fit_object_compiled(shape, target, object_scene(target, posed), FULL).best
        mesh = Mesh(np.asarray(whole.vertices, np.float32), np.asarray(whole.faces, np.int32))
        template = make_solid_template(mesh, resolution=RESOLUTION)[0]
        refiner = PhotoRefiner(self.field, template, object_field(template, quick=True))
        fit, pose = jax.tree.map(np.asarray, (fit, pose))
        refined = refiner.refine(seen, case.matrix, outline, target, shape, fit, pose)
        return (fit.params, pose), (refined.params, refined.pose)


def as_arrays(answer: Answer) -> dict[str, np.ndarray]:
    """What the harness reads, and the joints."""
    params, pose = answer
    model = free_body()
    posed = pose_body_compiled(model, jax.tree.map(lambda x: np.asarray(x, np.float32), params))
    scale = 1.0 if pose.scale is None else float(np.asarray(pose.scale))
    return {
        "vertices": np.asarray(posed.vertices), "joints": np.asarray(posed.joints),
        "root": np.asarray(params.rotations)[0], "obj_trans": np.asarray(pose.translation),
        "obj_rot": Rotation.from_matrix(np.asarray(pose.rotation)).as_rotvec().astype(np.float32),
        "obj_scale": np.float32(scale),
    }  # fmt: skip


def truth_of(sample: dict[str, Any]) -> dict[str, np.ndarray]:
    """Joints and root in the camera's frame."""
    case = read_case(sample)
    joints = np.asarray(pose_body_compiled(free_body(), case.params).joints)
    turn = case.turn[:3, :3]
    return {"joints": joints @ turn.T + case.turn[:3, 3], "root": turn @ np.asarray(case.params.rotations)[0]}


def own_numbers(answer: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> dict[str, float]:
    """Degrees of the root and mean distance of 22 joints about the pelvis, mm."""
    off = Rotation.from_matrix(answer["root"] @ truth["root"].T).magnitude()
    found, true = (x["joints"][:22] - x["joints"][0] for x in (answer, truth))
    return {
        "root": float(np.degrees(off)),
        "joints": 1000 * float(np.linalg.norm(found - true, axis=1).mean()),
    }


def answer_samples(config: Config, split: str) -> tuple[list[str], int]:
    """Makes each sample's answers, unless they are there.

    Returns:
      Keys of those that every row has, and how many people were not found.
    """
    data, networks, photographs = open_split(config.root, split), None, None
    kept, lost = [], 0
    for index in tqdm(range(len(data)), desc=split, disable=None):
        if len(kept) + lost == config.samples:
            break
        sample = data[index]
        case = read_case(sample)
        if case.share <= 0.5:
            continue
        path = output_directory(config.work / split) / f"{index:05d}.npz"
        if not path.is_file():
            networks, photographs = networks or Networks(), photographs or Photographs()
            began = time.process_time()
            by_photograph = photographs.answers(case)
            seconds = time.process_time() - began
            arrays: dict[str, np.ndarray] = {"cpu_s": np.float32(seconds), "found": np.bool_(by_photograph is not None)}
            truth = truth_of(sample)
            for name, answer in zip(ROWS, (*networks.answers(sample), *(by_photograph or ()))):
                made = as_arrays(answer)
                own = own_numbers(made, truth)
                arrays |= {f"{name}/{key}": value for key, value in (made | own).items()}
            write_npz(path, arrays)
        if read_npz(path)["found"]:
            kept.append((index, str(sample["key"])))
        else:
            lost += 1
    _stack(config, split, kept)
    return [key for _, key in kept], lost


def _stack(config: Config, split: str, kept: list[tuple[int, str]]) -> None:
    """Predictions of each row for the harness."""
    made = [read_npz(config.work / split / f"{index:05d}.npz") for index, _ in kept]
    for number_of, name in enumerate(ROWS):
        stacked = {key: np.stack([one[f"{name}/{key}"] for one in made])
                   for key in ("vertices", "obj_rot", "obj_trans", "obj_scale")}  # fmt: skip
        folder = output_directory(config.work / split / str(number_of))
        write_npz(folder / "predictions.npz", stacked | {"ids": np.asarray([key for _, key in kept])})


def score_split(config: Config, split: str) -> dict[str, Any]:
    """Every row's means and intervals on a split."""
    keys, lost = answer_samples(config, split)
    source = open_truth("synth_hoi", root=config.root, split=split)
    place = {str(sample["key"]): index for index, sample in enumerate(open_split(config.root, split))}
    made = {key: read_npz(config.work / split / f"{place[key]:05d}.npz") for key in keys}
    measured = EvaluateConfig(metrics=("surface", "contact"), resamples=config.resamples)
    rows: dict[str, Any] = {}
    for number_of, name in enumerate(ROWS):
        folder = config.work / split / str(number_of)
        report = evaluate(
            source, read_predictions(folder / "predictions.npz"), folder / "scores", measured, progress=False
        )
        own = {}
        for metric in OWN:
            values = np.array([float(made[key][f"{name}/{metric}"]) for key in keys])
            own[metric] = dataclasses.asdict(bootstrap_mean(values, resamples=config.resamples))
        rows[name] = own | {metric: report.metrics.get(metric) for metric in NUMBERS if metric not in own}
    seconds = float(np.median([float(one["cpu_s"]) for one in made.values()]))
    return {"samples": len(keys), "lost": lost, "rows": rows, "cpu_s": seconds}


def markdown(record: dict[str, Any]) -> str:
    """The page of a record."""
    blocks = [
        "Made by `python -m hoijax.experiments.scorehoi.photo_start`, whose docstring says how. In brackets 95 % "
        "bootstrap intervals over samples. What is asked of a good first stage: root below 8 degrees, joints below 50 "
        "mm, object below 8 cm, F above 0.6." + note_of(record["config"])
    ]
    for split, scores in record["splits"].items():
        lost = f"; of {scores['lost']} nobody was found" if scores["lost"] else ""
        blocks.append(heading(f"{split}, {scores['samples']} samples{lost}"))
        cells = []
        for name, row in scores["rows"].items():
            cells.append([name, *(interval(row[m], DIGITS.get(m, 2)) for m in NUMBERS)])
        blocks.append(table(["", *NUMBERS.values()], cells))
        blocks.append(f"Landmarks, masks and refinement take {number(scores['cpu_s'], 0)} CPU seconds a sample.")
    return page("ScoreHOI's first stage from landmarks and masks", *blocks)


def run(config: Config) -> dict[str, Any]:
    """Answers, scores and writes.

    Raises:
      InputError: data are missing, or nobody is found.
    """
    splits = {}
    for split in synth_splits(config.split):
        splits[split] = score_split(config, split)
        if not splits[split]["samples"]:
            raise InputError(f"nobody is found in {config.samples} pictures of {split} in {config.root}")
    record = {"config": settings_of(config, ("root", "work", "out")), "splits": splits, **software()}
    write_page(config.out, "scorehoi_photo", record, markdown(record))
    return record


def main() -> None:
    """The command line."""
    print(markdown(run_command(run, Config)))


if __name__ == "__main__":
    main()
