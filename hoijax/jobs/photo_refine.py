"""Contact and penetration have the last word on a fitted photograph, held to it by its landmarks and outlines."""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from hoijax.body_models import BodyModel, BodyParams, pose_body_compiled
from hoijax.geometry import RigidPose
from hoijax.interaction import ObjectTemplate
from hoijax.optim.fields import BodyField, ObjectField, body_field, object_field
from hoijax.optim.fitting import BodyFit, ObjectShape, ObjectTarget, Observation, OutlineTarget, point_table
from hoijax.optim.fitting.starts import exchange, swap_order
from hoijax.optim.gradient import (
    PICTURE_STAGES,
    ContactTargets,
    RefineConfig,
    RefineMetrics,
    Surfaces,
    body_surfaces,
    outline_overlaps,
    part_targets,
    picture_of,
    propose_parts,
    refine_batch,
)
from hoijax.optim.programs import Program

CONFIG = RefineConfig(stages=PICTURE_STAGES, freeze=()).with_steps(60)
"""The object's size moves too: along the line of sight it is what a picture cannot tell."""
OUTLINES = (1.0, 8.0)
"""Weights of the outlines, tried in turn until none suffers."""
MOST_FALL = 0.03
"""Overlap with a mask that may be lost for contact; where more would be, the fit stays as it was."""
ROWS = 4
"""Parts that are taken to touch at most."""
APART = 0.2
"""A part that is farther from the object than this, metres, is not taken to touch."""
_overlaps = Program(outline_overlaps)


@dataclasses.dataclass(frozen=True)
class RefinedFit:
    """A fit after refinement; camera frame, metres."""

    params: BodyParams
    pose: RigidPose
    fall: float
    """By how much the object's overlap with its mask has fallen."""
    parts: tuple[str, ...]
    """Of the body, that were looked at or asked to touch."""
    before: RefineMetrics
    """Of the fit."""
    after: RefineMetrics
    """Of what is returned."""
    note: str
    """What was done, for a person."""


@dataclasses.dataclass(frozen=True)
class PhotoRefiner:
    """What does not depend on the picture."""

    body: BodyField
    """The body that is refined and drawn."""
    template: ObjectTemplate
    """The object."""
    object: ObjectField
    """The same, as the refiner sees it."""
    surfaces: dict[tuple[str, ...], Surfaces] = dataclasses.field(default_factory=dict, repr=False)
    """By the names of the landmarks; filled by the first picture."""

    @classmethod
    def of(cls, model: BodyModel, template: ObjectTemplate) -> "PhotoRefiner":
        """A refiner; the "light" model serves the free body."""
        return cls(body_field(model), template, object_field(template, quick=True))

    def refine(
        self,
        observation: Observation,
        matrix: np.ndarray,
        outline: OutlineTarget,
        target: ObjectTarget,
        shape: ObjectShape,
        fit: BodyFit,
        pose: RigidPose,
    ) -> RefinedFit:
        """Refines what was fitted to a picture; parts that should touch are proposed from what is near.

        Args:
          observation: of the person, as detected.
          matrix: intrinsics of the picture.
          outline: mask of the person.
          target: mask of the object.
          shape: the object as it was fitted.
          fit: the body.
          pose: the object.

        Returns:
          The refined interaction; the fitted one, as the note says, if an outline would suffer for it.
        """
        names = observation.names
        if names not in self.surfaces:
            self.surfaces[names] = body_surfaces(self.body.model, point_table(self.body.model, names))
        seen = exchange(jax.tree.map(jnp.asarray, observation), jnp.asarray(swap_order(names))[fit.swap])
        picture, surfaces = picture_of(seen, matrix, outline, target, shape), self.surfaces[names]
        given = jax.tree.map(np.asarray, (fit.params, pose))
        params, poses, pictures = jax.tree.map(lambda x: jnp.asarray(x)[None], (*given, picture))
        refine = functools.partial(
            refine_batch, self.body.model, params, self.template, poses,
            body=self.body, object=self.object, picture=pictures, surfaces=surfaces, quick=True,
        )  # fmt: skip
        vertices = np.asarray(pose_body_compiled(self.body.model, params).vertices)[0]
        parts = propose_parts(self.body.model, vertices, self.template, given[1], most=ROWS)
        targets = self._targets(parts)
        fitted = refine(targets, CONFIG.with_steps(0))
        stay = functools.partial(RefinedFit, *given, 0.0, parts, fitted.before, fitted.before)
        if bool(np.all(fitted.verdict.good)):
            return stay(f"not refined, it is good as fitted: {_told(fitted.before)}")
        distance = np.asarray(fitted.before.contact)[0]
        near = tuple(name for name, far in zip(parts, distance) if far <= APART)
        if not near and not np.any(fitted.verdict.penetrates):
            told = f"{parts[0]}, is {100 * distance[0]:.0f} cm away and not taken to touch"
            return stay(f"not refined, of what usually touches the nearest, {told}")
        if len(near) < len(parts):
            targets = self._targets(near)
        overlap = np.asarray(_overlaps(*given, picture, surfaces, quick=True))
        for weight in OUTLINES:
            found = refine(targets, weigh_outlines(CONFIG, weight))
            after = jax.tree.map(lambda x: np.asarray(x)[0], (found.params, found.pose))
            falls = overlap - np.asarray(_overlaps(*after, picture, surfaces, quick=True))
            # Also what is not finite is not kept.
            if (falls < MOST_FALL).all() and all(np.isfinite(x).all() for x in jax.tree.leaves(after)):
                break
        else:
            told = f"{_told(found.before)} would become {_told(found.after)}"
            return stay(f"not refined, an outline would suffer by {max(falls):.2f}: {told}")
        told = f"{_told(found.before)} became {_told(found.after)}"
        if _missed(found.after) >= _missed(found.before):
            return stay(f"not refined, nothing is gained: {told}")
        return RefinedFit(*after, float(falls[1]), near, found.before, found.after, f"refined with the picture: {told}")

    def _targets(self, parts: Sequence[str]) -> ContactTargets:
        """What should touch, in always as many rows, so that all pictures share a program."""
        targets = part_targets(self.body.model, [parts], len(self.template.points))
        return targets.replace(parts=np.pad(targets.parts, ((0, 0), (0, ROWS - len(targets.parts[0])), (0, 0))))


def weigh_outlines(config: RefineConfig, weight: float) -> RefineConfig:
    """The stages with the outlines' weight multiplied."""
    stages = [replace(s, weights=replace(s.weights, outline=weight * s.weights.outline)) for s in config.stages]
    return replace(config, stages=tuple(stages))


def _missed(metrics: RefineMetrics) -> float:
    """Metres by which parts miss the object and both penetrate."""
    return float(np.sum(metrics.contact) + np.max(metrics.max_penetration))


def _told(metrics: RefineMetrics) -> str:
    return f"contact {_centimetres(metrics.contact)}, penetration {_centimetres(metrics.max_penetration)} cm"


def _centimetres(lengths: jax.Array) -> str:
    return f"{100 * float(np.max(lengths, initial=0.0)):.1f}"
