"""GRAFT without one of its parts, in training and after it, for the ablations of the paper's table 3."""

import jax
import jax.numpy as jnp

from hoijax.nets.graft import Graft, GraftInputs, GraftUpdate, VisualContext
from hoijax.systems.graft import UpdateMask
from hoijax.systems.graft.rollout import Step

PARTS = ("probes", "scale")
"""What can be left out: where the scene is and how it faces; the scale's prediction."""


def held_step(step: Step, held: jax.Array) -> Step:
    """A network that is told that pose, hands and shape are held, and does not change them, where `held` is true.

    What the preset "similarity" does, for training, where it differs from sample to sample.
    """

    def moved(inputs: GraftInputs, context: VisualContext | None) -> GraftUpdate:
        share = jnp.asarray(held, jnp.float32)
        update = step(inputs.replace(held=share), context)
        free = 1.0 - share
        rotations = jnp.concatenate([update.rotations[:1], free * update.rotations[1:]])
        return update.replace(rotations=rotations, betas=free * update.betas)

    return moved


def leave_out(network: Graft, part: str | None) -> tuple[Step, UpdateMask]:
    """The network and what it may change, less a part of `PARTS`; the whole method if None."""

    def blind(inputs: GraftInputs, context: VisualContext | None) -> GraftUpdate:
        nothing = jnp.zeros_like(inputs.offsets)
        return network(inputs.replace(offsets=nothing, normals=nothing), context)

    return (blind if part == "probes" else network), UpdateMask(scale=part != "scale")
