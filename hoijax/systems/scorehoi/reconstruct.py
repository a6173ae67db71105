"""ScoreHOI from end to end: image to estimate, refinement by the diffusion prior, and the mesh refiner's last word."""

import dataclasses
from collections.abc import Callable, Collection
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, struct
from jaxtyping import Bool, Float

from hoijax.diffusion import Schedule
from hoijax.geometry import RigidPose, einsum
from hoijax.nets.scorehoi import (
    Conditions,
    Denoiser,
    InteractionEstimate,
    ScoreHOIRegressor,
    image_cells,
    noise_function,
    pose_from_points,
)
from hoijax.nets.scorehoi.state import HOIState, pack
from hoijax.systems.scorehoi.config import GuidedConfig
from hoijax.systems.scorehoi.guidance import ImageEvidence
from hoijax.systems.scorehoi.refine import GuidedResult, refine_guided
from hoijax.systems.scorehoi.scene import GuidedBody, GuidedScene, Posed, pose_hoi_state

ArrayLike = jax.Array | np.ndarray
CONDITIONS = ("image", "geometry")
"""What the denoiser sees."""
WEIGHTS = ("contact", "floor", "penetration")
"""Of the losses that guide; `GuidedConfig`'s names."""


@struct.dataclass
class GuidedReconstruction:
    """The stages of a reconstruction, each of which can be evaluated; pelvis-relative metres, camera frame."""

    estimate: InteractionEstimate
    """What the regressor says."""
    initial: Posed
    """Its geometry."""
    guided: GuidedResult
    """After the diffusion prior."""
    vertices: Float[ArrayLike, "B V 3"] | Any
    """All body vertices after the mesh refiner."""
    object: RigidPose
    """The object after the mesh refiner."""


def state_from_estimate(body: GuidedBody, estimate: InteractionEstimate) -> Float[jax.Array, "B D"]:
    """The regressor's answer as states (B, 331)."""
    return pack(HOIState(
        pose=estimate.body.pose,
        object_rotation=estimate.object_rotation,
        object_translation=estimate.object_translation,
        betas=body.betas.normalise(estimate.body.betas),
    ))  # fmt: skip


def reconstruct(
    regressor: ScoreHOIRegressor,
    denoiser: Denoiser,
    body: GuidedBody,
    scene: GuidedScene,
    image: Float[ArrayLike, "B S S 5"],
    object_features: Float[ArrayLike, "B E"],
    *,
    config: GuidedConfig | None = None,
    schedule: Schedule | None = None,
    evidence: ImageEvidence | None = None,
    conditions: Collection[str] = CONDITIONS,
    present: Bool[ArrayLike, "2"] | None = None,
) -> GuidedReconstruction:
    """Bodies and objects in images; pure in its arrays, jit it by `compile_reconstruction`.

    Args:
      regressor: in evaluation mode.
      denoiser: the same; either attention mode.
      body: of `guided_body`.
      scene: of `guided_scene`.
      image: RGB in [0, 1], human mask, object mask.
      object_features: template points and their global feature.
      config: the paper's by default.
      schedule: ScoreHOI's by default.
      evidence: keypoints and masks as further guidance.
      conditions: what the denoiser sees, of "image" and "geometry".
      present: the same while the program runs: which of the two it sees.
    """
    estimate = regressor.estimate(image, object_features)
    seen = estimate.body
    x = state_from_estimate(body, estimate)
    shown = Conditions(
        image=image_cells(seen.features) if "image" in conditions else None,
        geometry=object_features if "geometry" in conditions else None,
    )
    if present is not None:
        flags = [jnp.broadcast_to(jnp.asarray(flag), x.shape[:1]) for flag in present]
        shown = shown.replace(has_image=flags[0], has_geometry=flags[1])
    denoise = noise_function(denoiser, shown)

    def contacts(vertices, points):
        return regressor.contacts(seen.features, seen.camera, vertices, points).probabilities()

    guided = refine_guided(x, denoise, body, scene, contacts, config=config, schedule=schedule, evidence=evidence)
    contact = regressor.contacts(seen.features, seen.camera, guided.posed.vertices, guided.posed.points)
    vertices, points = regressor.refine(contact)
    return GuidedReconstruction(
        estimate=estimate,
        initial=pose_hoi_state(body, scene, x),
        guided=guided,
        vertices=einsum("vk,bkc->bvc", body.up, vertices),
        object=pose_from_points(jnp.asarray(scene.points), points),
    )


class CompiledReconstruction:
    """`reconstruct` as one compiled program of `(body, scene, image, object_features, evidence=None)`."""

    def __init__(self, run: Callable[..., GuidedReconstruction], state: Any, config: GuidedConfig, present: Any = None):
        self._run, self._state, self._config, self._present = run, state, config, present

    def __call__(
        self, body: GuidedBody, scene: GuidedScene, image: ArrayLike, object_features: ArrayLike,
        evidence: ImageEvidence | None = None,
    ) -> GuidedReconstruction:  # fmt: skip
        """See `reconstruct`."""
        weights = jnp.asarray([getattr(self._config, name) for name in WEIGHTS], jnp.float32)
        return self._run(self._state, weights, self._present, body, scene, image, object_features, evidence)

    def with_networks(self, regressor: ScoreHOIRegressor, denoiser: Denoiser) -> "CompiledReconstruction":
        """The same program with other weights of the same networks; nothing is compiled anew."""
        return CompiledReconstruction(self._run, nnx.state((regressor, denoiser)), self._config, self._present)

    def with_settings(self, config: GuidedConfig, conditions: Collection[str] = CONDITIONS) -> "CompiledReconstruction":
        """The same program with other weights of contact, floor and penetration, and with conditions left out.

        Raises:
          ValueError: another setting differs, which would need another program.
        """
        if drop_weights(config) != drop_weights(self._config):
            raise ValueError(f"{config} differs from {self._config} in more than {', '.join(WEIGHTS)}")
        present = jnp.asarray([name in conditions for name in CONDITIONS])
        return CompiledReconstruction(self._run, self._state, config, present)


def drop_weights(config: GuidedConfig) -> GuidedConfig:
    """The settings that decide the program: those of a config with its three weights left out."""
    return dataclasses.replace(config, **dict.fromkeys(WEIGHTS, 1.0))


def compile_reconstruction(
    regressor: ScoreHOIRegressor,
    denoiser: Denoiser,
    *,
    config: GuidedConfig | None = None,
    schedule: Schedule | None = None,
    conditions: Collection[str] = CONDITIONS,
) -> CompiledReconstruction:
    """`reconstruct` as one compiled program of `(body, scene, image, object_features, evidence=None)`.

    The networks' arrays and the weights of the three losses are arguments of the program, not constants in it.
    """
    graph, state = nnx.split((regressor, denoiser))
    config = GuidedConfig() if config is None else config

    @jax.jit
    def run(state, weights, present, body, scene, image, object_features, evidence):
        nets = nnx.merge(graph, state)
        weighted = dataclasses.replace(config, **dict(zip(WEIGHTS, weights)))
        return reconstruct(
            *nets, body, scene, image, object_features, config=weighted, schedule=schedule, evidence=evidence,
            conditions=conditions, present=present,
        )  # fmt: skip

    return CompiledReconstruction(run, state, config)
