"""Reconstructing batches of pictures: the networks, and their answers in the crop's camera."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from hoijax.body_models import BodyModel, BodyParams, pose_body_compiled
from hoijax.errors import InputError
from hoijax.geometry import RigidPose
from hoijax.geometry.safe import ArrayLike
from hoijax.interaction import ObjectTemplate
from hoijax.io import file_digest
from hoijax.jobs.photographs import Photograph
from hoijax.nets.weights import shipped_file
from hoijax.systems.scorehoi import (
    GuidedBody,
    GuidedConfig,
    GuidedReconstruction,
    GuidedScene,
    compile_reconstruction,
    guided_scene,
    interaction_from_state,
    state_from_estimate,
)
from hoijax.systems.scorehoi.networks import Describe, load_networks

WEIGHTS = ("regressor", "denoiser")


@dataclasses.dataclass(frozen=True)
class Reconstructor:
    """Everything that does not depend on the pictures."""

    model: BodyModel
    body: GuidedBody
    crop: int
    """Pixels of a side of the crops."""
    describe: Describe
    """From an object's template points to the numbers that describe it; of `load_networks`."""
    focal: float
    """Of the regressor's camera."""
    run: Callable[[GuidedBody, GuidedScene, ArrayLike, ArrayLike], GuidedReconstruction]
    """Of `compile_reconstruction`."""
    facts: Mapping[str, Any]
    """What the results depend on: digests of both weights, settings."""


@dataclasses.dataclass(frozen=True)
class ReconstructionStage:
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
    stages: dict[str, ReconstructionStage]
    """"estimate", "guided", "refined"."""
    contacts: dict[str, np.ndarray]
    """Probabilities after the diffusion: `body` of the vertices that the networks see, `object`, `floor`."""
    losses: dict[str, list[float]]
    """After each iteration."""


def weights_path(regressor: pathlib.Path | None, denoiser: pathlib.Path | None, name: str) -> pathlib.Path:
    """The file of a network's weights: given, or shipped.

    Args:
      regressor: given for the regressor.
      denoiser: given for the denoiser.
      name: "regressor" or "denoiser".

    Raises:
      InputError: one of both is given without the other, which was trained under it.
    """
    given = dict(zip(WEIGHTS, (regressor, denoiser)))
    if given[name] is not None:
        return given[name]
    if any(given.values()):
        raise InputError(
            f"--{name} is missing: a denoiser goes with the regressor it was trained under, so give both, made by "
            "python -m hoijax.experiments.scorehoi.train --stage 1 and --stage 2 (docs/scorehoi.md), or neither"
        )
    return shipped_file(f"scorehoi_{name}")


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


def reconstruct_batch(
    reconstructor: Reconstructor, template: ObjectTemplate, batch: Sequence[Photograph]
) -> list[Reconstructed]:
    """The networks' answers on some pictures of one object."""
    images = np.stack([p.crop(reconstructor.crop) for p in batch]).astype(np.float32)
    numbers = reconstructor.describe(np.asarray(template.points))
    scene = guided_scene([template] * len(batch))
    result = reconstructor.run(reconstructor.body, scene, images, np.tile(numbers, (len(batch), 1)))
    stages = _stages(reconstructor, result)
    guided = jax.tree.map(np.asarray, result.guided)
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


_interaction = jax.jit(interaction_from_state)


def _stages(reconstructor: Reconstructor, result: Any) -> dict[str, ReconstructionStage]:
    """The three stages of a batch, moved from the pelvis before the camera."""
    camera = np.asarray(result.estimate.body.camera)
    out = {}
    states = {"estimate": state_from_estimate(reconstructor.body, result.estimate), "guided": result.guided.x}
    for name, x in states.items():
        interaction = jax.tree.map(np.asarray, _interaction(reconstructor.body, x))
        params = interaction.body.replace(translation=interaction.body.translation + camera)
        pose = interaction.object.replace(translation=interaction.object.translation + camera)
        out[name] = ReconstructionStage(
            np.asarray(pose_body_compiled(reconstructor.model, params).vertices), pose, params
        )
    pose = jax.tree.map(np.asarray, result.object)
    pose = pose.replace(translation=pose.translation + camera)
    out["refined"] = ReconstructionStage(np.asarray(result.vertices) + camera[:, None], pose)
    return out


def _row(stage: ReconstructionStage, i: int) -> ReconstructionStage:
    pose, params = jax.tree.map(lambda x: x[i], (stage.pose, stage.params))
    return ReconstructionStage(stage.vertices[i], pose, params)
