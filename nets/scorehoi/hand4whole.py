"""Body and hands from one crop: Hand4Whole (Moon et al. 2022) as CONTHO and ScoreHOI arrange it (spec 3.1 to 3.8)."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, struct
from jaxtyping import Float

from hoijax.nets.blocks.resnet import ResNet, ResNetConfig
from hoijax.nets.blocks.roi_align import roi_align
from hoijax.nets.scorehoi.camera import FOCAL, camera_translation
from hoijax.nets.scorehoi.heads import (
    KNUCKLES,
    NUM_BODY_JOINTS,
    NUM_HAND_JOINTS,
    BodyRotationNet,
    BoxNet,
    HandRotationNet,
    PositionNet,
    restore_boxes,
)

ArrayLike = jax.Array | np.ndarray

STRIDE = 32
"""Pixels of an image per cell of its feature map."""
# Mirrors a rotation in the plane x = 0: diag(-1, 1, 1) R diag(-1, 1, 1), in row-major 6D.
MIRROR_6D = (1.0, -1.0, -1.0, 1.0, -1.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Hand4WholeConfig:
    """Sizes; the defaults are the released ones."""

    crop: int = 512
    """Pixels of a side of the input; the body's image has half."""
    hand_crop: int | None = None
    """Pixels of a side of a hand's image; None: as many as the body's."""
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    """Blocks of each stage of both ResNets."""
    channels: int = 64
    """Of the ResNets' stems."""
    depth: int = 8
    """Cells of the heatmaps along depth."""
    box_width: int = 256
    joint_width: int = 512
    """Channels of a feature sampled at a joint."""
    object_features: int = 64 * 3 + 1024
    """Numbers that describe the object: its template points and their global feature."""
    focal: float = FOCAL
    mirror_left_hand: bool = False
    """Whether the hand head's left answer, made from a mirrored crop, is mirrored back. The authors do not, so weights
    of theirs need False."""

    @property
    def cells(self) -> int:
        """Cells of a side of the feature map."""
        return self.crop // 2 // STRIDE

    @property
    def hand_side(self) -> int:
        """Pixels of a side of a hand's image."""
        return self.crop // 2 if self.hand_crop is None else self.hand_crop

    @property
    def features(self) -> int:
        """Channels of the feature map."""
        return self.resnet().out_channels

    def resnet(self, **changes: Any) -> ResNetConfig:
        """Of the hands' backbone; the body's takes more inputs."""
        return ResNetConfig(blocks=self.blocks, width=self.channels, **changes)


@struct.dataclass
class BodyEstimate:
    """What the image says of the body; B samples."""

    features: Float[ArrayLike, "B H W F"] | Any
    """Feature map."""
    pose: Float[ArrayLike, "B 52 6"] | Any
    """Rotations relative to the parents, root first, then body, left hand, right hand."""
    betas: Float[ArrayLike, "B 10"] | Any
    """Shape coefficients."""
    camera: Float[ArrayLike, "B 3"] | Any
    """Translation of the root-relative scene before the camera, metres."""
    joints: Float[ArrayLike, "B 65 3"] | Any
    """Positional joints: 25 body, 20 left hand, 20 right hand; fractions of crop and depth, -0.5 to 0.5."""
    hand_boxes: Float[ArrayLike, "B 2 2 2"] | Any
    """Two corners of each hand's box, left hand first, fractions of the crop, -0.5 to 0.5."""


class HandRoI(nnx.Module):
    """The hands' own backbone."""

    def __init__(self, config: Hand4WholeConfig, rngs: nnx.Rngs):
        self.backbone = ResNet(config.resnet(), rngs)


