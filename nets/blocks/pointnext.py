"""PointNeXt-S (Qian et al. 2022), the encoder of ScoreHOI's object geometry (spec 3.9).

Points are grouped around farthest-point samples; a small perceptron on each neighbour, a maximum over the neighbours
and a residual from the centre make the next, sparser level; the last level gathers everything. Attribute names are
openpoints', whose ModelNet40 checkpoint of width 64 answers the 1024 numbers that ScoreHOI uses.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float, Int

from hoijax.geometry import farthest_points
from hoijax.nets.blocks.norms import batch_norm

ArrayLike = jax.Array | np.ndarray


@dataclasses.dataclass(frozen=True)
class PointNeXtConfig:
    """Sizes; the defaults are PointNeXt-S of width 64 as trained on ModelNet40."""

    width: int = 64
    """Channels of the first level; each level with a stride doubles them."""
    levels: int = 4
    """Levels that halve the points; a last one gathers what is left."""
    radius: float = 0.15
    """Of the first level's neighbourhoods, in the points' unit; each further level's is 1.5 times larger."""
    neighbours: int = 32
    """Most neighbours of a centre."""

    @property
    def out_features(self) -> int:
        """Size of the global feature."""
        return self.width * 2**self.levels


def ball_query(
    centres: Float[ArrayLike, "M 3"], points: Float[ArrayLike, "N 3"], radius: float, count: int
) -> tuple[Int[jax.Array, "M K"], Bool[jax.Array, "M K"]]:
    """The first points, in their order, nearer than `radius` to each centre (PointNet++).

    Args:
      centres: where to look.
      points: what is looked for.
      radius: strictly nearer counts.
      count: most neighbours of a centre.

    Returns:
      Indices, K = min(count, N), and which of them are neighbours; empty places hold index 0.
    """
    centres, points = jnp.asarray(centres), jnp.asarray(points)
    offset = centres[:, None] - points[None]
    near = jnp.sum(offset * offset, axis=-1) < radius * radius
    number = points.shape[0]
    place = jnp.where(near, jnp.arange(number, dtype=jnp.int32)[None], number)
    first = jnp.sort(place, axis=-1)[:, : min(count, number)]
    inside = first < number
    return jnp.where(inside, first, 0), inside


class SetAbstraction(nnx.Module):
    """One level: fewer points with more channels."""

    def __init__(self, inputs: int, outputs: int, stride: int, radius: float | None, count: int, rngs: nnx.Rngs):
        """`radius` None: the level gathers all points around the origin (stride 1)."""
        self.stride, self.radius, self.count = stride, radius, count
        middle = outputs if radius is None else outputs // 2
        sizes = [(inputs + 3, middle), (middle, outputs)]
        self.convs = nnx.List(
            [nnx.List([nnx.Conv(a, b, (1, 1), use_bias=False, rngs=rngs), batch_norm(b, rngs)]) for a, b in sizes]
        )
        if radius is not None:
            self.skipconv = nnx.List([nnx.Conv(inputs, outputs, (1,), rngs=rngs)])

    def __call__(
        self, points: Float[ArrayLike, "B N 3"], features: Float[ArrayLike, "B N C"]
    ) -> tuple[jax.Array, jax.Array]:
        """Points (B, N / stride, 3) and their features; a single feature per cloud where all are gathered."""
        if self.radius is None:
            grouped = jnp.concatenate([points, features], axis=-1)[:, None]
            return points[:, :1], jnp.max(self._mlp(grouped, last=True), axis=2)
        chosen = jax.vmap(lambda p: farthest_points(p, p.shape[0] // self.stride))(points)
        centres = jnp.take_along_axis(points, chosen[..., None], axis=1)
        own = jnp.take_along_axis(features, chosen[..., None], axis=1)
        index, inside = jax.vmap(lambda c, p: ball_query(c, p, self.radius, self.count))(centres, points)
        offset = jax.vmap(lambda p, i: p[i])(points, index) - centres[:, :, None]
        grouped = jnp.concatenate([offset / self.radius, jax.vmap(lambda f, i: f[i])(features, index)], axis=-1)
        # A centre is its own neighbour, so no maximum is empty.
        values = jnp.where(inside[..., None], self._mlp(grouped, last=False), -jnp.inf)
        return centres, jax.nn.relu(jnp.max(values, axis=2) + self.skipconv[0](own))

    def _mlp(self, x: jax.Array, *, last: bool) -> jax.Array:
        for i, (layer, norm) in enumerate(self.convs):
            x = norm(layer(x))
            x = jax.nn.relu(x) if last or i == 0 else x
        return x


class Head(nnx.Module):
    """The first level: a linear map of the coordinates."""

    def __init__(self, width: int, rngs: nnx.Rngs):
        self.convs = nnx.List([nnx.List([nnx.Conv(3, width, (1,), rngs=rngs)])])

    def __call__(self, points: Float[ArrayLike, "B N 3"]) -> tuple[jax.Array, jax.Array]:
        """The points and their features."""
        return jnp.asarray(points), self.convs[0][0](points)


class Encoder(nnx.Module):
    """All levels."""

    def __init__(self, config: PointNeXtConfig, rngs: nnx.Rngs):
        levels: list[nnx.Module] = [Head(config.width, rngs)]
        width, radius = config.width, config.radius
        for _ in range(config.levels):
            levels.append(SetAbstraction(width, 2 * width, 2, radius, config.neighbours, rngs))
            width, radius = 2 * width, 1.5 * radius
        levels.append(SetAbstraction(width, width, 1, None, config.neighbours, rngs))
        self.encoder = nnx.List([nnx.List([level]) for level in levels])


class PointNeXt(nnx.Module):
    """The global feature of a cloud."""

    def __init__(self, config: PointNeXtConfig, rngs: nnx.Rngs):
        self.config = config
        self.encoder = Encoder(config, rngs)

    def __call__(self, points: Float[ArrayLike, "B N 3"]) -> Float[jax.Array, "B G"]:
        """The features of clouds whose N is divisible by 2 ** levels; no gradient passes the choice of centres.

        Raises:
          ValueError: N is not divisible.
        """
        if points.shape[1] % 2**self.config.levels:
            raise ValueError(
                f"{self.config.levels} levels halve the points: need a multiple of {2**self.config.levels}, "
                f"got {points.shape[1]}"
            )
        place, features = self.encoder.encoder[0][0](points)
        for level in list(self.encoder.encoder)[1:]:
            place, features = level[0](place, features)
        return features[:, 0]
