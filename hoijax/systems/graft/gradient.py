"""The baseline by gradients: vertices near a scene are drawn to it, vertices behind it pushed out, the pose kept.

What optimisation-based methods do with a scene (PROX, PhySIC), reduced to the terms that need nothing but geometry.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from hoijax.body_models import BodyModel
from hoijax.geometry import dot, rotation_from_6d, safe_norm, sixd_from_rotation
from hoijax.optim.fields.scene import ScenePoints, probe, straight_ahead
from hoijax.systems.graft.body import BodySpec
from hoijax.systems.graft.state import UPDATE_PRESETS, GraftState, UpdateMask, pose_graft_state


def gradient_refine(
    spec: BodySpec,
    contacts: BodyModel,
    scene: ScenePoints,
    state: GraftState,
    *,
    steps: int = 100,
    rate: float = 0.01,
    reach: float = 0.15,
    penetration: float = 20.0,
    prior: float = 5.0,
    update: UpdateMask = UPDATE_PRESETS["all"],
) -> GraftState:
    """Moves one body to touch a scene without lying behind it, by Adam on rotations and translation.

    Vertices within `reach` are drawn to the tangent plane of their nearest point, d metres away, by
    d^2 / (d^2 + rho^2) with rho = 5 cm; those behind it cost the square of their depth. A vertex beside the rim of a
    surface feels nothing of it (`straight_ahead`). Fingers, shape and scale stay.

    Args:
      spec: of the body.
      contacts: the vertices that feel the scene, from `contact_model`.
      scene: metres, camera frame.
      state: where to begin.
      steps: of Adam.
      rate: its step size: metres, and components of a 6D rotation.
      reach: metres.
      penetration: weight of depth, per decimetre squared.
      prior: weight of the squared change of 6D rotations.
      update: which of orientation, pose and translation may move.

    Returns:
      The moved body.
    """
    order = np.asarray(spec.rotations[:22])
    before = sixd_from_rotation(state.params.rotations[order])
    count = state.params.rotations.shape[0]
    source = np.arange(count)
    source[order] = count + np.arange(len(order))

    free = np.array([update.orient] + [update.pose] * (len(order) - 1), before.dtype)[:, None]

    def move(change: dict[str, jax.Array]) -> GraftState:
        turned = rotation_from_6d(before + free * change["turn"])
        rotations = jnp.concatenate([state.params.rotations, turned])[source]
        translation = state.params.translation + (change["move"] if update.translation else 0.0)
        return state.replace(params=state.params.replace(rotations=rotations, translation=translation))

    def energy(change: dict[str, jax.Array]) -> jax.Array:
        nearest = probe(scene, pose_graft_state(contacts, move(change)).vertices)
        distance = safe_norm(nearest.offset)
        # To the tangent plane: to the points themselves a body would slide from sample to sample.
        height = dot(nearest.offset, nearest.normal)
        felt = (distance < reach) & straight_ahead(distance, height)
        near = jax.lax.stop_gradient(felt.astype(distance.dtype))
        depth = jnp.maximum(height, 0.0)
        share = 1.0 / jnp.maximum(jnp.sum(near), 1.0)
        pull = share * jnp.sum(near * height**2 / (height**2 + 0.05**2))
        push = share * jnp.sum(near * (10.0 * depth) ** 2)
        return pull + penetration * push + prior * jnp.sum(change["turn"] ** 2)

    optimiser = optax.adam(optax.cosine_decay_schedule(rate, max(steps, 1)))
    start = {"turn": jnp.zeros_like(before), "move": jnp.zeros_like(state.params.translation)}

    def one(carry, _: None):
        change, memory = carry
        # Optax raises a float to an integer power, which strict promotion forbids.
        with jax.numpy_dtype_promotion("standard"):
            updates, memory = optimiser.update(jax.grad(energy)(change), memory)
        return (optax.apply_updates(change, updates), memory), None

    (change, _), _ = jax.lax.scan(one, (start, optimiser.init(start)), None, length=steps)
    return move(change)
