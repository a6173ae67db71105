"""ScoreHOI's refinement of estimates that come without a picture, from any other method.

What the image would say is replaced by what is asked for: the parts of the body that should touch the object take the
place of predicted contact, and the estimate's own errors the place of the inversion's noise (`GuidedConfig.entry`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float

from hoijax.body_models import BodyModel, BodyParams, pose_joints
from hoijax.body_models.resampling import resample_vertices
from hoijax.diffusion import Schedule
from hoijax.errors import InputError
from hoijax.geometry import RigidPose
from hoijax.interaction import Contacts, Interaction, contact_distances
from hoijax.nets.scorehoi import Conditions, Denoiser, noise_function
from hoijax.nets.scorehoi.state import NUM_BETAS, NUM_JOINTS, BetasRange
from hoijax.optim.gradient.contacts import part_targets
from hoijax.optim.gradient.state import State, keep_frozen
from hoijax.systems.scorehoi.config import GuidedConfig
from hoijax.systems.scorehoi.frames import facing_rotation
from hoijax.systems.scorehoi.refine import GuidedResult, refine_guided
from hoijax.systems.scorehoi.scene import (
    GuidedBody,
    GuidedScene,
    guided_body,
    interaction_from_state,
    state_from_interaction,
)

ArrayLike = jax.Array | np.ndarray
SHARE = 0.15
"""Share of an asked-for part's vertices that shall touch, those nearest to the object."""
VERTICES = 431
"""Vertices of the body that the guidance looks at."""


def prior_config(**changes: Any) -> GuidedConfig:
    """The settings of a refinement without a picture, chosen on SynthHOI's val split (docs/scorehoi.md)."""
    settings = {
        "iterations": 2, "noise_level": 100, "step": 10, "contact": 10.0, "floor": 0.0, "penetration": 1.0,
        "margin": 0.0, "entry": "noisy", "surface": True, "restart": "x0",
    }  # fmt: skip
    return GuidedConfig(**settings | changes)


def prior_body(model: BodyModel, betas: BetasRange) -> tuple[GuidedBody, np.ndarray]:
    """A body for `compile_prior`, and which of its vertices the guidance looks at. Host function, seconds.

    Raises:
      InputError: the model has other joints than SMPL-H, or too few shape coefficients.
    """
    if model.num_joints != NUM_JOINTS:
        raise InputError(
            f"ScoreHOI's prior is of bodies with {NUM_JOINTS} joints (the free body, SMPL-H); the {model.kind} body "
            f"has {model.num_joints}"
        )
    if model.num_betas < NUM_BETAS:
        raise InputError(
            f"ScoreHOI's states have {NUM_BETAS} shape coefficients, the {model.kind} body has {model.num_betas}: give "
            "the estimate's betas that many, with zeros at the end"
        )
    resampled = resample_vertices(model, min(VERTICES, model.num_vertices))
    return guided_body(model, resampled, betas), resampled.ids


def part_regions(model: BodyModel, ids: np.ndarray, parts: Sequence[Sequence[str]]) -> Bool[np.ndarray, "B R K"]:
    """Which of the chosen vertices belong to the parts that each sample asks for; of hands, the inner side.

    Raises:
      InputError: a name that the model does not have.
    """
    return np.asarray(part_targets(model, parts).parts)[:, :, ids] > 0.5


def part_contacts(
    regions: Bool[ArrayLike, "B R K"], *, share: float = SHARE
) -> Callable[[ArrayLike, ArrayLike], Contacts]:
    """A contact predictor that answers what is asked for: of each part the vertices nearest to the object."""

    def one(region: jax.Array, vertices: jax.Array, points: jax.Array) -> jax.Array:
        distance = contact_distances(vertices, points).body
        far = jnp.where(region, distance[None], jnp.inf)
        rank = jnp.argsort(jnp.argsort(far, axis=-1), axis=-1).astype(distance.dtype)
        most = jnp.ceil(share * jnp.sum(region, axis=-1, keepdims=True).astype(distance.dtype))
        return jnp.any(region & (rank < most), axis=0).astype(distance.dtype)

    def predict(vertices: ArrayLike, points: ArrayLike) -> Contacts:
        body = jax.vmap(one)(jnp.asarray(regions), jnp.asarray(vertices), jnp.asarray(points))
        none = jnp.zeros(points.shape[:2], body.dtype)
        return Contacts(body=body, object=none, floor=none)

    return predict


