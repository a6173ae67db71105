"""The baseline without learning: iterative closest points between contact vertices and scene, a similarity per step."""

import jax
import jax.numpy as jnp

from hoijax.body_models import BodyModel, subset
from hoijax.geometry import RigidPose, safe_norm, umeyama
from hoijax.optim.fields.scene import ScenePoints, probe
from hoijax.systems.graft.body import BodySpec
from hoijax.systems.graft.state import SCALE_RANGE, GraftState, apply_similarity, pose_graft_state


def contact_model(spec: BodySpec, model: BodyModel) -> BodyModel:
    """The body with the vertices alone that may touch a scene; on the host."""
    return subset(model.replace(colors=None, landmarks=()), spec.contact_vertices)


def similarity_icp(
    spec: BodySpec,
    contacts: BodyModel,
    scene: ScenePoints,
    state: GraftState,
    *,
    steps: int = 20,
    reach: float = 0.15,
    with_scale: bool = True,
) -> GraftState:
    """Moves one body as a whole onto the scene: articulation and shape stay as they are.

    Vertices farther than `reach` from the scene are in the air and do not count; a body with none stays where it is.

    Args:
      spec: of the body.
      contacts: from `contact_model`.
      scene: metres, camera frame.
      state: where to begin.
      steps: iterations.
      reach: metres.
      with_scale: estimate the scale too; one step's is kept within the range of GRAFT's.

    Returns:
      The moved body.
    """

    def one(state: GraftState, _: None) -> tuple[GraftState, None]:
        vertices = pose_graft_state(contacts, state).vertices
        offset = probe(scene, vertices).offset
        weights = (safe_norm(offset) < reach).astype(vertices.dtype)
        pose = umeyama(vertices, vertices + offset, weights, with_scale=with_scale)
        # Three points define a similarity; fewer would turn the body about anything.
        enough = jnp.sum(weights) >= 3
        scale = jnp.where(enough, jnp.clip(pose.scale, *SCALE_RANGE), 1.0)
        # A clipped scale must still bring the middle of the vertices to the middle of their targets.
        total = jnp.maximum(jnp.sum(weights), 1.0)
        middle = jnp.sum(weights[:, None] * vertices, axis=0) / total
        target = jnp.sum(weights[:, None] * (vertices + offset), axis=0) / total
        rotation = jnp.where(enough, pose.rotation, jnp.eye(3, dtype=vertices.dtype))
        turned = jnp.matmul(rotation, middle, precision=jax.lax.Precision.HIGHEST)
        translation = jnp.where(enough, target - scale * turned, 0.0)
        return apply_similarity(spec, state, RigidPose(rotation, translation, scale)), None

    return jax.lax.scan(one, state, None, length=steps)[0]
