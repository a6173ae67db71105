"""GRAFT in the shape that every system has: `prepare` on the host, then `run`, a pure function."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float, Int

from hoijax.body_models import BodyModel
from hoijax.geometry import RigidPose, safe_norm
from hoijax.interaction import Interaction
from hoijax.optim.fields.scene import ScenePoints, make_scene, probe
from hoijax.systems.graft.body import BodySpec, body_spec
from hoijax.systems.graft.rollout import Rollout, RolloutOptions, Step, refine_people
from hoijax.systems.graft.state import GraftState, pose_graft_state

ArrayLike = jax.Array | np.ndarray


@struct.dataclass
class Prepared:
    """What all people of one scene share."""

    spec: BodySpec
    """Of the body that they have."""
    scene: ScenePoints
    """What they touch; metres, camera frame."""


@struct.dataclass
class Result:
    """Refined people; B is their number."""

    interaction: Interaction
    """Bodies with their scale folded into the parameters; the object is the scene itself, where it was."""
    metrics: dict[str, Float[ArrayLike, "B"] | Any]
    """Metres: `gap_before` and `gap_after`, from the nearest surface probe to the scene; `moved`, the probes' mean."""
    stages: Rollout
    """The state after each step."""


def prepare(
    model: BodyModel,
    points: Float[ArrayLike, "N 3"],
    normals: Float[ArrayLike, "N 3"] | None = None,
    *,
    probe_vertices: Int[ArrayLike, "27"] | None = None,
    capacity: int | None = None,
) -> Prepared:
    """Arranges a body and a scene.

    Args:
      model: SMPL-X, SMPL-H or the free body.
      points: of the scene, metres, camera frame.
      normals: towards free space; None estimates them, turned to the camera.
      probe_vertices: the 27 that the weights were trained with, see `trained_probes`.
      capacity: clouds of up to this many points share one compiled program.

    Raises:
      InputError: a body that GRAFT cannot refine, or a scene without points.
    """
    return Prepared(spec=body_spec(model, probe_vertices), scene=make_scene(points, normals, capacity=capacity))


def run(
    network: Step,
    prepared: Prepared,
    inputs: GraftState,
    *,
    config: RolloutOptions | None = None,
    key: jax.Array | None = None,
) -> Result:
    """Refines the people of one scene side by side; pure.

    Args:
      network: of `hoijax.nets.graft`.
      prepared: of `prepare`.
      inputs: estimates with a leading axis B.
      config: steps, and what may change; three steps and everything by default.
      key: not needed; nothing is drawn.
    """
    del key
    stages = refine_people(network, prepared.spec, prepared.scene, inputs, options=config or RolloutOptions())

    def surface(state: GraftState) -> tuple[jax.Array, jax.Array]:
        vertices = pose_graft_state(prepared.spec.probe_model, state).vertices
        return vertices, jnp.min(safe_norm(probe(prepared.scene, vertices).offset))

    before, gap_before = jax.vmap(surface)(inputs)
    after, gap_after = jax.vmap(surface)(stages.final)
    count, dtype = len(gap_before), gap_before.dtype
    still = RigidPose(
        rotation=jnp.broadcast_to(jnp.eye(3, dtype=dtype), (count, 3, 3)),
        translation=jnp.zeros((count, 3), dtype),
        scale=jnp.ones(count, dtype),
    )
    moved = jnp.mean(safe_norm(after - before), axis=-1)
    return Result(
        interaction=Interaction(body=stages.params, object=still),
        metrics={"gap_before": gap_before, "gap_after": gap_after, "moved": moved},
        stages=stages,
    )
