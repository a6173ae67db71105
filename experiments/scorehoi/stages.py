"""What the two stages of ScoreHOI's training learn: a network, its weights before the first step, and a loss.

Stage 1 is the regressor with contact predictor and mesh refiner, stage 2 the denoiser under the features of a trained,
frozen regressor (ScoreHOI section 4.1; specs/scorehoi.md 5.4 and 7).
"""

import dataclasses
import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from hoijax.body_models import resample_vertices
from hoijax.diffusion import cosine_schedule
from hoijax.experiments.common.trainer import COMPILE_FAST, Variables
from hoijax.experiments.scorehoi.losses import RegressorTerms, noise_loss, regressor_terms
from hoijax.interaction import GRAVITY_CAMERA
from hoijax.nets.scorehoi import (
    Conditions,
    Denoiser,
    ScoreHOIRegressor,
    drop_conditions,
    image_cells,
    make_denoiser,
)
from hoijax.nets.weights import load_network
from hoijax.systems.scorehoi import GuidedBody, GuidedScene, guided_body, pose_hoi_state, state_from_estimate
from hoijax.systems.scorehoi.inputs import Layout, default_betas_range
from hoijax.systems.scorehoi.networks import BodyConfig, sizes_of

Batch = dict[str, jax.Array]


WARM_UP = 200
"""Steps over which the rate of the cosine schedule rises."""


@functools.cache
def layout_of(size: str, body: BodyConfig, margin: float = 1.0) -> Layout:
    """Of the samples that a network of a size is trained on; `margin`: see `Layout`."""
    model = body.model()
    parts = sizes_of(size)[0].hand4whole
    ids = resample_vertices(model, body.vertices).ids
    return Layout(model, ids, crop=parts.crop, geometry=parts.object_features - 64 * 3, margin=margin)


def _initial(build: Any, seed: int) -> Variables:
    def make() -> tuple[Any, Any]:
        return nnx.split(build(nnx.Rngs(seed)), nnx.Param, nnx.BatchStat)[1:]

    return Variables(*jax.jit(make, compiler_options=COMPILE_FAST)())


def _graph(build: Any, *, training: bool) -> Any:
    network = nnx.eval_shape(lambda: build(nnx.Rngs(0)))
    if training:
        network.train()
    else:
        network.eval()
    return nnx.split(network, nnx.Param, nnx.BatchStat)[0]


