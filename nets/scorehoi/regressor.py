"""ScoreHOI's whole first stage: body, object, contact and refined meshes from one crop (paper 3.2, spec 3 and 4).

No body model is known here: vertices come in as arrays, or through a function of pose and betas.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, struct
from jaxtyping import Float

from hoijax.geometry import RigidPose, rotation_from_6d, transform_points, umeyama
from hoijax.interaction import Contacts
from hoijax.nets.blocks.convolutions import bilinear_sample
from hoijax.nets.scorehoi.camera import project_to_crop
from hoijax.nets.scorehoi.hand4whole import BodyEstimate, Hand4Whole, Hand4WholeConfig
from hoijax.nets.scorehoi.heads import ObjectHead
from hoijax.nets.scorehoi.transformers import ContactFormer, CRFormer, TransformerConfig

ArrayLike = jax.Array | np.ndarray


@dataclasses.dataclass(frozen=True)
class RegressorConfig:
    """Sizes of every part; the defaults are the released ones."""

    hand4whole: Hand4WholeConfig = dataclasses.field(default_factory=Hand4WholeConfig)
    object_width: int = 2048
    """Hidden width of the object head."""
    token: int = 256
    """Channels of a vertex token before its coordinates join it."""
    depth: int = 4
    """Layers in each stage of contact predictor and mesh refiner."""

    @classmethod
    def small(cls) -> "RegressorConfig":
        """For training on a CPU: crops of 256 pixels, 4 x 4 cells of 512 channels, a 256-number object feature."""
        parts = Hand4WholeConfig(
            crop=256, hand_crop=64, blocks=(1, 1, 1, 1), channels=16, box_width=32, joint_width=64,
            object_features=64 * 3 + 256,
        )  # fmt: skip
        return cls(hand4whole=parts, object_width=256, token=61, depth=2)

    @property
    def transformer(self) -> TransformerConfig:
        """Of contact predictor and mesh refiner."""
        return TransformerConfig(features=self.hand4whole.features, token=self.token, depth=self.depth)


@struct.dataclass
class InteractionEstimate:
    """The regressor's parameters of body and object; B samples."""

    body: BodyEstimate
    object_rotation: Float[ArrayLike, "B 6"] | Any
    """Camera frame."""
    object_translation: Float[ArrayLike, "B 3"] | Any
    """Minus the pelvis, metres, camera frame."""

    def object_pose(self) -> RigidPose:
        """The object's pose relative to the pelvis."""
        return RigidPose(
            rotation=rotation_from_6d(self.object_rotation),
            translation=self.object_translation,
            scale=jnp.ones(self.object_rotation.shape[:-1], self.object_rotation.dtype),
        )


@struct.dataclass
class ContactEstimate:
    """Contact logits, and the tokens that the mesh refiner goes on with."""

    human: Float[ArrayLike, "B V"] | Any
    """Of the body's vertices with the object."""
    object: Float[ArrayLike, "B P"] | Any
    """Of the object's points with the body."""
    floor: Float[ArrayLike, "B P"] | Any
    """Of the object's points with the floor."""
    human_tokens: Float[ArrayLike, "B V D"] | Any
    """One of each vertex."""
    object_tokens: Float[ArrayLike, "B P D"] | Any
    """One of each point."""

    def probabilities(self) -> Contacts:
        """The logits as probabilities."""
        return Contacts(*(jax.nn.sigmoid(x) for x in (self.human, self.object, self.floor)))


@struct.dataclass
class Reconstruction:
    """Everything that the first stage says; vertices are root-relative metres in the camera frame."""

    estimate: InteractionEstimate
    human_vertices: Float[ArrayLike, "B V 3"] | Any
    """Of the estimate."""
    object_points: Float[ArrayLike, "B P 3"] | Any
    """Of the estimate."""
    contact: ContactEstimate
    refined_human_vertices: Float[ArrayLike, "B V 3"] | Any
    """Of the mesh refiner."""
    refined_object_points: Float[ArrayLike, "B P 3"] | Any
    """Of the mesh refiner."""


