"""The light contact network: tokens of a pair look at each other, points of both surfaces look at them."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float

from hoijax.nets.blocks import (
    Attention,
    AttentionConfig,
    BlockConfig,
    Perceptron,
    TransformerBlock,
    layer_norm,
    linear,
    look_up,
)
from hoijax.nets.pair_contact.config import NUM_JOINTS, Config
from hoijax.nets.pair_contact.types import Answer, Pair, Points

ArrayLike = jax.Array | np.ndarray

_FAR = 2.0
"""Distance to a mask without a seen cell, in units of the square's half side."""


class PointDecoder(nnx.Module):
    """One block in which points look at tokens: x + attention(norm x, tokens), then x + perceptron(norm x)."""

    def __init__(self, config: Config, rngs: nnx.Rngs):
        width = config.width
        self.attention_norm, self.perceptron_norm = layer_norm(width, rngs), layer_norm(width, rngs)
        self.attention = Attention(AttentionConfig(width, config.heads), rngs)
        self.perceptron = Perceptron(width, 2 * width, width, rngs)

    def __call__(self, points: jax.Array, tokens: jax.Array, seen: jax.Array) -> jax.Array:
        """Points (B, Q, W) after the block; `seen` (B, T) says which tokens (B, T, W) may be looked at."""
        points = points + self.attention(self.attention_norm(points), tokens, mask=seen)
        return points + self.perceptron(self.perceptron_norm(points))


