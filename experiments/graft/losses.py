"""GRAFT's training loss: rotations and vertices of every step against the truth (section 3.3, specs/graft.md 8).

No loss on translation, shape, contact or penetration: the paper has none. Reductions are not stated there; ours are
means over the joints of a group and over vertices of squared lengths. Two departures help a short training:

- Lengths instead of their squares (`rounding`). The square of a few millimetres is nothing beside that of a
  decimetre, so that squares hardly teach a network to leave a good body alone; and what the scores take the mean of
  is lengths.
- Heights (`heights`): where the true body is near the scene, how far the predicted vertex is from the true one along
  the scene's normal. It still compares bodies with bodies, and counts most what decides about contact.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float

from hoijax.body_models import BodyModel, BodyParams, pose_body
from hoijax.geometry import dot, nearest_host, safe_norm, sixd_from_rotation
from hoijax.systems.graft import BodySpec, GraftState, pose_graft_state

ArrayLike = jax.Array | np.ndarray

CLOSE = 0.05
"""A vertex of the true body this far from the scene counts 1 / e, metres."""
OFF = 0.01
"""A body whose vertices are farther from the true ones than this, in the mean, is to be moved: the gate's own target,
metres."""


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
    heights: float = 0.0
    """Of differences along the scene's normal at vertices near it; not in the paper."""
    far: float = 0.0
    """How much vertices far from the scene count in that, from 0 to 1; on flat surfaces such a difference is what V2S
    measures at any distance."""
    gate: float = 0.0
    """Of the cross-entropy between each step's gate and whether the body before it is off by more than `OFF`; not in
    the paper, which has no gate."""
    rounding: float = 0.0
    """0: a length d costs d^2, as in the paper. r > 0: it costs sqrt(d^2 + r^2) - r; metres, or units of a 6D
    rotation."""


@struct.dataclass
class LossTerms:
    """The loss of one rollout, or of many with leading axes, and its parts before weighting."""

    total: Float[ArrayLike, "*B"] | Any
    """Their weighted sum."""
    orient: Float[ArrayLike, "*B"] | Any
    """Cost of the root's rotation."""
    body: Float[ArrayLike, "*B"] | Any
    """Of the body's rotations."""
    hands: Float[ArrayLike, "*B"] | Any
    """Of the hands' rotations."""
    vertices: Float[ArrayLike, "*B"] | Any
    """Mean cost of the distances of vertices."""
    centred: Float[ArrayLike, "*B"] | Any
    """Of the distances of vertices, pelvis on pelvis."""
    heights: Float[ArrayLike, "*B"] | Any
    """Of the heights of vertices over the scene."""
    gate: Float[ArrayLike, "*B"] | Any
    """Cross-entropy of the gate."""


@struct.dataclass
class Touch:
    """The scene at the vertices that the loss compares, for one true body; made once per sample on the host."""

    normals: Float[ArrayLike, "N 3"] | Any
    """Normal of the scene point nearest to each vertex."""
    closeness: Float[ArrayLike, "N"] | Any
    """How much each vertex counts, between 0 and 1."""


def touch_of(
    vertices: Float[np.ndarray, "N 3"], points: Float[np.ndarray, "P 3"], normals: Float[np.ndarray, "P 3"]
) -> Touch:
    """Normals and closeness exp(-(d / 5 cm)^2) of the vertices of a true body."""
    nearest = nearest_host(vertices, points)
    return Touch(
        normals=normals[np.asarray(nearest.index)],
        closeness=np.exp(-((np.asarray(nearest.distance) / CLOSE) ** 2)).astype(np.float32),
    )


def step_loss(
    spec: BodySpec,
    model: BodyModel,
    state: GraftState,
    truth: BodyParams,
    weights: LossWeights,
    touch: Touch | None = None,
) -> LossTerms:
    """The loss of one state. One body.

    Args:
      spec: of the body.
      model: the vertices that are compared; all of the body's, or some (`hoijax.body_models.subset`).
      state: the prediction.
      truth: the true parameters.
      weights: of the parts.
      touch: the scene at the model's vertices; without it heights cost nothing.
    """

    def cost(squares: jax.Array) -> jax.Array:
        r = weights.rounding
        return jnp.sqrt(squares + r**2) - r if r else squares

    order = np.asarray(spec.rotations)
    difference = sixd_from_rotation(state.params.rotations[order]) - sixd_from_rotation(truth.rotations[order])
    turns = cost(jnp.sum(difference**2, axis=-1))
    gap = pose_graft_state(model, state).vertices - pose_body(model, truth).vertices
    centred = gap - jnp.broadcast_to(jnp.mean(gap, axis=0, keepdims=True), gap.shape)
    orient, body = turns[0], jnp.mean(turns[1:22])
    hands = jnp.mean(turns[22:37]) + jnp.mean(turns[37:52])
    vertices, centred = (jnp.mean(cost(jnp.sum(x**2, axis=-1))) for x in (gap, centred))
    heights = jnp.zeros_like(vertices)
    if touch is not None:
        closeness = weights.far + (1.0 - weights.far) * jnp.asarray(touch.closeness)
        # A body far from everything has few close vertices; it must not be all about them.
        total = jnp.sum(closeness) + 0.02 * closeness.shape[0]
        heights = jnp.sum(closeness * cost(dot(gap, jnp.asarray(touch.normals)) ** 2)) / total
    total = weights.orient * orient + weights.body * body + weights.hands * hands
    total = total + weights.vertices * vertices + weights.centred * centred + weights.heights * heights
    return LossTerms(
        total=total, orient=orient, body=body, hands=hands, vertices=vertices, centred=centred, heights=heights,
        gate=jnp.zeros_like(total),
    )  # fmt: skip


def rollout_loss(
    spec: BodySpec,
    model: BodyModel,
    steps: GraftState,
    truth: BodyParams,
    weights: LossWeights,
    touch: Touch | None = None,
    gates: Float[jax.Array, "T"] | None = None,
    start: GraftState | None = None,
) -> LossTerms:
    """The sum over the steps of one rollout (Alg. S2).

    Args:
      spec: of the body.
      model: the vertices that are compared.
      steps: states with the leading axis T, `Rollout.steps`.
      truth: the true parameters.
      weights: of the parts.
      touch: the scene at the model's vertices; without it heights cost nothing.
      gates: of the steps, `Rollout.gates`; without them the gate costs nothing.
      start: the state before the first step, which the gate's target wants.
    """
    terms = jax.vmap(lambda state: step_loss(spec, model, state, truth, weights, touch))(steps)
    if weights.gate and gates is not None:
        before = jax.tree.map(lambda first, later: jnp.concatenate([first[None], later[:-1]]), start, steps)
        cost = jax.vmap(lambda state, gate: gate_loss(model, state, truth, gate))(before, gates)
        terms = terms.replace(gate=cost, total=terms.total + weights.gate * cost)
    return jax.tree.map(lambda x: jnp.sum(x, axis=0), terms)


def gate_loss(
    model: BodyModel, before: GraftState, truth: BodyParams, gate: Float[jax.Array, ""]
) -> Float[jax.Array, ""]:
    """Cross-entropy of a gate with whether the body before its step is off by more than `OFF`. One body.

    Args:
      model: the vertices that are compared.
      before: the state that the network saw.
      truth: the true parameters.
      gate: logarithm of its odds.
    """
    gap = pose_graft_state(model, before).vertices - pose_body(model, truth).vertices
    off = jax.lax.stop_gradient(jnp.mean(safe_norm(gap)) > OFF)
    return jax.nn.softplus(jnp.where(off, -gate, gate))