class ScoreHOIRegressor(nnx.Module):
    """The affordance-aware regressor with contact predictor and mesh refiner; attribute names are the checkpoint's."""

    def __init__(self, config: RegressorConfig, rngs: nnx.Rngs):
        self.config = config
        parts = config.hand4whole
        self.hand4whole = Hand4Whole(parts, rngs)
        self.objregressor = ObjectHead(parts.features, parts.object_features, rngs, width=config.object_width)
        self.contactformer = ContactFormer(config.transformer, rngs)
        self.crformer = CRFormer(config.transformer, rngs)

    def estimate(
        self, image: Float[ArrayLike, "B S S 5"], object_features: Float[ArrayLike, "B E"]
    ) -> InteractionEstimate:
        """Body and object in an image; arguments as for `Hand4Whole`."""
        body = self.hand4whole(image, object_features)
        rotation, translation = self.objregressor(body.features, object_features)
        return InteractionEstimate(body=body, object_rotation=rotation, object_translation=translation)

    def contacts(
        self,
        features: Float[ArrayLike, "B H W F"],
        camera: Float[ArrayLike, "B 3"],
        human_vertices: Float[ArrayLike, "B V 3"],
        object_points: Float[ArrayLike, "B P 3"],
    ) -> ContactEstimate:
        """Contact at given meshes, from the image features at the vertices (spec 4.1 to 4.3).

        Args:
          features: of `estimate`.
          camera: of `estimate`.
          human_vertices: 431 of them in ScoreHOI, root-relative metres; no gradient passes.
          object_points: 64 of them; no gradient passes.
        """
        human_vertices, object_points = jax.lax.stop_gradient((jnp.asarray(human_vertices), jnp.asarray(object_points)))
        sampled = [self._sample(features, camera, points) for points in (human_vertices, object_points)]
        tokens = self.contactformer.tokens(human_vertices, object_points, *sampled)
        return ContactEstimate(*self.contactformer(*tokens), *tokens)

    def _sample(self, features: ArrayLike, camera: ArrayLike, points: jax.Array) -> jax.Array:
        place = project_to_crop(points, jax.lax.stop_gradient(camera), focal=self.config.hand4whole.focal)
        # Times the number of cells although the last one's centre is at that number less one, as in training. What
        # lies outside reads zero; nearer than infinity it also has a finite weight.
        cells = self.config.hand4whole.cells
        return jax.vmap(bilinear_sample)(jnp.asarray(features), jnp.clip((place + 0.5) * cells, -2.0, cells + 2.0))

    def refine(self, contact: ContactEstimate) -> tuple[jax.Array, jax.Array]:
        """Refined vertices (B, V, 3) and object points (B, P, 3), root-relative metres (spec 4.4)."""
        probabilities = contact.probabilities()
        return self.crformer(contact.human_tokens, contact.object_tokens, probabilities.body, probabilities.object)

    def __call__(
        self,
        image: Float[ArrayLike, "B S S 5"],
        object_features: Float[ArrayLike, "B E"],
        template_points: Float[ArrayLike, "B P 3"],
        vertices_of: Callable[[jax.Array, jax.Array], jax.Array],
    ) -> Reconstruction:
        """The whole first stage.

        Args:
          image: RGB in [0, 1], human mask, object mask.
          object_features: template points and their global feature.
          template_points: the object's points in its canonical frame, metres.
          vertices_of: pose (B, 52, 6) and betas (B, 10) to root-relative vertices (B, V, 3).
        """
        estimate = self.estimate(image, object_features)
        human = vertices_of(estimate.body.pose, estimate.body.betas)
        points = transform_points(estimate.object_pose(), template_points)
        contact = self.contacts(estimate.body.features, estimate.body.camera, human, points)
        return Reconstruction(estimate, human, points, contact, *self.refine(contact))


def pose_from_points(
    template_points: Float[ArrayLike, "*B P 3"], points: Float[ArrayLike, "*B P 3"], *, released: bool = False
) -> RigidPose:
    """The rigid pose of an object from its refined points (spec 4.4).

    Args:
      template_points: in the canonical frame.
      points: where the mesh refiner puts them.
      released: take the translation of the best similarity and drop its scale, as the authors do; the same where the
        template's points are centred. Otherwise the best rigid pose.
    """
    pose = umeyama(template_points, points, with_scale=released)
    return pose.replace(scale=jnp.ones_like(pose.scale))