class Hand4Whole(nnx.Module):
    """Two backbones: one on the whole crop with both masks, one on the two hands."""

    def __init__(self, config: Hand4WholeConfig, rngs: nnx.Rngs):
        if config.crop % (2 * STRIDE) or config.hand_side % STRIDE:
            raise ValueError(
                f"crop must be a multiple of {2 * STRIDE} pixels and hand_crop one of {STRIDE}, got {config.crop} and "
                f"{config.hand_crop}"
            )
        self.config = config
        features, depth, joint = config.features, config.depth, config.joint_width
        body = config.resnet(in_channels=5, inject=config.object_features, stem_name="conv1_mask")
        self.backbone = ResNet(body, rngs)
        self.box_net = BoxNet(features, rngs, heat_channels=NUM_BODY_JOINTS * depth, width=config.box_width)
        self.hand_roi_net = HandRoI(config, rngs)
        self.body_position_net = PositionNet(features, NUM_BODY_JOINTS, rngs, depth=depth)
        self.body_rotation_net = BodyRotationNet(features, rngs, width=joint)
        self.hand_position_net = PositionNet(features, NUM_HAND_JOINTS, rngs, depth=depth)
        self.hand_rotation_net = HandRotationNet(features, rngs, width=joint)

    def __call__(self, image: Float[ArrayLike, "B S S 5"], object_features: Float[ArrayLike, "B E"]) -> BodyEstimate:
        """The body in the image.

        Args:
          image: RGB in [0, 1] without further normalisation, human mask, object mask; `config.crop` pixels a side.
          object_features: template points and their global feature.

        Raises:
          ValueError: the image has another size.
        """
        config, side = self.config, self.config.crop
        if image.shape[1] != side:
            raise ValueError(f"this network takes images of {side} x {side} pixels, got {image.shape[1:3]}")
        image = jnp.asarray(image)
        features = self.backbone(image[:, ::2, ::2], object_features)
        joints, heatmap = self.body_position_net(features)
        centre, size = self.box_net(features, heatmap)
        boxes = restore_boxes(centre, size)  # in pixels of the body's image
        fixed = jax.lax.stop_gradient(boxes)

        crops = roi_align(image[..., :3], 2.0 * fixed, (config.hand_side, config.hand_side))
        # The hand network knows right hands only.
        both = jnp.concatenate([crops[:, 0, :, ::-1], crops[:, 1]])
        hand_features = self.hand_roi_net.backbone(both)
        hand_joints, _ = self.hand_position_net(hand_features)
        hands = self.hand_rotation_net(hand_features, jax.lax.stop_gradient(hand_joints))
        left_pose, right_pose = jnp.split(hands, 2)
        if config.mirror_left_hand:
            left_pose = left_pose * jnp.broadcast_to(jnp.asarray(MIRROR_6D, left_pose.dtype), left_pose.shape)
        left_joints, right_joints = jnp.split(hand_joints, 2)
        # A pixel p mirrors to S - 1 - p, a cell c = p / 32 to S / 32 - 1 / 32 - c.
        mirrored = config.hand_side / STRIDE - 1.0 / STRIDE - left_joints[..., :1]
        left_joints = jnp.concatenate([mirrored, left_joints[..., 1:]], axis=-1)
        left_features, right_features = jnp.split(hand_features, 2)

        knuckles = np.asarray(KNUCKLES)
        body_pose, betas, camera = self.body_rotation_net(
            features,
            jax.lax.stop_gradient(joints),
            left_features[:, :, ::-1],
            jax.lax.stop_gradient(left_joints[:, knuckles]),
            right_features,
            jax.lax.stop_gradient(right_joints[:, knuckles]),
        )
        joint_sets = [joints, self._in_body(left_joints, fixed[:, 0]), self._in_body(right_joints, fixed[:, 1])]
        scale = jnp.asarray([config.cells, config.cells, config.depth], joints.dtype)
        joints = jnp.concatenate(joint_sets, axis=1)
        return BodyEstimate(
            features=features,
            pose=jnp.concatenate([body_pose, left_pose, right_pose], axis=1),
            betas=betas,
            camera=camera_translation(camera, focal=config.focal),
            joints=joints / jnp.broadcast_to(scale, joints.shape) - 0.5,
            hand_boxes=boxes.reshape(-1, 2, 2, 2) / (side // 2) - 0.5,
        )

    def _in_body(self, joints: jax.Array, box: jax.Array) -> jax.Array:
        """Hand joints in cells of their crop to cells of the body's map; depth stays."""
        low, high = jnp.split(box[:, None], 2, axis=-1)
        place = joints[..., :2]
        low, extent = (jnp.broadcast_to(x, place.shape) for x in (low, high - low))
        place = place * extent / self.config.hand_side + low / STRIDE
        return jnp.concatenate([place, joints[..., 2:]], axis=-1)
