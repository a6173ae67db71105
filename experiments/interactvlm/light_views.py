"""What the light contact network would be told of a training pair by some camera: drawn anew at every step, in JAX.

The object's mask is a splat of its points, hidden where the person is nearer; landmarks are the person's points with
the errors that MediaPipe's network makes, now and then with left and right exchanged.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from hoijax.geometry import einsum
from hoijax.nets.pair_contact import Pair, Points
from hoijax.systems.interactvlm.pairs import JOINTS, MARGIN


@dataclasses.dataclass(frozen=True)
class ViewConfig:
    """Errors of a view, and what is hidden; standard deviations and shares of pairs."""

    pixel: float = 0.02
    """Of landmarks in the picture, as a share of the person's extent there."""
    across: float = 0.045
    """Of metric landmarks across the line of sight, metres, twice that along it: measured on val."""
    exchanged: float = 0.04
    """Left for right."""
    crop: float = 0.06
    """Of the square's place and size."""
    no_picture: float = 0.12
    """Neither landmarks nor mask: label and shape alone."""
    no_joints: float = 0.04
    """No landmarks."""
    no_mask: float = 0.08
    """No mask."""
    no_points: float = 0.08
    """No mesh."""
    no_word: float = 0.25
    """A label that is none of those taught."""


@struct.dataclass
class Example:
    """B pairs as a camera saw them, and the truth."""

    pair: Pair
    body: Points | None
    object: Points | None
    touches: Any
    """(B, V) and (B, Q), bool: which of the points that are asked about touch."""
    asked_touches: Any
    joint_gap: Any
    """(B, 27) and (B, N), metres: of the tokens."""
    point_gap: Any


def draw_views(
    batch: Mapping[str, jax.Array], body: Points, chosen: jax.Array, key: jax.Array, config: ViewConfig, cells: int,
    near: Any,
) -> Example:  # fmt: skip
    """Views of a batch.

    Args:
      batch: rows of `light_data.make_pairs`.
      body: the labelled vertices that are asked about, with a leading axis of 1.
      chosen: their numbers.
      key: of camera and errors.
      config: which errors.
      cells: of the mask.
      near: `(places, tokens) -> (B, Q, N)`, which of the object's tokens lie near its points.
    """
    keys = jax.random.split(key, len(batch["word"]))
    pair = jax.vmap(lambda row, k: draw_view(row, k, config, cells))(dict(batch), keys)
    asked = Points(
        batch["asked"], batch["asked_normals"], batch["asked_cell"], near(batch["asked"], batch["points"])
    )  # fmt: skip
    return Example(
        pair, body, asked, batch["touches"][:, chosen], batch["asked_touches"], batch["joint_gap"], batch["point_gap"]
    )


def draw_view(row: Mapping[str, jax.Array], key: jax.Array, config: ViewConfig, cells: int) -> Pair:
    """One pair by one of its cameras, without the leading axis."""
    keys = jax.random.split(key, 8)
    camera = row["cameras"][jax.random.randint(keys[0], (), 0, len(row["cameras"]))]
    transform = camera[1:].reshape(3, 4)

    def see(points: jax.Array) -> tuple[jax.Array, jax.Array]:
        local = einsum("ij,nj->ni", transform[:, :3], points.astype(jnp.float32)) + transform[None, :, 3]
        depth = jnp.maximum(local[:, 2], 0.05)
        return camera[0] * local[:, :2] / depth[:, None], local[:, 2]

    joints, joint_depth = see(row["joints"])
    extent = jnp.max(jnp.max(joints, 0) - jnp.min(joints, 0))
    places = joints + config.pixel * extent * jax.random.normal(keys[1], joints.shape, jnp.float32)
    turned = einsum("ij,nj->ni", transform[:, :3], row["joints"])
    hips = jnp.asarray([JOINTS.index(f"{side}_hip") for side in ("left", "right")])
    metric = turned - jnp.mean(turned[hips], axis=0)[None]
    metric = metric + config.across * jnp.asarray([1.0, 1.0, 2.0], jnp.float32)[None] * jax.random.normal(
        keys[2], metric.shape, jnp.float32
    )
    body, body_depth = see(row["body"])
    cloud, cloud_depth = see(row["cloud"])
    # The camera's picture ends at -1 and 1; nothing is known of an object beyond.
    inside = (jnp.abs(cloud) < 1).all(axis=1) & (cloud_depth > 0.05)
    shown = jnp.where(inside[:, None], cloud, places[:1])
    low = jnp.minimum(jnp.min(places, 0), jnp.min(shown, 0))
    high = jnp.maximum(jnp.max(places, 0), jnp.max(shown, 0))
    shift = config.crop * jax.random.normal(keys[3], (3,), jnp.float32)
    half = jnp.max(high - low) / 2 / (1 - 2 * MARGIN) * (1 + shift[2])
    middle = (low + high) / 2 + shift[:2] * half

    def cell(spots: jax.Array) -> jax.Array:
        at = jnp.clip(jnp.floor((spots - middle[None]) / half * (cells / 2) + cells / 2), 0, cells - 1)
        return (at[:, 1] * cells + at[:, 0]).astype(jnp.int32)

    empty = jnp.full((cells * cells,), jnp.inf, jnp.float32)
    before = empty.at[cell(body)].min(body_depth)
    behind = empty.at[cell(cloud)].min(jnp.where(inside, cloud_depth, jnp.float32(jnp.inf)))
    before, behind = _closed(before.reshape(cells, cells)), _closed(behind.reshape(cells, cells))
    mask = (behind < before + 0.03) & jnp.isfinite(behind)
    at = cell(places)
    seen = (joint_depth < before.reshape(-1)[at] + 0.15) & (joint_depth < behind.reshape(-1)[at] + 0.05)
    visible = jnp.clip(jnp.where(seen, 0.95, 0.35) + 0.15 * jax.random.normal(keys[4], seen.shape, jnp.float32), 0, 1)
    swap = jnp.asarray([JOINTS.index(n.replace("left_", "*").replace("right_", "left_").replace("*", "right_"))
                        for n in JOINTS])  # fmt: skip
    chance = jax.random.uniform(keys[5], (6,), jnp.float32)
    order = jnp.where(chance[0] < config.exchanged, swap, jnp.arange(len(JOINTS)))
    no_picture = chance[1] < config.no_picture
    known = ~jnp.stack([no_picture | (chance[2] < config.no_joints), no_picture | (chance[3] < config.no_mask),
                        chance[4] < config.no_points])  # fmt: skip
    return Pair(
        places=((places - middle[None]) / half)[order], metric=metric[order], visible=visible[order],
        mask=mask.astype(jnp.float32), word=jnp.where(chance[5] < config.no_word, 0, row["word"]),
        points=row["points"], normals=row["normals"], known=known.astype(jnp.float32),
    )  # fmt: skip


def _closed(depth: jax.Array) -> jax.Array:
    """A depth map whose single missing cells are those of their neighbours: nearest of 3 x 3, where most are known."""
    around = jax.lax.reduce_window(depth, np.float32(np.inf), jax.lax.min, (3, 3), (1, 1), "SAME")
    known = jax.lax.reduce_window(
        jnp.isfinite(depth).astype(jnp.float32), np.float32(0), jax.lax.add, (3, 3), (1, 1), "SAME"
    )
    return jnp.where(jnp.isfinite(depth) | (known < 4), depth, around)