def compile_prior(
    denoiser: Denoiser, *, config: GuidedConfig | None = None, schedule: Schedule | None = None
) -> Callable[..., GuidedResult]:
    """One program of `(body, scene, x, geometry, regions)`: guided refinement without a picture.

    Args:
      denoiser: trained without images, see `hoijax.experiments.scorehoi.prior`.
      config: `prior_config()` by default.
      schedule: ScoreHOI's by default.
    """
    graph, state = nnx.split(denoiser)
    config = prior_config() if config is None else config

    @jax.jit
    def run(state, body, scene, x, geometry, regions):
        denoise = noise_function(nnx.merge(graph, state), Conditions(image=None, geometry=geometry))
        return refine_guided(x, denoise, body, scene, part_contacts(regions), config=config, schedule=schedule)

    def call(
        body: GuidedBody, scene: GuidedScene, x: ArrayLike, geometry: ArrayLike, regions: ArrayLike
    ) -> GuidedResult:
        return run(state, body, scene, x, geometry, regions)

    return call


def facing_states(
    body: GuidedBody, params: BodyParams, pose: RigidPose, up: Float[np.ndarray, "3"], *, shape: bool
) -> tuple[jax.Array, np.ndarray]:
    """Interactions as states seen from before each person, and the turns from the world to there. Host function.

    Args:
      body: of `prior_body`.
      params: bodies, leading axis B.
      pose: objects, leading axis B.
      up: against gravity.
      shape: whether the betas are the free body's; otherwise the states have the mean shape.

    Returns:
      States (B, 331) and turns (B, 3, 3).
    """
    roots = np.asarray(params.rotations)[:, 0]
    turns = np.stack([facing_rotation(root, np.asarray(up)) for root in roots]).astype(np.float32)
    pelvis = np.asarray(_pelvis(body.model, params))
    # About the pelvis, where SMPL's root turns: the translation stays.
    rotations = np.concatenate([(turns @ roots)[:, None], np.asarray(params.rotations)[:, 1:]], axis=1)
    away = np.einsum("bij,bj->bi", turns, np.asarray(pose.translation) - pelvis)
    moved = Interaction(
        body=params.replace(rotations=rotations),
        object=pose.replace(rotation=turns @ np.asarray(pose.rotation), translation=pelvis + away),
    )
    x = _states(body, moved)
    return (x if shape else x.at[:, -NUM_BETAS:].set(0.0)), turns


def from_facing_states(
    model: BodyModel,
    body: GuidedBody,
    x: ArrayLike,
    turns: np.ndarray,
    params: BodyParams,
    pose: RigidPose,
    freeze: Sequence[Sequence[str]],
) -> tuple[BodyParams, RigidPose]:
    """The way back: bodies that kept their shape, with the pelvis, or a frozen object, where it was. Host function.

    Args:
      model: whose groups of joints `freeze` names.
      body: of `prior_body`.
      x: refined states (B, 331).
      turns: of `facing_states`.
      params: the estimates' bodies.
      pose: the estimates' objects; their scale is kept.
      freeze: of each sample the groups that must not move (`hoijax.optim.gradient.config.GROUPS` and aliases).
    """
    interactions = jax.tree.map(np.asarray, _interactions(body, x))
    back = np.swapaxes(turns, 1, 2)
    rotations = np.array(interactions.body.rotations)
    rotations[:, 0] = back @ rotations[:, 0]
    pelvis = np.asarray(_pelvis(body.model, params))
    turn = back @ np.asarray(interactions.object.rotation)
    place = np.einsum("bij,bj->bi", back, np.asarray(interactions.object.translation)) + pelvis
    bodies, objects = [], []
    for row, names in enumerate(freeze):
        before = jax.tree.map(lambda v, row=row: np.asarray(v)[row], (params, pose))
        start = State.of(*before)
        moved = start.replace(
            rotations=rotations[row], object_rotation=turn[row], object_translation=place[row],
        )  # fmt: skip
        if {"object", "object_rotation", "object_translation"} & set(names):
            moved = _person_moves(moved, start, pelvis[row])
        moved = jax.tree.map(lambda v: jnp.asarray(v, jnp.float32), moved)
        kept = keep_frozen(model, tuple(names), moved, start)
        bodies.append(kept.params)
        objects.append(kept.pose)
    return tuple(
        jax.tree.map(lambda *v: np.stack([np.asarray(a, np.float32) for a in v]), *s) for s in (bodies, objects)
    )


def _person_moves(moved: State, start: State, pelvis: np.ndarray) -> State:
    """The same interaction with the object where it was before."""
    turn = np.asarray(start.object_rotation) @ np.asarray(moved.object_rotation).T
    shift = np.asarray(start.object_translation) - turn @ np.asarray(moved.object_translation)
    rotations = np.array(moved.rotations)
    rotations[0] = turn @ rotations[0]
    return moved.replace(
        rotations=rotations,
        translation=np.asarray(moved.translation) + turn @ pelvis + shift - pelvis,
        object_rotation=start.object_rotation,
        object_translation=start.object_translation,
    )


_pelvis = jax.jit(lambda model, params: pose_joints(model, params).joints[:, 0])
_states = jax.jit(state_from_interaction)
_interactions = jax.jit(interaction_from_state)
