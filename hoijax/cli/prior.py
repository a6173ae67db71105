"""ScoreHOI's prior in front of the gradient refiner: `hoijax refine --prior scorehoi`."""

import dataclasses
import importlib.resources
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from hoijax.body_models import BodyModel, BodyParams, pose_body
from hoijax.errors import InputError
from hoijax.experiments.scorehoi.samples import betas_range, geometry_feature
from hoijax.experiments.scorehoi.weights import load_network, read_facts
from hoijax.geometry import RigidPose
from hoijax.interaction import ObjectTemplate
from hoijax.io import file_digest
from hoijax.nets.scorehoi import PooledDenoiser, PooledDenoiserConfig
from hoijax.optim.contacts import propose_parts
from hoijax.optim.guided import GuidedConfig, guided_scene
from hoijax.optim.guided.prior import (
    compile_prior,
    facing_states,
    from_facing_states,
    part_regions,
    prior_body,
    prior_config,
)

if TYPE_CHECKING:
    from hoijax.cli.jobs import Item

#: Rows of asked-for parts in a program; `propose_parts` answers at most four.
ROWS = 4
SHIPPED = "scorehoi/prior.safetensors"


def shipped_weights() -> pathlib.Path:
    """The prior that comes with hoijax."""
    return pathlib.Path(str(importlib.resources.files("hoijax.assets") / SHIPPED))


def load_prior(path: pathlib.Path | None = None) -> tuple[PooledDenoiser, dict[str, Any]]:
    """A prior's network and what was kept beside its weights.

    Args:
      path: weights of `hoijax.experiments.scorehoi.prior`; None: those that are shipped.

    Raises:
      InputError: no such file, or weights of something else.
    """
    path = shipped_weights() if path is None else path
    facts = read_facts(path)
    if facts.get("kind") != "scorehoi_prior":
        raise InputError(
            f"{path} holds no prior of ScoreHOI but {facts.get('kind') or 'other weights'}; train one with: python -m "
            "hoijax.experiments.scorehoi.prior, or leave --weights out for the one that is shipped"
        )
    sizes = facts["network"]
    config = PooledDenoiserConfig(
        width=sizes["width"], depth=sizes["depth"], image_features=1, object_features=sizes["features"]
    )
    return load_network(path, lambda rngs: PooledDenoiser(config, rngs)), facts


class ScorePrior:
    """Refines batches of estimates by the prior.

    Args:
      model: the body.
      weights: see `load_prior`.
      up: against gravity in the estimates' frame.
      config: of the guided refinement.

    Raises:
      InputError: weights of something else, or a body that the prior is not of.
    """

    def __init__(
        self,
        model: BodyModel,
        weights: pathlib.Path | None,
        up: tuple[float, float, float],
        config: GuidedConfig | None = None,
    ):
        self.model, self.up = model, np.asarray(up, np.float64)
        self.config = prior_config() if config is None else config
        network, self.facts = load_prior(weights)
        levels = self.facts["levels"]
        if self.config.noise_level >= levels:
            raise InputError(f"the prior knows time indices below {levels}, asked for {self.config.noise_level}")
        self.digest = file_digest(shipped_weights() if weights is None else weights)
        self.body, self.ids = prior_body(model, betas_range())
        self.run = compile_prior(network, config=self.config)

    def __call__(
        self, items: "Sequence[Item]", params: BodyParams, pose: RigidPose
    ) -> tuple[BodyParams, RigidPose, list[tuple[str, ...]]]:
        """Refined bodies and objects, and the parts that were asked for.

        Args:
          items: what is refined: objects, parts that must touch, frozen groups.
          params: their bodies, leading axis B.
          pose: their objects, leading axis B.
        """
        if all(item.contacts is not None for item in items):
            parts = [tuple(item.contacts) for item in items]
        else:
            # What touches is read off the prior's own answer, in which body and object have found each other.
            alone = self._refine(items, params, pose, [()] * len(items))
            parts = [
                propose_parts(self.model, vertices, item.object.template, jax.tree.map(lambda x, i=i: x[i], alone[1]))
                for i, (item, vertices) in enumerate(zip(items, np.asarray(_posed(self.model, alone[0]))))
            ]
        return (*self._refine(items, params, pose, parts), parts)

    def _refine(
        self, items: "Sequence[Item]", params: BodyParams, pose: RigidPose, parts: Sequence[tuple[str, ...]]
    ) -> tuple[BodyParams, RigidPose]:
        scales = np.asarray(pose.scale)
        templates = [scaled(item.object.template, scale) for item, scale in zip(items, scales)]
        features = self.facts["network"]["features"]
        numbers = [np.concatenate([t.points.ravel(), geometry_feature(t.points, features)]) for t in templates]
        rows = max(ROWS, *map(len, parts))
        # A last sample that asks for a part in every row makes room for all.
        regions = part_regions(self.model, self.ids, [*parts, (self._any_part(),) * rows])[:-1]
        scene = guided_scene(templates, gravity=tuple(-self.up))
        own_shape = self.model.kind == "free"
        x, turns = facing_states(self.body, params, pose, self.up, shape=own_shape)
        geometry = np.stack(numbers).astype(np.float32)
        found = self.run(self.body, scene, x, geometry, regions)
        return from_facing_states(
            self.model, self.body, found.x, turns, params, pose, [item.config.freeze for item in items]
        )

    def _any_part(self) -> str:
        from hoijax.body_models import contact_regions

        return next(iter(contact_regions(self.model)))


_posed = jax.jit(lambda model, params: pose_body(model, params).vertices)


def scaled(template: ObjectTemplate, scale: float | np.floating | np.ndarray) -> ObjectTemplate:
    """The template of an object that is larger by a factor."""
    scale = np.float32(scale)
    sdf = template.sdf
    grid = sdf.replace(
        values=np.asarray(sdf.values) * scale,
        origin=np.asarray(sdf.origin) * scale,
        spacing=np.asarray(sdf.spacing) * scale,
    )
    mesh = dataclasses.replace(template.mesh, vertices=np.asarray(template.mesh.vertices) * scale)
    return template.replace(mesh=mesh, points=np.asarray(template.points) * scale, sdf=grid)
