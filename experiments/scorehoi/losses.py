"""Training losses of ScoreHOI's two stages (specs/scorehoi.md 5.4 and 7); every weight is one."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Float

from hoijax.diffusion import Schedule, q_sample
from hoijax.geometry import einsum, safe_norm
from hoijax.geometry.safe import ArrayLike
from hoijax.nets.scorehoi import ContactEstimate, InteractionEstimate, project_to_crop
from hoijax.systems.scorehoi import GuidedBody, Posed


@struct.dataclass
class RegressorTerms:
    """Losses of the first stage."""

    contact: Float[ArrayLike, ""] | Any
    """Cross-entropies of body, object and floor contact."""
    vertices: Float[ArrayLike, ""] | Any
    """Refined body and object, metres."""
    edges: Float[ArrayLike, ""] | Any
    """Edge lengths of the refined body, metres."""
    parameters: Float[ArrayLike, ""] | Any
    """Rotations, shape, object pose."""
    joints: Float[ArrayLike, ""] | Any
    """In space, in the picture, and where the position nets see them."""
    hands: Float[ArrayLike, ""] | Any
    """Corners of the hand boxes."""

    @property
    def total(self) -> jax.Array:
        """The sum."""
        return self.contact + self.vertices + self.edges + self.parameters + self.joints + self.hands


def regressor_terms(
    body: GuidedBody,
    faces: jax.Array,
    batch: dict[str, jax.Array],
    state: jax.Array,
    estimate: InteractionEstimate,
    posed: Posed,
    contact: ContactEstimate,
    refined: tuple[jax.Array, jax.Array],
    truth: Posed,
    focal: float,
) -> RegressorTerms:
    """Losses of a batch.

    Args:
      body: that both were posed with.
      faces: of the whole body (F, 3).
      batch: fields of `hoijax.experiments.scorehoi.samples`.
      state: the estimate as a state (B, 331).
      estimate: of the regressor.
      posed: geometry of the estimate.
      contact: of the regressor, for the batch or its first C samples.
      refined: body vertices (C, K, 3) and object points (C, P, 3) of the mesh refiner.
      truth: geometry of the true state.
      focal: of the regressor's camera.
    """
    few = refined[0].shape[0]
    human, points = (einsum("vk,bkc->bvc", body.up, v) for v in (refined[0], truth.vertices[:few]))
    return RegressorTerms(
        contact=_cross_entropy(contact.human, batch["body_contact"][:few])
        + _cross_entropy(contact.object, batch["object_contact"][:few])
        + _cross_entropy(contact.floor, batch["object_floor"][:few]),
        vertices=_l1(human, points) + _l1(refined[1], truth.points[:few]),
        edges=_l1(_edges(faces, human), _edges(faces, points)),
        # Rotations, object rotation, object translation, betas.
        parameters=sum(
            (_l1(state[:, a:b], batch["state"][:, a:b]) for a, b in ((312, 318), (318, 321), (321, 331))),
            _l1(state[:, :312], batch["state"][:, :312]),
        ),
        joints=_l1(posed.joints, truth.joints)
        + _l1(project_to_crop(posed.joints, estimate.body.camera, focal=focal), batch["joints_2d"])
        + _l1(estimate.body.joints, batch["positional"]),
        hands=_l1(estimate.body.hand_boxes, batch["hand_boxes"]),
    )


def _l1(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.mean(jnp.abs(a - b))


def _cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return jnp.mean(jax.nn.softplus(logits) - labels * logits)


def _edges(faces: jax.Array, vertices: jax.Array) -> jax.Array:
    """Edge lengths of every face (B, F, 3)."""
    corners = vertices[:, faces]
    return safe_norm(corners - jnp.roll(corners, 1, axis=2))


def noise_loss(schedule: Schedule, denoise: Any, x0: jax.Array, key: jax.Array, levels: int | None = None) -> jax.Array:
    """Mean squared error of the noise at uniformly drawn time indices; `denoise(x, t)` with t (B,).

    Args:
      schedule: of the noise.
      denoise: the network.
      x0: clean states (B, 331).
      key: of this step.
      levels: time indices are drawn from 0 to below this; None: all.
    """
    time_key, noise_key = jax.random.split(key)
    t = jax.random.randint(time_key, x0.shape[:1], 0, levels or schedule.num_steps)
    noise = jax.random.normal(noise_key, x0.shape, x0.dtype)
    noisy = jax.vmap(lambda x, t, e: q_sample(schedule, x, t, e))(x0, t, noise)
    return jnp.mean((denoise(noisy, t.astype(x0.dtype)) - noise) ** 2)
