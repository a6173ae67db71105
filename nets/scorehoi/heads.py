"""ScoreHOI's heads on a ResNet feature map: joint positions, hand boxes, rotations, object pose (spec 3.3 to 3.7).

The design is Hand4Whole's (Moon et al. 2022) as CONTHO and ScoreHOI use it. Feature maps are (B, H, W, C); positions
are in cells of the map, x along W, y along H, z along the heatmap's depth.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from hoijax.nets.blocks.convolutions import bilinear_sample, conv, double_conv_transpose
from hoijax.nets.blocks.norms import batch_norm

ArrayLike = jax.Array | np.ndarray

NUM_BODY_JOINTS, NUM_HAND_JOINTS = 25, 20
# The four knuckles of a hand (index, middle, ring, pinky 1) among its twenty joints.
KNUCKLES = (4, 8, 12, 16)


def soft_argmax_3d(heatmap: Float[ArrayLike, "*B D H W"]) -> Float[jax.Array, "*B 3"]:
    """Expected (x, y, z) in cells of a heatmap that sums to one."""
    axes = [jnp.arange(n, dtype=heatmap.dtype) for n in heatmap.shape[-3:]]
    sums = [jnp.sum(heatmap, axis=a) for a in ((-2, -1), (-3, -1), (-3, -2))]
    z, y, x = (jnp.sum(s * jnp.broadcast_to(a, s.shape), axis=-1) for s, a in zip(sums, axes))
    return jnp.stack([x, y, z], axis=-1)


class PositionNet(nnx.Module):
    """Joint positions as the expectation over a softmaxed 3D heatmap (spec 3.3)."""

    def __init__(self, channels: int, num_joints: int, rngs: nnx.Rngs, *, depth: int = 8):
        self.num_joints, self.depth = num_joints, depth
        self.conv = nnx.List([conv(channels, num_joints * depth, 1, rngs)])

    def __call__(self, features: Float[ArrayLike, "B H W C"]) -> tuple[jax.Array, jax.Array]:
        """Positions (B, J, 3) in cells and the heatmap (B, J, D, H, W)."""
        logits = self.conv[0](features)
        batch, height, width, _ = logits.shape
        logits = jnp.moveaxis(logits.reshape(batch, height, width, self.num_joints, self.depth), (1, 2), (3, 4))
        heatmap = jax.nn.softmax(logits.reshape(batch, self.num_joints, -1), axis=-1).reshape(logits.shape)
        return soft_argmax_3d(heatmap), heatmap


class BoxNet(nnx.Module):
    """Centres and sizes of the two hand boxes, in cells of the input map (spec 3.4)."""

    def __init__(self, channels: int, rngs: nnx.Rngs, *, heat_channels: int = NUM_BODY_JOINTS * 8, width: int = 256):
        self.deconv = nnx.Dict()
        inputs = channels + heat_channels
        for i in (0, 3, 6):
            self.deconv[str(i)] = nnx.ConvTranspose(
                inputs,
                width,
                (4, 4),
                strides=(2, 2),
                padding=((2, 2), (2, 2)),
                use_bias=False,
                transpose_kernel=True,
                rngs=rngs,
            )
            self.deconv[str(i + 1)] = batch_norm(width, rngs)
            inputs = width
        self.bbox_center_out = nnx.List([conv(width, 2, 1, rngs)])
        for side in ("lhand_size", "rhand_size"):
            layers = {"0": nnx.Linear(width, width, rngs=rngs), "2": nnx.Linear(width, 2, rngs=rngs)}
            setattr(self, side, nnx.Dict(layers))

    def __call__(
        self, features: Float[ArrayLike, "B H W C"], heatmap: Float[ArrayLike, "B J D H W"]
    ) -> tuple[jax.Array, jax.Array]:
        """Centres and sizes, each (B, 2 hands left then right, 2), in cells of `features`."""
        heatmap = jax.lax.stop_gradient(jnp.moveaxis(heatmap, (3, 4), (1, 2)))
        x = jnp.concatenate([features, heatmap.reshape((*heatmap.shape[:3], -1))], axis=-1)
        for i in (0, 3, 6):
            x = double_conv_transpose(x, self.deconv[str(i)].kernel[...])
            x = jax.nn.relu(self.deconv[str(i + 1)](x))
        logits = jnp.moveaxis(self.bbox_center_out[0](x), -1, 1)  # (B, 2, H, W)
        weights = jax.nn.softmax(logits.reshape((*logits.shape[:2], -1)), axis=-1).reshape(logits.shape)
        centre = soft_argmax_3d(weights[:, :, None])[..., :2]
        sampled = jax.vmap(bilinear_sample)(x, jax.lax.stop_gradient(centre))
        sizes = [
            head["2"](jax.nn.relu(head["0"](sampled[:, i])))
            for i, head in enumerate((self.lhand_size, self.rhand_size))
        ]
        # The deconvolutions made the map eight times larger; sizes are trained in cells of the input map.
        return centre / (x.shape[1] / features.shape[1]), jnp.stack(sizes, axis=1)


def restore_boxes(
    centre: Float[ArrayLike, "*B 2"], size: Float[ArrayLike, "*B 2"], *, cell: float = 32.0, enlarge: float = 2.0
) -> Float[jax.Array, "*B 4"]:
    """Hand boxes (x0, y0, x1, y1) in pixels: made square by the longer side, enlarged about the centre (spec 3.4)."""
    side = jnp.max(size, axis=-1, keepdims=True) * cell * enlarge
    side = jnp.broadcast_to(side, centre.shape)
    return jnp.concatenate([centre * cell - side / 2, centre * cell + side / 2], axis=-1)


def _joint_convolution(channels: int, width: int, rngs: nnx.Rngs) -> nnx.List:
    return nnx.List([conv(channels, width, 1, rngs), batch_norm(width, rngs)])


def _joint_features(layers: nnx.List, features: ArrayLike, joints: ArrayLike) -> jax.Array:
    """1x1 convolution, normalisation, ReLU, then the features at the joints next to their coordinates."""
    x = features
    for layer in layers:
        x = layer(x)
    sampled = jax.vmap(bilinear_sample)(jax.nn.relu(x), joints[..., :2])
    return jnp.concatenate([sampled, joints], axis=-1)


class BodyRotationNet(nnx.Module):
    """Root and body rotations (6D), betas and weak camera from body and hand features (spec 3.6)."""

    def __init__(self, channels: int, rngs: nnx.Rngs, *, width: int = 512):
        for name in ("body_conv", "lhand_conv", "rhand_conv"):
            setattr(self, name, _joint_convolution(channels, width, rngs))
        inputs = (NUM_BODY_JOINTS + 2 * len(KNUCKLES)) * (width + 3)
        self.root_pose_out = nnx.List([nnx.Linear(inputs, 6, rngs=rngs)])
        self.body_pose_out = nnx.List([nnx.Linear(inputs, 21 * 6, rngs=rngs)])
        self.shape_out = nnx.List([nnx.Linear(channels, 10, rngs=rngs)])
        self.cam_out = nnx.List([nnx.Linear(channels, 3, rngs=rngs)])

    def __call__(
        self,
        features: Float[ArrayLike, "B H W C"],
        joints: Float[ArrayLike, "B 25 3"],
        left_features: Float[ArrayLike, "B h w C"],
        left_knuckles: Float[ArrayLike, "B 4 3"],
        right_features: Float[ArrayLike, "B h w C"],
        right_knuckles: Float[ArrayLike, "B 4 3"],
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Rotations (B, 22, 6) with the root first, betas (B, 10), camera (B, 3)."""
        tokens = jnp.concatenate(
            [
                _joint_features(self.body_conv, features, joints),
                _joint_features(self.lhand_conv, left_features, left_knuckles),
                _joint_features(self.rhand_conv, right_features, right_knuckles),
            ],
            axis=1,
        )
        flat = tokens.reshape(tokens.shape[0], -1)
        pose = jnp.concatenate([self.root_pose_out[0](flat), self.body_pose_out[0](flat)], axis=-1)
        pooled = jnp.mean(features, axis=(1, 2))
        return pose.reshape(-1, 22, 6), self.shape_out[0](pooled), self.cam_out[0](pooled)


