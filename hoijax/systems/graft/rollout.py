"""The recurrent refinement: probe, apply the network, update, again (GRAFT Alg. S1); people share scene and weights."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Bool, Float

from hoijax.body_models import BodyParams
from hoijax.nets.graft import GraftInputs, GraftUpdate, VisualContext
from hoijax.optim.fields.scene import ScenePoints
from hoijax.systems.graft.body import BodySpec
from hoijax.systems.graft.probes import ImageFeatures, network_inputs, visual_context
from hoijax.systems.graft.state import (
    UPDATE_PRESETS,
    GraftState,
    UpdateMask,
    apply_update,
    fold_scale,
    fold_state,
    pose_graft_state,
)

Step = Callable[[GraftInputs, VisualContext | None], GraftUpdate]
"""A network of `hoijax.nets.graft.Graft`, or anything else that answers probes with an update."""


@dataclasses.dataclass(frozen=True)
class RolloutOptions:
    """How the refinement runs; everything here changes the program."""

    steps: int = 3
    """T, how often the network is applied."""
    update: str | UpdateMask = "all"
    """A preset of `UPDATE_PRESETS`, or what may change."""
    fold: bool = False
    """Carry the scale inside the parameters from step to step, as the paper does: the surface of the next step is then
    the scaled one only nearly. False keeps it beside them, exactly."""
    detach: bool = False
    """Training: no derivatives from one step through the state to those before."""

    def __post_init__(self):
        if self.steps < 0:
            raise ValueError(f"steps must not be negative, got {self.steps}")
        if isinstance(self.update, str) and self.update not in UPDATE_PRESETS:
            raise ValueError(f"unknown update preset {self.update!r}; there are {tuple(UPDATE_PRESETS)}")
        if self.fold and self.mask.scale and not self.mask.betas:
            raise ValueError("folding the scale changes the shape, which this update mask forbids; use fold=False")

    @property
    def mask(self) -> UpdateMask:
        """What may change."""
        return UPDATE_PRESETS[self.update] if isinstance(self.update, str) else self.update


@struct.dataclass
class Rollout:
    """What a refinement went through; with a leading axis for people after `refine_people`."""

    final: GraftState
    """The last state."""
    steps: GraftState
    """The state after each step; leading axis T, after that of people. A loss or a film looks at these."""
    params: BodyParams
    """The last state with its scale folded into the parameters: what files and other programs understand."""
    gates: Float[jax.Array, "*B T"] | Any = None
    """Logarithm of the odds of each step's gate; None: a network without one."""


def rollout(
    step: Step,
    spec: BodySpec,
    scene: ScenePoints,
    state: GraftState,
    *,
    options: RolloutOptions = RolloutOptions(),
    image: ImageFeatures | None = None,
    context_mask: Bool[jax.Array, "T 24"] | None = None,
) -> Rollout:
    """Refines one body in one scene. Differentiable, in the network's weights too; jit the caller.

    Probes are asked again at every step. The nearest point's index has no derivative, the way to it has.

    Args:
      step: the network.
      spec: of the body.
      scene: metres, camera frame.
      state: where to begin.
      options: steps and what may change.
      image: features for a network that uses them.
      context_mask: tokens that may look at the image at each step (visual-anchor dropout); all if None.

    Returns:
      The states.
    """
    if context_mask is None:
        context_mask = jnp.ones((options.steps, 24), bool)

    held = jnp.float32(not (options.mask.pose or options.mask.betas))

    def one(state: GraftState, looking: jax.Array) -> tuple[GraftState, tuple[GraftState, jax.Array | None]]:
        if options.detach:
            state = jax.lax.stop_gradient(state)
        if options.fold:
            state = fold_state(spec, state)
        posed = pose_graft_state(spec.probe_model, state)
        context = None
        if image is not None:
            context = visual_context(spec, posed, image)
            context = context.replace(mask=context.mask & looking[:, None])
        update = step(network_inputs(spec, state, posed, scene).replace(held=held), context)
        state = apply_update(spec, state, update, options.mask)
        return state, (state, update.gate)

    final, (steps, gates) = jax.lax.scan(one, state, context_mask, length=options.steps)
    return Rollout(final=final, steps=steps, params=fold_scale(spec, final), gates=gates)


def refine_people(
    step: Step,
    spec: BodySpec,
    scene: ScenePoints,
    people: GraftState,
    *,
    options: RolloutOptions = RolloutOptions(),
    image: ImageFeatures | None = None,
) -> Rollout:
    """Refines all people of one scene side by side; they do not see each other (a limit of the method).

    Args:
      step: the network.
      spec: of the body that all of them have.
      scene: metres, camera frame.
      people: states with one leading axis.
      options: steps and what may change.
      image: features that all of them look at.

    Returns:
      The states, with that leading axis.
    """
    return jax.vmap(lambda person: rollout(step, spec, scene, person, options=options, image=image))(people)
