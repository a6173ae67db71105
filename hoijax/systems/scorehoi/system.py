"""ScoreHOI in the shape that every system has: `prepare` on the host, then `run`, a pure function."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float

from hoijax.body_models import BodyModel, resample_vertices
from hoijax.interaction import GRAVITY_CAMERA, Interaction, ObjectTemplate
from hoijax.nets.scorehoi import Model
from hoijax.nets.scorehoi.state import BetasRange
from hoijax.systems.scorehoi.config import GuidedConfig
from hoijax.systems.scorehoi.inputs import default_betas_range, geometry_feature
from hoijax.systems.scorehoi.reconstruct import GuidedReconstruction, reconstruct
from hoijax.systems.scorehoi.scene import GuidedBody, GuidedScene, guided_body, guided_scene, interaction_from_state

ArrayLike = jax.Array | np.ndarray


@struct.dataclass
class Prepared:
    """The body and the objects of a batch of B pictures."""

    body: GuidedBody
    """The vertices that the networks see."""
    scene: GuidedScene
    """Template points, distance grids and gravity."""
    numbers: Float[ArrayLike, "B E"] | Any
    """What the networks are told of each object: its points and their global feature."""


@struct.dataclass
class Result:
    """Bodies and objects of a batch of B pictures, camera frame, metres."""

    interaction: Interaction
    """After the diffusion, where the camera of the crop puts them."""
    metrics: dict[str, Float[ArrayLike, "B"] | Any]
    """`contact`, `floor` and `penetration`: the losses after the last iteration, without their weights."""
    stages: GuidedReconstruction
    """The estimate, the diffusion's answer, the mesh refiner's."""


def prepare(
    model: BodyModel,
    templates: Sequence[ObjectTemplate],
    *,
    vertices: int = 431,
    features: int = 1024,
    betas: BetasRange | None = None,
    feature: Callable[[np.ndarray, int], np.ndarray] = geometry_feature,
    gravity: Float[ArrayLike, "B 3"] | tuple[float, float, float] = GRAVITY_CAMERA,
) -> Prepared:
    """Arranges a body and the object of each picture.

    Args:
      model: SMPL-H or the free body.
      templates: one per picture; point sets and distance grids of one shape.
      vertices: how many of the body the networks see.
      features: numbers of the object's global feature.
      betas: range of the shape coefficients that the networks were trained with; None: that of networks trained here.
      feature: `(points (P, 3), features) -> (features,)`, the global feature.
      gravity: down in the camera frame, of each picture or of all.

    Raises:
      InputError: a body without SMPL-H's joints, or templates of different shapes.
    """
    points = [np.asarray(t.points, np.float32) for t in templates]
    numbers = np.stack([np.concatenate([p.ravel(), feature(p, features)]) for p in points])
    return Prepared(
        body=guided_body(model, resample_vertices(model, vertices), default_betas_range() if betas is None else betas),
        scene=guided_scene(list(templates), gravity=gravity),
        numbers=jnp.asarray(numbers, jnp.float32),
    )


def run(
    networks: Model,
    prepared: Prepared,
    inputs: Float[ArrayLike, "B S S 5"],
    *,
    config: GuidedConfig | None = None,
    key: jax.Array | None = None,
) -> Result:
    """Reconstructs a batch of crops; pure.

    Args:
      networks: regressor and denoiser, in evaluation mode.
      prepared: of `prepare`.
      inputs: RGB in [0, 1], human mask, object mask.
      config: of the guided refinement; the paper's by default.
      key: not needed; the sampler is deterministic.
    """
    del key
    stages = reconstruct(
        networks.regressor, networks.denoiser, prepared.body, prepared.scene, inputs, prepared.numbers, config=config
    )
    interaction = interaction_from_state(prepared.body, stages.guided.x)
    camera = stages.estimate.body.camera
    last = jax.tree.map(lambda x: x[-1], stages.guided.history)
    return Result(
        interaction=Interaction(
            body=interaction.body.replace(translation=interaction.body.translation + camera),
            object=interaction.object.replace(translation=interaction.object.translation + camera),
        ),
        metrics={name: getattr(last, name) for name in ("contact", "floor", "penetration")},
        stages=stages,
    )
