"""Running reconstructions: the networks, batches of pictures, and what is written of each."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import tqdm

from hoijax.body_models import BodyModel, BodyParams, pose_body
from hoijax.errors import InputError
from hoijax.geometry import Mesh, RigidPose
from hoijax.interaction import ObjectTemplate, make_template
from hoijax.io import (
    LoadedMesh,
    file_digest,
    output_directory,
    remove_partial_files,
    simplify,
    value_digest,
    write_json,
)
from hoijax.jobs.interrupts import Interrupts
from hoijax.jobs.photographs import Photograph
from hoijax.jobs.reconstruction_files import is_finished, page_case, write_reconstruction
from hoijax.jobs.refinement import MAX_FACES
from hoijax.jobs.running import tell
from hoijax.nets.weights import shipped_file
from hoijax.optim.gradient import SDF_RESOLUTION
from hoijax.systems.scorehoi import (
    GuidedBody,
    GuidedConfig,
    compile_reconstruction,
    guided_scene,
    interaction_from_state,
    state_from_estimate,
)
from hoijax.systems.scorehoi.networks import load_networks
from hoijax.viz import write_page

if TYPE_CHECKING:
    from hoijax.cli.reconstruct import Options

WEIGHTS = ("regressor", "denoiser")


@dataclasses.dataclass(frozen=True)
class Reconstructor:
    """Everything that does not depend on the pictures."""

    model: BodyModel
    body: GuidedBody
    crop: int
    """Pixels of a side of the crops."""
    describe: Any
    """From an object's template points to the numbers that describe it; of `load_networks`."""
    focal: float
    """Of the regressor's camera."""
    run: Any
    """Of `compile_reconstruction`."""
    facts: Mapping[str, Any]
    """What the results depend on: digests of both weights, settings."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of a reconstruction on the host, in the crop's camera, metres."""

    vertices: np.ndarray
    """(V, 3)."""
    pose: RigidPose
    """The object's."""
    params: BodyParams | None = None
    """None of the mesh refiner, which answers vertices alone."""


@dataclasses.dataclass(frozen=True)
class Reconstructed:
    """One picture's result."""

    photograph: Photograph
    stages: dict[str, Stage]
    """"estimate", "guided", "refined"."""
    contacts: dict[str, np.ndarray]
    """Probabilities after the diffusion: `body` of the vertices that the networks see, `object`, `floor`."""
    losses: dict[str, list[float]]
    """After each iteration."""


def weights_path(options: "Options", name: str) -> pathlib.Path:
    """The file of a network's weights: given, or shipped.

    Raises:
      InputError: one of both is given without the other, which was trained under it.
    """
    given = {other: getattr(options, other) for other in WEIGHTS}
    if given[name] is not None:
        return given[name]
    if any(given.values()):
        raise InputError(
            f"--{name} is missing: a denoiser goes with the regressor it was trained under, so give both, made by "
            "python -m hoijax.experiments.scorehoi.train --stage 1 and --stage 2 (docs/scorehoi.md), or neither"
        )
    return shipped_file(f"scorehoi_{name}")


def load_reconstructor(options: "Options", config: GuidedConfig) -> Reconstructor:
    """The networks that the options name, the shipped ones without.

    Raises:
      InputError: weights are missing, of another stage, or do not go together.
    """
    paths = {name: weights_path(options, name) for name in WEIGHTS}
    return make_reconstructor(paths["regressor"], paths["denoiser"], config, options.body_model)


def make_reconstructor(
    regressor: pathlib.Path, denoiser: pathlib.Path, config: GuidedConfig, body_model: pathlib.Path | None = None
) -> Reconstructor:
    """The networks of two files of weights as one program.

    Raises:
      InputError: weights of another stage, or that do not go together.
    """
    networks = load_networks(regressor, denoiser, body_model)
    record = {
        "regressor": file_digest(regressor), "denoiser": file_digest(denoiser),
        "guidance": dataclasses.asdict(config),
    }  # fmt: skip
    return Reconstructor(
        networks.model, networks.body, networks.layout.crop, networks.describe, networks.focal,
        compile_reconstruction(networks.regressor, networks.denoiser, config=config), record,
    )  # fmt: skip