class Model(nnx.Module):
    """The network.

    Args:
      config: its sizes.
      rngs: where the initial weights come from.
    """

    def __init__(self, config: Config, rngs: nnx.Rngs):
        self.config = config
        width, cells = config.width, (config.mask // config.patch) ** 2
        place = 3 + 6 * config.frequencies + 3

        def learned(*shape: int) -> nnx.Param:
            return nnx.Param(0.5 * jax.random.normal(rngs.params(), shape, jnp.float32))

        self.joint_names = learned(NUM_JOINTS, width)
        self.cell_places = learned(cells, width)
        self.no_joints, self.no_mask, self.no_points = (learned(width) for _ in range(3))
        self.joint = Perceptron(10 + config.window**2, 2 * width, width, rngs)
        self.cells = linear(config.patch**2, width, rngs)
        self.point = Perceptron(place, 2 * width, width, rngs)
        self.word = nnx.Embed(len(config.words) + 1, width, rngs=rngs)
        block = BlockConfig(AttentionConfig(width, config.heads), hidden=2 * width)
        self.blocks = nnx.List([TransformerBlock(block, rngs) for _ in range(config.layers)])
        self.norm = layer_norm(width, rngs)
        self.joint_distance, self.point_distance = linear(width, 1, rngs), linear(width, 1, rngs)
        for name in ("body", "object"):
            setattr(self, f"{name}_query", Perceptron(place, 2 * width, width, rngs))
            setattr(self, f"{name}_near", linear(width, width, rngs))
            setattr(self, f"{name}_decoders", nnx.List([PointDecoder(config, rngs) for _ in range(config.depth)]))
            setattr(self, f"{name}_norm", layer_norm(width, rngs))
            # Begins at what the label alone says; training sets that to the label's mean map.
            setattr(self, f"{name}_logit", linear(width, 1, rngs, zero=True))
            cells_of = config.regions if name == "body" else config.boxes**3
            setattr(self, f"{name}_bias", nnx.Param(jnp.zeros((len(config.words) + 1, cells_of), jnp.float32)))

    def __call__(self, pair: Pair, body: Points, object: Points) -> Answer:
        """Contact of every pair at once.

        Args:
          pair: B pairs, of one picture or of many.
          body: points of the body; a leading axis of 1 serves all pairs.
          object: points of the object.
        """
        tokens, seen = self.encode(pair)
        body = jax.tree.map(lambda x: jnp.broadcast_to(jnp.asarray(x), (tokens.shape[0], *x.shape[1:])), body)
        joints, points = tokens[..., :NUM_JOINTS, :], tokens[..., tokens.shape[-2] - pair.points.shape[-2] :, :]
        return Answer(
            body=self._decode("body", body, joints, tokens, seen) + self._bias("body", pair, body),
            object=self._decode("object", object, points, tokens, seen) + self._bias("object", pair, object),
            joint_distance=self.joint_distance(joints)[..., 0],
            point_distance=self.point_distance(points)[..., 0],
        )

    def encode(self, pair: Pair) -> tuple[Float[jax.Array, "B T W"], Bool[jax.Array, "B T"]]:
        """Tokens of the pairs (the person's points, cells of the mask, label, the object's points), and which may be
        looked at."""
        known = jnp.asarray(pair.known)
        has_joints, has_mask, has_points = known[:, :1], known[:, 1:2], known[:, 2:]
        mask = jnp.asarray(pair.mask) * has_mask[..., None]
        joints = self.joint(self._joint_features(pair, mask, has_mask)) + self.joint_names[...][None]
        cells = self.cells(_patches(mask, self.config.patch)) + self.cell_places[...][None]
        word = look_up(self.word, pair.word)[:, None, :]
        points = self.point(self._place_features(pair.points, pair.normals))
        # What is not known is hidden from all others; what stands in its place is what later layers see of it.
        groups = [
            (jnp.where(has_joints[..., None] > 0, joints, self.no_joints[...][None, None]), has_joints),
            (jnp.where(has_mask[..., None] > 0, cells, self.no_mask[...][None, None]), has_mask),
            (word, jnp.ones_like(has_mask)),
            (jnp.where(has_points[..., None] > 0, points, self.no_points[...][None, None]), has_points),
        ]
        tokens = jnp.concatenate([group for group, _ in groups], axis=1)
        seen = [jnp.broadcast_to(flag > 0, group.shape[:2]) for group, flag in groups]
        seen = jnp.concatenate(seen, axis=1)
        for block in self.blocks:
            tokens = block(tokens, mask=seen)
        return self.norm(tokens), seen

    def _joint_features(self, pair: Pair, mask: ArrayLike, has_mask: ArrayLike) -> jax.Array:
        """Where a point of the person is, and where the object's mask is from there."""
        size, places, metric = self.config.mask, jnp.asarray(pair.places), jnp.asarray(pair.metric)
        # Metres of the square's half side, from what the person measures in both.
        spread = jnp.std(places, axis=-2).mean(-1), jnp.std(metric[..., :2], axis=-2).mean(-1)
        scale = jnp.clip(spread[1] / jnp.maximum(spread[0], 0.02), 0.1, 10.0)[..., None, None]
        centre = (jnp.arange(size, dtype=places.dtype) + 0.5) * (2 / size) - 1
        grid = jnp.stack(jnp.meshgrid(centre, centre, indexing="xy"), -1).reshape(-1, 2)
        offset = grid[None, None] - places[:, :, None, :]
        distance = jnp.sqrt(jnp.sum(offset**2, axis=-1) + 1e-6)
        distance = jnp.where(mask.reshape(len(mask), 1, -1) > 0.3, distance, _FAR)
        nearest = jnp.argmin(distance, axis=-1)[..., None]
        far = jnp.take_along_axis(distance, nearest, axis=-1)
        towards = jnp.take_along_axis(offset, nearest[..., None], axis=-2)[..., 0, :]
        towards = jnp.where(far < _FAR, towards, jnp.zeros_like(towards))
        around = _windows(mask, places, self.config.window)
        known = jnp.broadcast_to(has_mask[..., None], far.shape)
        return jnp.concatenate(
            [places, metric, jnp.asarray(pair.visible)[..., None], jnp.minimum(far * scale, 2.0), towards * scale,
             known, around], axis=-1,
        )  # fmt: skip

    def _place_features(self, places: ArrayLike, normals: ArrayLike) -> jax.Array:
        places = jnp.asarray(places)
        waves = jnp.asarray((np.pi / 2) * 2.0 ** np.arange(self.config.frequencies), places.dtype)
        angles = places[..., None] * waves[None, None, None]
        angles = angles.reshape(*places.shape[:-1], 3 * self.config.frequencies)
        return jnp.concatenate([places, jnp.sin(angles), jnp.cos(angles), jnp.asarray(normals)], axis=-1)

    def _bias(self, name: str, pair: Pair, asked: Points) -> jax.Array:
        """What the label alone says of each point, (B, Q)."""
        of_label = jnp.take(getattr(self, f"{name}_bias")[...], jnp.asarray(pair.word), axis=0)
        return jnp.take_along_axis(of_label, jnp.asarray(asked.cell), axis=1)

    def _decode(self, name: str, asked: Points, own: jax.Array, tokens: jax.Array, seen: jax.Array) -> jax.Array:
        query = getattr(self, f"{name}_query")(self._place_features(asked.places, asked.normals))
        near = getattr(self, f"{name}_near")(jnp.matmul(jnp.asarray(asked.near), own))
        query = query + near
        for decoder in getattr(self, f"{name}_decoders"):
            query = decoder(query, tokens, seen)
        return getattr(self, f"{name}_logit")(getattr(self, f"{name}_norm")(query))[..., 0]


def _patches(mask: ArrayLike, patch: int) -> jax.Array:
    """(B, S, S) -> (B, (S / patch)^2, patch^2)."""
    count = mask.shape[-1] // patch
    cut = mask.reshape(len(mask), count, patch, count, patch)
    return jnp.moveaxis(cut, 3, 2).reshape(len(mask), count * count, patch * patch)


def _windows(mask: ArrayLike, places: ArrayLike, window: int) -> jax.Array:
    """Cells of the mask about places, row by row, zero outside of it: (B, J, window^2)."""
    mask, places = jnp.asarray(mask), jnp.asarray(places)
    size, reach = mask.shape[-1], window // 2
    cell = jnp.floor((places + 1) * (size / 2)).astype(jnp.int32)
    steps = jnp.arange(-reach, reach + 1, dtype=jnp.int32)[None, None]
    rows, columns = cell[..., 1:] + steps, cell[..., :1] + steps
    inside = ((rows >= 0) & (rows < size))[..., :, None] & ((columns >= 0) & (columns < size))[..., None, :]
    flat = jnp.clip(rows, 0, size - 1)[..., :, None] * size + jnp.clip(columns, 0, size - 1)[..., None, :]
    values = jnp.take_along_axis(mask.reshape(len(mask), -1), flat.reshape(len(mask), -1), axis=1).reshape(flat.shape)
    return jnp.where(inside, values, jnp.zeros_like(values)).reshape(*flat.shape[:2], window * window)
