"""ScoreHOI's prior without pictures, ready for use: its weights, and batches of estimates refined by it."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from hoijax.body_models import BodyModel, BodyParams, contact_regions, pose_body_compiled
from hoijax.errors import InputError
from hoijax.geometry import RigidPose
from hoijax.interaction import ObjectTemplate, object_sdf
from hoijax.io import file_digest
from hoijax.nets.scorehoi import PooledDenoiser
from hoijax.nets.weights import load, read_facts, shipped_file
from hoijax.optim.gradient import RefineConfig
from hoijax.optim.gradient.contacts import MOST_PROPOSED, PROPOSED_PARTS, propose_parts
from hoijax.systems.scorehoi import GuidedConfig, guided_scene
from hoijax.systems.scorehoi.inputs import default_betas_range, geometry_feature
from hoijax.systems.scorehoi.prior import (
    compile_prior,
    facing_states,
    from_facing_states,
    part_regions,
    prior_body,
    prior_config,
)

ROWS = MOST_PROPOSED
"""Rows of asked-for parts in a program, so that what is proposed needs no other one."""


def load_prior(path: pathlib.Path | None = None) -> tuple[PooledDenoiser, dict[str, Any]]:
    """A prior's network and what was kept beside its weights.

    Args:
      path: weights of `hoijax.experiments.scorehoi.prior`; None: those that are shipped.

    Raises:
      InputError: no such file, or weights of something else.
    """
    path = shipped_file("scorehoi_prior") if path is None else path
    facts = read_facts(path)
    if facts.get("kind") != "scorehoi_prior":
        raise InputError(
            f"{path} holds no prior of ScoreHOI but {facts.get('kind') or 'other weights'}; train one with: python -m "
            "hoijax.experiments.scorehoi.prior, or leave --weights out for the one that is shipped"
        )
    return load("scorehoi_prior", path)


def polish_config() -> RefineConfig:
    """The gradient refiner's settings after the prior: body and object have found each other, so its first two stages,
    which look for that and mind no penetration, are left out."""
    config = RefineConfig()
    return dataclasses.replace(config, stages=config.stages[2:])


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
        self.digest = file_digest(shipped_file("scorehoi_prior") if weights is None else weights)
        self.body, self.ids = prior_body(model, default_betas_range())
        self.run = compile_prior(network, config=self.config)

    def __call__(
        self,
        templates: Sequence[ObjectTemplate],
        params: BodyParams,
        pose: RigidPose,
        contacts: Sequence[tuple[str, ...]] | None = None,
        freeze: Sequence[Sequence[str]] | None = None,
    ) -> tuple[BodyParams, RigidPose, list[tuple[str, ...]]]:
        """Refined bodies and objects, and the parts that were asked for.

        Args:
          templates: the object of each of B interactions; distance grids of one size.
          params: estimated bodies, leading axis B.
          pose: estimated objects, leading axis B.
          contacts: parts that must touch, for each; None: read off the prior's own answer.
          freeze: groups that must not move, for each (`hoijax.optim.gradient.config.GROUPS` and aliases); None: none.
        """
        freeze = [()] * len(templates) if freeze is None else freeze
        if contacts is not None:
            parts = [tuple(names) for names in contacts]
        else:
            # Once more without asking for anything, whereby body and object find each other.
            alone, objects = self._refine(templates, params, pose, [()] * len(templates), freeze)
            bodies = pose_body_compiled(self.model, alone).vertices
            parts = [
                self._near(vertices, template, jax.tree.map(lambda x, i=i: x[i], objects))
                for i, (template, vertices) in enumerate(zip(templates, np.asarray(bodies)))
            ]
        return (*self._refine(templates, params, pose, parts, freeze), parts)

    def _near(self, vertices: np.ndarray, template: ObjectTemplate, pose: RigidPose) -> tuple[str, ...]:
        """Parts that seem to touch; none where even the nearest is too far, as of who kicks a ball."""
        names = propose_parts(self.model, vertices, template, pose)
        distance = np.abs(np.asarray(_distance(template.sdf, pose, vertices)))
        regions = contact_regions(self.model)
        return tuple(n for n in names if np.sort(distance[regions[n]])[:5].max() <= PROPOSED_PARTS[n])

    def _refine(
        self,
        templates: Sequence[ObjectTemplate],
        params: BodyParams,
        pose: RigidPose,
        parts: Sequence[tuple[str, ...]],
        freeze: Sequence[Sequence[str]],
    ) -> tuple[BodyParams, RigidPose]:
        templates = [scale_template(template, scale) for template, scale in zip(templates, np.asarray(pose.scale))]
        features = self.facts["network"]["features"]
        numbers = [np.concatenate([t.points.ravel(), geometry_feature(t.points, features)]) for t in templates]
        rows = max(ROWS, *map(len, parts))
        # A last sample that asks for a part in every row makes room for all.
        regions = part_regions(self.model, self.ids, [*parts, (self._any_part(),) * rows])[:-1]
        scene = guided_scene(templates, gravity=tuple(-self.up))
        own_shape = self.model.kind == "free"
        x, turns = facing_states(self.body, params, pose, self.up, shape=own_shape)
        geometry = np.stack(numbers).astype(np.float32)
        result = self.run(self.body, scene, x, geometry, regions)
        return from_facing_states(self.model, self.body, result.x, turns, params, pose, freeze)

    def _any_part(self) -> str:
        return next(iter(contact_regions(self.model)))


_distance = jax.jit(object_sdf)


def scale_template(template: ObjectTemplate, scale: float | np.floating | np.ndarray) -> ObjectTemplate:
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