class RegressorStage:
    """Stage 1. Adam with beta1 = 0.5; the rate falls to a tenth after three fifths (epoch 30 of 50).

    Args:
      size: of the regressor.
      body: that is posed in the losses.
      share: of each batch, its first samples, that contact predictor and mesh refiner learn from. They cost as much as
        the rest and are ready long before it.
      cosine: let the rate rise and fall along a cosine instead, for runs that are much shorter than the paper's.
    """

    def __init__(self, size: str, body: BodyConfig, share: float = 1.0, cosine: bool = False):
        self.config = sizes_of(size)[0]
        self.share, self.cosine = share, cosine
        model = body.model()
        self.body: GuidedBody = guided_body(model, resample_vertices(model, body.vertices), default_betas_range())
        self.faces = jnp.asarray(model.faces)
        self.graph = _graph(self.build, training=True)

    def build(self, rngs: nnx.Rngs) -> ScoreHOIRegressor:
        """The network with random weights."""
        return ScoreHOIRegressor(self.config, rngs)

    def initial(self, seed: int) -> Variables:
        """See `hoijax.experiments.common.trainer.Task`."""
        return _initial(self.build, seed)

    def optimiser(self, rate: float, steps: int) -> optax.GradientTransformation:
        """As published, for a run of so many steps."""
        if self.cosine:
            return optax.adam(optax.warmup_cosine_decay_schedule(0.0, rate, min(WARM_UP, steps // 2), steps), b1=0.5)
        return optax.adam(optax.piecewise_constant_schedule(rate, {max(1, round(0.6 * steps)): 0.1}), b1=0.5)

    def network(self, variables: Variables) -> nnx.Module:
        """The network with these numbers, in evaluation mode."""
        return nnx.merge(_graph(self.build, training=False), variables.parameters, variables.statistics)

    def loss(self, variables: Variables, batch: Batch, key: jax.Array) -> tuple[jax.Array, tuple[dict, Any]]:
        """See `hoijax.experiments.common.trainer.Task`; nothing is drawn."""
        # A copy, whose statistics the network may change under the gradient's trace.
        network = nnx.merge(self.graph, variables.parameters, variables.statistics, copy=True)
        estimate = network.estimate(batch["image"], batch["object_numbers"])
        state = state_from_estimate(self.body, estimate)
        gravity = jnp.broadcast_to(jnp.asarray(GRAVITY_CAMERA, state.dtype), (state.shape[0], 3))
        scene = GuidedScene(points=batch["points"], sdf=None, gravity=gravity)
        posed, truth = (pose_hoi_state(self.body, scene, x) for x in (state, batch["state"]))
        few = max(1, round(self.share * state.shape[0]))
        seen = (estimate.body.features, estimate.body.camera, posed.vertices, posed.points)
        contact = network.contacts(*(x[:few] for x in seen))
        terms: RegressorTerms = regressor_terms(
            self.body, self.faces, batch, state, estimate, posed, contact, network.refine(contact), truth,
            self.config.hand4whole.focal,
        )  # fmt: skip
        statistics = nnx.split(network, nnx.Param, nnx.BatchStat)[2]
        parts = {field.name: getattr(terms, field.name) for field in dataclasses.fields(terms)}
        return terms.total, (parts, statistics)


class DenoiserStage:
    """Stage 2. Adam at a constant rate; each condition is dropped one time in ten.

    Args:
      size: of regressor and denoiser.
      first: the weights of stage 1, of the same size.
      drop: how often each condition is dropped.
      attention: of the denoiser, see `DenoiserConfig.attention_mode`.
      levels: how many time indices are trained, from 0; None: all.
      cosine: let the rate rise and fall along a cosine.

    Raises:
      InputError: `first` does not exist or is of another network.
    """

    def __init__(
        self,
        size: str,
        first: pathlib.Path,
        drop: float = 0.1,
        attention: str = "ip_adapter",
        levels: int | None = None,
        cosine: bool = False,
    ):
        regressor_config, self.config = sizes_of(size, attention)
        self.drop, self.levels, self.cosine = drop, levels, cosine
        self.crop = regressor_config.hand4whole.crop
        regressor = load_network(first, lambda rngs: ScoreHOIRegressor(regressor_config, rngs))
        self.seen_graph, self.seen = nnx.split(regressor.hand4whole.backbone)
        self.graph = _graph(self.build, training=True)
        self.schedule = cosine_schedule()

    def build(self, rngs: nnx.Rngs) -> Denoiser:
        """The network with random weights."""
        return make_denoiser(self.config, rngs)

    def initial(self, seed: int) -> Variables:
        """See `hoijax.experiments.common.trainer.Task`."""
        return _initial(self.build, seed)

    def optimiser(self, rate: float, steps: int) -> optax.GradientTransformation:
        """As published, for a run of so many steps."""
        if self.cosine:
            return optax.adam(optax.warmup_cosine_decay_schedule(0.0, rate, min(WARM_UP, steps // 2), steps))
        return optax.adam(rate)

    def cells(self, batch: Batch) -> jax.Array:
        """What the denoiser sees of a batch's pictures, (B, N, F): their mean where its attention is pooled."""
        backbone = nnx.merge(self.seen_graph, self.seen)
        cells = image_cells(backbone(batch["image"][:, ::2, ::2], batch["object_numbers"]))
        return jnp.mean(cells, axis=1, keepdims=True) if self.config.attention_mode == "pooled" else cells

    def network(self, variables: Variables) -> nnx.Module:
        """The network with these numbers, in evaluation mode."""
        return nnx.merge(_graph(self.build, training=False), variables.parameters, variables.statistics)

    def loss(self, variables: Variables, batch: Batch, key: jax.Array) -> tuple[jax.Array, tuple[dict, Any]]:
        """See `Task`; a batch with "cells" has been seen before (`hoijax.experiments.scorehoi.backbone_features`)."""
        network = nnx.merge(self.graph, variables.parameters, variables.statistics)
        cells = batch["cells"] if "cells" in batch else self.cells(batch)
        drop_key, noise_key = jax.random.split(key)
        conditions = Conditions(image=jax.lax.stop_gradient(cells), geometry=batch["object_numbers"])
        context = network.encode(drop_conditions(drop_key, conditions, rate=self.drop))
        loss = noise_loss(self.schedule, lambda x, t: network(x, t, context), batch["state"], noise_key, self.levels)
        return loss, ({"noise": loss}, variables.statistics)