class HandRotationNet(nnx.Module):
    """The fifteen rotations of one hand (6D) from its crop's features (spec 3.5)."""

    def __init__(self, channels: int, rngs: nnx.Rngs, *, width: int = 512):
        self.hand_conv = _joint_convolution(channels, width, rngs)
        self.hand_pose_out = nnx.List([nnx.Linear(NUM_HAND_JOINTS * (width + 3), 15 * 6, rngs=rngs)])

    def __call__(
        self, features: Float[ArrayLike, "B H W C"], joints: Float[ArrayLike, "B 20 3"]
    ) -> Float[jax.Array, "B 15 6"]:
        """Rotations relative to the parents."""
        tokens = _joint_features(self.hand_conv, features, joints)
        return self.hand_pose_out[0](tokens.reshape(tokens.shape[0], -1)).reshape(-1, 15, 6)


class ObjectHead(nnx.Module):
    """Object rotation and translation from the pooled features and the object's geometry (spec 3.7)."""

    def __init__(self, channels: int, object_features: int, rngs: nnx.Rngs, *, width: int = 2048):
        self.obj_feat_out = nnx.Linear(channels + object_features, width, rngs=rngs)
        self.obj_pose_out = nnx.Linear(width, 6, rngs=rngs)
        self.obj_trans_out = nnx.Linear(width, 3, rngs=rngs)

    def __call__(
        self, features: Float[ArrayLike, "B H W C"], object_features: Float[ArrayLike, "B E"]
    ) -> tuple[jax.Array, jax.Array]:
        """Rotation (B, 6) and translation relative to the pelvis (B, 3), metres, camera frame."""
        x = jnp.concatenate([jnp.mean(features, axis=(1, 2)), object_features], axis=-1)
        x = jax.nn.relu(self.obj_feat_out(x))
        return self.obj_pose_out(x), self.obj_trans_out(x)
