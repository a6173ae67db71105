"""Augmentation of ScoreHOI's training crops on the device: scale, turn and colours, and every label with them.

The ranges are those of CONTHO and ScoreHOI (specs/scorehoi.md 8). Samples come with a wider crop than the network takes
(`Layout.margin`), so that a turned or widened view shows the picture and no black corners. A turn of the picture is a
turn of the camera about its axis: rotations and translations of body and object turn with it.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Float, Key

from hoijax.data.augmentation import AugmentConfig, jitter_colors, random_view, turn_points, warp_image
from hoijax.data.augmentation.view import ViewChange
from hoijax.experiments.scorehoi.samples import HAND_BOX
from hoijax.geometry import einsum, rotation_from_6d, sixd_from_rotation
from hoijax.nets.scorehoi.state import pack, unpack

Batch = dict[str, jax.Array]
PLAIN = AugmentConfig(scale=0.0, rotation=0.0, gain=0.0)
"""Cuts the middle out of the wider crop and changes nothing."""


def augment_batch(key: Key[jax.Array, ""], batch: Batch, crop: int, config: AugmentConfig) -> Batch:
    """A batch seen by turned, nearer or farther cameras in other colours.

    Args:
      key: of this step.
      batch: fields of `hoijax.experiments.scorehoi.samples`.
      crop: pixels of a side that the network takes; the batch's pictures are that much larger as their margin was.
      config: ranges.

    Returns:
      The same fields, `image` with `crop` pixels a side.
    """
    keys = jax.random.split(key, batch["state"].shape[0])
    margin = batch["image"].shape[1] / crop
    if config == PLAIN and margin == 1.0:
        return batch
    one = lambda key, sample: _augment(key, sample, crop, margin, config)  # noqa: E731
    return jax.vmap(one)(keys, batch)


def _augment(key: jax.Array, sample: Batch, crop: int, margin: float, config: AugmentConfig) -> Batch:
    view_key, color_key = jax.random.split(key)
    image = sample["image"]
    side = image.shape[0]
    middle = side / 2
    # Any focal length does: the turn is about the middle of the crop.
    camera = jnp.asarray([[side, 0.0, middle], [0.0, side, middle], [0.0, 0.0, 1.0]], image.dtype)
    center = jnp.full(2, middle, image.dtype)
    change = random_view(
        view_key, camera, center=center, width=side / margin, size=(crop, crop), config=config
    )  # fmt: skip
    warped = warp_image(image, change)
    colors = jitter_colors(color_key, warped[..., :3], gain=config.gain, contrast=config.contrast)
    masks = (warped[..., 3:] > 0.5).astype(image.dtype)
    # From fractions of the crop to those of the new one; the middle stays where it is.
    zoom = change.pixels[:, :2] * (side / margin / crop)
    positional = sample["positional"]
    place = einsum("ij,nj->ni", zoom, positional[:, :2])
    return sample | {
        "image": jnp.concatenate([colors, masks], axis=-1),
        "joints_2d": einsum("ij,nj->ni", zoom, sample["joints_2d"]),
        "positional": jnp.concatenate([place, positional[:, 2:]], axis=-1),
        "hand_boxes": jnp.stack([_hand_box(place[start : start + 20]) for start in (25, 45)]),
        "state": _turn_state(sample["state"], change),
    }


def _hand_box(points: Float[jax.Array, "N 2"]) -> Float[jax.Array, "2 2"]:
    low, high = jnp.min(points, axis=0), jnp.max(points, axis=0)
    half = jnp.broadcast_to(HAND_BOX * jnp.max(high - low) / 2, low.shape)
    return jnp.stack([(low + high) / 2 - half, (low + high) / 2 + half])


def _turn_state(x: Float[jax.Array, "D"], change: ViewChange) -> Float[jax.Array, "D"]:
    state = unpack(x)
    turn = jnp.asarray(change.rotation)
    root, obj = (
        sixd_from_rotation(einsum("ij,jk->ik", turn, rotation_from_6d(r)))
        for r in (state.pose[0], state.object_rotation)
    )
    return pack(state.replace(
        pose=jnp.concatenate([root[None], state.pose[1:]]),
        object_rotation=obj,
        object_translation=turn_points(state.object_translation, change),
    ))  # fmt: skip
