"""Contact-driven iterative refinement by score-guided DDIM: ScoreHOI's Algorithms 1 and A."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Bool, Float, Int

from hoijax.diffusion import Guidance, Schedule, cosine_schedule, ddim_invert, ddim_sample, time_grid
from hoijax.diffusion.schedule import signal_and_noise
from hoijax.interaction import Contacts
from hoijax.systems.scorehoi.config import GuidedConfig
from hoijax.systems.scorehoi.guidance import GuidanceTerms, ImageEvidence, guidance_terms
from hoijax.systems.scorehoi.scene import GuidedBody, GuidedScene, Posed, pose_hoi_state

ArrayLike = jax.Array | np.ndarray
Denoise = Callable[[jax.Array, jax.Array], jax.Array]
PredictContacts = Callable[[jax.Array, jax.Array], Contacts]


@struct.dataclass
class GuidedResult:
    """What the refinement of a batch leaves; B samples, N iterations."""

    x: Float[ArrayLike, "B 331"] | Any
    """Refined states."""
    posed: Posed
    """Their geometry."""
    contacts: Contacts
    """Contact probabilities at the refined states."""
    iterations: Int[ArrayLike, "B"] | Any
    """How many iterations each sample took."""
    history: GuidanceTerms
    """Unweighted losses after each iteration under its own contacts (N, B); those of a stopped sample stay."""


@struct.dataclass
class _Carry:
    x: Float[ArrayLike, "B 331"] | Any
    done: Bool[ArrayLike, "B"] | Any
    iterations: Int[ArrayLike, "B"] | Any
    terms: GuidanceTerms


def refine_guided(
    x: Float[ArrayLike, "B D"],
    denoise: Denoise,
    body: GuidedBody,
    scene: GuidedScene,
    contacts: PredictContacts | Contacts,
    *,
    config: GuidedConfig | None = None,
    schedule: Schedule | None = None,
    evidence: ImageEvidence | None = None,
) -> GuidedResult:
    """Refines estimates: N times, contact is predicted, the state inverted to noise level tau and sampled back guided.

    Pure; jit it with whatever the callables close over as arguments, so that one program serves all images. A sample
    whose state stops being finite keeps its last one.

    Args:
      x: estimated states, see `hoijax.diffusion.HOIState`.
      denoise: `(x, t) -> noise` for the whole batch, see `hoijax.nets.scorehoi.noise_function`.
      body: of `guided_body`.
      scene: of `guided_scene`.
      contacts: `(vertices (B, K, 3), object points (B, P, 3)) -> probabilities`, or probabilities that stay.
      config: the paper's by default.
      schedule: ScoreHOI's cosine schedule by default.
      evidence: what the image says, for the weights `keypoints` and `mask`.

    Returns:
      The refined states, their geometry, contacts, and how the losses went.
    """
    config = config or GuidedConfig()
    schedule = schedule or cosine_schedule()
    times = time_grid(config.noise_level, config.step)
    x = jnp.asarray(x)

    def predict(posed: Posed) -> Contacts:
        return contacts if isinstance(contacts, Contacts) else contacts(posed.vertices, posed.points)

    # Jitted so that each is traced once for all of its uses.
    pose = jax.jit(functools.partial(pose_hoi_state, body, scene))

    @jax.jit
    def terms(x: jax.Array, masks: Contacts) -> GuidanceTerms:
        return guidance_terms(config, scene, pose(x), masks, evidence)

    first = predict(pose(x)).masks(config.threshold)

    def iterate(carry: _Carry) -> _Carry:
        masks = first
        if config.feedback == "paper":
            masks = predict(pose(carry.x)).masks(config.threshold)
        # A sum over samples guides each by its own loss.
        guidance = Guidance(
            loss=lambda x0: jnp.sum(terms(x0, masks).total(config)),
            scale=config.scale,
            last=config.guided,
            through_network=config.through_network,
        )
        if config.entry == "inverted":
            noisy = ddim_invert(denoise, carry.x, schedule, times)
        else:
            signal, _ = signal_and_noise(schedule, int(times[-1]), carry.x)
            noisy = jnp.broadcast_to(signal, carry.x.shape) * carry.x
        back = ddim_sample(denoise, noisy, schedule, times, guidance=guidance)
        moved = back.xt if config.restart == "xt" else back.x0
        after = terms(moved, masks)
        valid = jnp.all(jnp.isfinite(moved), axis=-1)
        take = valid & ~carry.done
        done = carry.done | ~valid
        if config.tolerance is not None:
            before = terms(carry.x, masks).total(config)
            done = done | (after.total(config) > (1.0 - config.tolerance) * before)
        return _Carry(
            x=jnp.where(take[:, None], moved, carry.x),
            done=done,
            iterations=carry.iterations + take.astype(jnp.int32),
            terms=jax.tree.map(lambda new, old: jnp.where(take, new, old), after, carry.terms),
        )

    def step(carry: _Carry, _) -> tuple[_Carry, GuidanceTerms]:
        # Under one program for the batch, work ends when its last sample has stopped.
        carry = jax.lax.cond(jnp.all(carry.done), lambda c: c, iterate, carry)
        return carry, carry.terms

    batch = x.shape[:1]
    start = _Carry(x, jnp.zeros(batch, bool), jnp.zeros(batch, jnp.int32), terms(x, first))
    last, history = jax.lax.scan(step, start, None, length=config.iterations)
    posed = pose(last.x)
    return GuidedResult(last.x, posed, predict(posed), last.iterations, history)