def reconstruct_all(
    reconstructor: Reconstructor,
    mesh: LoadedMesh,
    photographs: Sequence[Photograph],
    failures: Mapping[str, str],
    options: "Options",
) -> dict[str, str]:
    """Reconstructs what is not finished and writes everything.

    Args:
      reconstructor: the networks.
      mesh: the object.
      photographs: the pictures.
      failures: name to message of pictures that could not be read.
      options: of the command.

    Returns:
      Name to message of every picture that could not be used.

    Raises:
      InputError: none could be used.
    """
    light = simplify(mesh, MAX_FACES)
    for note in light.report.notes():
        tell(f"{options.object.name}: {note}")
    template = make_template(Mesh(light.vertices, light.faces), resolution=SDF_RESOLUTION)
    alone = len(photographs) == 1 and not options.image.is_dir()
    folders = {p.name: options.out if alone else options.out / p.name for p in photographs}
    common = dict(reconstructor.facts) | {"object": value_digest(light.vertices), "show": options.show}
    keys = {p.name: value_digest(common | {"image": p.image, "human": p.human, "thing": p.thing}) for p in photographs}
    waiting = [p for p in photographs if options.redo or not is_finished(folders[p.name], keys[p.name])]
    tell(f"{len(photographs)} picture{'s' * (len(photographs) != 1)}, {len(waiting)} to reconstruct")
    failures, stop = dict(failures), Interrupts()
    with tqdm.tqdm(total=len(waiting), desc="reconstructing", unit="picture", disable=None) as bar, stop:
        for first in range(0, len(waiting), options.batch_size):
            batch = waiting[first : first + options.batch_size]
            # The last batch is filled up, so that all share one program.
            filled = batch + [batch[-1]] * (options.batch_size - len(batch) if len(waiting) > options.batch_size else 0)
            for found in reconstruct_batch(reconstructor, template, filled)[: len(batch)]:
                name = found.photograph.name
                if not all(np.isfinite(stage.vertices).all() for stage in found.stages.values()):
                    failures[name] = f"{name}: the networks' answer is not finite; are these weights trained?"
                    continue
                output_directory(folders[name])
                remove_partial_files(folders[name])
                write_reconstruction(folders[name], found, reconstructor, light, template, options, keys[name])
            bar.update(len(batch))
            stop.check()
    done = [p for p in photographs if is_finished(folders[p.name], keys[p.name])]
    if not done:
        raise InputError(next(iter(failures.values())))
    _finish(options, done, folders, failures)
    return failures


def reconstruct_batch(
    reconstructor: Reconstructor, template: ObjectTemplate, batch: Sequence[Photograph]
) -> list[Reconstructed]:
    """The networks' answers on some pictures of one object."""
    images = np.stack([p.crop(reconstructor.crop) for p in batch]).astype(np.float32)
    numbers = reconstructor.describe(np.asarray(template.points))
    scene = guided_scene([template] * len(batch))
    found = reconstructor.run(reconstructor.body, scene, images, np.tile(numbers, (len(batch), 1)))
    stages = _stages(reconstructor, found)
    guided = jax.tree.map(np.asarray, found.guided)
    contacts = {name: getattr(guided.contacts, name) for name in ("body", "object", "floor")}
    history = {name: getattr(guided.history, name) for name in ("contact", "floor", "penetration")}
    return [
        Reconstructed(
            photograph,
            {name: _row(stage, i) for name, stage in stages.items()},
            {name: value[i] for name, value in contacts.items()},
            {name: [float(v) for v in value[:, i]] for name, value in history.items()},
        )
        for i, photograph in enumerate(batch)
    ]


_posed = jax.jit(lambda model, params: pose_body(model, params).vertices)
_interaction = jax.jit(interaction_from_state)


def _stages(reconstructor: Reconstructor, found: Any) -> dict[str, Stage]:
    """The three stages of a batch, moved from the pelvis before the camera."""
    camera = np.asarray(found.estimate.body.camera)
    out = {}
    states = {"estimate": state_from_estimate(reconstructor.body, found.estimate), "guided": found.guided.x}
    for name, x in states.items():
        there = jax.tree.map(np.asarray, _interaction(reconstructor.body, x))
        params = there.body.replace(translation=there.body.translation + camera)
        pose = there.object.replace(translation=there.object.translation + camera)
        out[name] = Stage(np.asarray(_posed(reconstructor.model, params)), pose, params)
    pose = jax.tree.map(np.asarray, found.object)
    pose = pose.replace(translation=pose.translation + camera)
    out["refined"] = Stage(np.asarray(found.vertices) + camera[:, None], pose)
    return out


def _row(stage: Stage, i: int) -> Stage:
    pose, params = jax.tree.map(lambda x: x[i], (stage.pose, stage.params))
    return Stage(stage.vertices[i], pose, params)


def _finish(
    options: "Options", done: Sequence[Photograph], folders: Mapping[str, pathlib.Path], failures: Mapping[str, str]
) -> None:
    """Table, page and summary."""
    records = {p.name: json.loads((folders[p.name] / "metrics.json").read_text()) for p in done}
    if options.image.is_dir():
        write_json(options.out / "metrics.json", {"units": "metres", "items": records, "failed": dict(failures)})
    cases = [page_case(folders[p.name], p.name, records[p.name]) for p in done[: options.pictures]]
    if cases:
        write_page(options.out / "report.html", "hoijax reconstruct", cases)
    for name, record in list(records.items())[:20]:
        agreement = record["stages"][record["shown"]]["mask_iou"]
        shown = ", ".join(f"{k} {'–' if v is None else f'{v:.2f}'}" for k, v in agreement.items())
        depth = 1000 * record["stages"][record["shown"]]["max_penetration"]
        tell(f"{name}: overlap with the masks: {shown}; deepest penetration {depth:.1f} mm")
        for note in record["notes"]:
            tell(f"{name}: {note}")
    for name, text in failures.items():
        tell(f"not used: {name}: {text}")
    tell(f"results: {options.out}")
