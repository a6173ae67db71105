"""Contact and penetration have the last word on a fitted photograph, held to it by its landmarks and outlines."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from hoijax.body_models import BodyModel, BodyParams
from hoijax.geometry import RigidPose
from hoijax.interaction import ObjectTemplate
from hoijax.optim.fields import BodyField, body_field
from hoijax.optim.fitting import BodyFit, ObjectShape, ObjectTarget, Observation, OutlineTarget, point_table
from hoijax.optim.fitting.starts import exchange, swap_order
from hoijax.optim.gradient import (
    PICTURE_STAGES,
    RefineConfig,
    Surfaces,
    body_surfaces,
    outline_overlaps,
    picture_of,
    refine_batch,
)

CONFIG = RefineConfig(stages=PICTURE_STAGES, freeze=())
"""The object's size moves too: along the line of sight it is what a picture cannot tell."""
MOST_FALL = 0.03
"""Overlap with a mask that may be lost for contact; where more would be, the fit stays as it was."""
_overlaps = jax.jit(outline_overlaps)


@dataclasses.dataclass(frozen=True)
class RefinedFit:
    """A fit after refinement; camera frame, metres."""

    params: BodyParams
    pose: RigidPose
    fall: float
    """By how much the object's overlap with its mask has fallen."""
    note: str
    """What was done, for a person."""


@dataclasses.dataclass(frozen=True)
class PhotoRefiner:
    """What does not depend on the picture."""

    body: BodyField
    """The body that is refined and drawn."""
    template: ObjectTemplate
    """The object."""
    surfaces: dict[tuple[str, ...], Surfaces] = dataclasses.field(default_factory=dict, repr=False)
    """By the names of the landmarks; filled by the first picture."""

    @classmethod
    def of(cls, model: BodyModel, template: ObjectTemplate) -> "PhotoRefiner":
        """A refiner; the "light" model serves the free body."""
        return cls(body_field(model), template)

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
        found = refine_batch(
            self.body.model, params, self.template, poses, None, CONFIG,
            body=self.body, picture=pictures, surfaces=surfaces,
        )  # fmt: skip
        after = jax.tree.map(lambda x: np.asarray(x)[0], (found.params, found.pose))
        falls = np.asarray(_overlaps(*given, picture, surfaces)) - np.asarray(_overlaps(*after, picture, surfaces))
        before, now = found.before, found.after
        told = (
            f"contact {_centimetres(before.contact)} to {_centimetres(now.contact)} cm, "
            f"penetration {_centimetres(before.max_penetration)} to {_centimetres(now.max_penetration)} cm"
        )
        # Also what is not finite is not kept.
        if not (falls < MOST_FALL).all() or not all(np.isfinite(x).all() for x in jax.tree.leaves(after)):
            return RefinedFit(*given, 0.0, f"not refined, an outline would suffer by {max(falls):.2f}: {told}")
        return RefinedFit(*after, float(falls[1]), f"refined with the picture: {told}")


def _centimetres(lengths: jax.Array) -> str:
    return f"{100 * float(np.max(lengths, initial=0.0)):.1f}"
