"""GRAFT's training loss: rotations and vertices of every step against the truth (section 3.3, specs/graft.md 8).

No loss on translation, shape, contact or penetration: the paper has none. Reductions are not stated there; ours are
means over the joints of a group and over vertices of squared lengths.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from hoijax.body_models import BodyModel, BodyParams, pose_body
from hoijax.geometry import sixd_from_rotation
from hoijax.optim.graft import BodySpec, GraftState, pose_state


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Weights of specs/graft.md section 8, all stated in the paper."""

    orient: float = 5.0
    body: float = 2.0
    hands: float = 0.5
    """Each hand."""
    vertices: float = 7.0
    """Of vertices in the camera frame."""
    centred: float = 5.0
    """Of vertices less their mean."""


@struct.dataclass
class LossTerms:
    """The loss of one rollout, or of many with leading axes, and its parts before weighting."""

    total: Any
    orient: Any
    body: Any
    hands: Any
    #: Mean squared distance of vertices, square metres.
    vertices: Any
    centred: Any


def step_loss(
    spec: BodySpec, model: BodyModel, state: GraftState, truth: BodyParams, weights: LossWeights
) -> LossTerms:
    """The loss of one state. One body.

    Args:
      spec: of the body.
      model: the vertices that are compared; all of the body's, or some (`hoijax.body_models.subset`).
      state: the prediction.
      truth: the true parameters.
      weights: of the parts.
    """
    order = np.asarray(spec.rotations)
    difference = sixd_from_rotation(state.params.rotations[order]) - sixd_from_rotation(truth.rotations[order])
    squares = jnp.sum(difference**2, axis=-1)
    gap = pose_state(model, state).vertices - pose_body(model, truth).vertices
    centred = gap - jnp.broadcast_to(jnp.mean(gap, axis=0, keepdims=True), gap.shape)
    orient, body = squares[0], jnp.mean(squares[1:22])
    hands = jnp.mean(squares[22:37]) + jnp.mean(squares[37:52])
    vertices, centred = (jnp.mean(jnp.sum(x**2, axis=-1)) for x in (gap, centred))
    total = weights.orient * orient + weights.body * body + weights.hands * hands
    total = total + weights.vertices * vertices + weights.centred * centred
    return LossTerms(total=total, orient=orient, body=body, hands=hands, vertices=vertices, centred=centred)


def rollout_loss(
    spec: BodySpec, model: BodyModel, steps: GraftState, truth: BodyParams, weights: LossWeights
) -> LossTerms:
    """The sum over the steps of one rollout (Alg. S2).

    Args:
      spec: of the body.
      model: the vertices that are compared.
      steps: states with the leading axis T, `Rollout.steps`.
      truth: the true parameters.
      weights: of the parts.
    """
    terms = jax.vmap(lambda state: step_loss(spec, model, state, truth, weights))(steps)
    return jax.tree.map(lambda x: jnp.sum(x, axis=0), terms)
