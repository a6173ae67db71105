"""GRAFT without one of its parts, in training and after it, for the ablations of the paper's table 3."""

import jax.numpy as jnp

from hoijax.nets.graft import Graft, GraftInputs, GraftUpdate, VisualContext
from hoijax.systems.graft import UpdateMask
from hoijax.systems.graft.rollout import Step

PARTS = ("probes", "scale")
"""What can be left out: where the scene is and how it faces; the scale's prediction."""


def leave_out(network: Graft, part: str | None) -> tuple[Step, UpdateMask]:
    """The network and what it may change, less a part of `PARTS`; the whole method if None."""

    def blind(inputs: GraftInputs, context: VisualContext | None) -> GraftUpdate:
        nothing = jnp.zeros_like(inputs.offsets)
        return network(inputs.replace(offsets=nothing, normals=nothing), context)

    return (blind if part == "probes" else network), UpdateMask(scale=part != "scale")
