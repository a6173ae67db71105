"""A radiance field of one scene: a hash grid of features (Mueller et al. 2022) and two small perceptrons."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float, UInt

from hoijax.errors import InputError

ArrayLike = jax.Array | np.ndarray
PRIMES = (1, 2654435761, 805459861)
_CORNERS = np.array([[(k >> axis) & 1 for axis in range(3)] for k in range(8)], np.uint32)


@dataclasses.dataclass(frozen=True)
class FieldConfig:
    """Sizes; the defaults are those of threestudio's implicit volume, which MVDream distils into."""

    levels: int = 16
    features: int = 2
    """Of a corner."""
    entries: int = 2**19
    """Of a level's table."""
    base: int = 16
    """Corners along an axis of the coarsest level."""
    growth: float = 1.447269237440378
    """From one level to the next."""
    hidden: int = 64
    bias: float = 10.0
    """Of the density at the middle; it falls to 0 at"""
    bias_radius: float = 0.5
    """this distance, in units of the field."""

    def __post_init__(self):
        if min(self.levels, self.features, self.entries, self.hidden) < 1 or self.base < 2 or self.growth < 1:
            raise InputError(f"a field has at least a level, a feature, an entry and two corners; got {self}")


def level_sizes(config: FieldConfig) -> tuple[tuple[float, int], ...]:
    """Scale from [0, 1] to cells, and corners along an axis, of each level."""
    scales = [config.base * config.growth**level - 1.0 for level in range(config.levels)]
    return tuple((scale, math.ceil(scale) + 1) for scale in scales)


def corner_index(corner: UInt[ArrayLike, "*B 3"], corners: int, entries: int) -> UInt[jax.Array, "*B"]:
    """Where a corner lies in its level's table: row by row where all fit, else by a hash."""
    corner = jnp.asarray(corner).astype(jnp.uint32)
    x, y, z = corner[..., 0], corner[..., 1], corner[..., 2]
    if corners**3 <= entries:
        index = x + jnp.uint32(corners) * (y + jnp.uint32(corners) * z)
    else:
        index = (x * jnp.uint32(PRIMES[0])) ^ (y * jnp.uint32(PRIMES[1])) ^ (z * jnp.uint32(PRIMES[2]))
    return index % jnp.uint32(entries)


def hash_encode(
    tables: Float[ArrayLike, "L E F"], points: Float[ArrayLike, "*B 3"], config: FieldConfig
) -> Float[jax.Array, "*B L*F"]:
    """Features of points in [0, 1]: between the eight corners of each level's cell, linearly along each axis."""
    tables, points = jnp.asarray(tables), jnp.asarray(points)
    found = []
    for table, (scale, corners) in zip(tables, level_sizes(config)):
        place = points * scale + 0.5
        cell = jnp.floor(place)
        share = place - cell
        value = jnp.zeros((*points.shape[:-1], table.shape[-1]), table.dtype)
        for offset in _CORNERS:
            over = np.broadcast_to(offset, points.shape)
            weight = jnp.prod(jnp.where(over.astype(bool), share, 1.0 - share), axis=-1)
            index = corner_index(cell.astype(jnp.uint32) + over, corners, config.entries)
            value = value + weight[..., None] * table[index]
        found.append(value)
    return jnp.concatenate(found, axis=-1)


class RadianceField(nnx.Module):
    """Density and colour of points in [-1, 1]."""

    def __init__(self, config: FieldConfig, rngs: nnx.Rngs):
        self.config = config
        shape = (config.levels, config.entries, config.features)
        self.tables = nnx.Param(jax.random.uniform(rngs.params(), shape, jnp.float32, -1e-4, 1e-4))
        inputs = config.levels * config.features

        def layer(a: int, b: int) -> nnx.Linear:
            return nnx.Linear(a, b, use_bias=False, rngs=rngs)

        self.density_in, self.density_out = layer(inputs, config.hidden), layer(config.hidden, 1)
        self.color_in, self.color_out = layer(inputs, config.hidden), layer(config.hidden, 3)

    def __call__(self, points: Float[ArrayLike, "*B 3"]) -> tuple[Float[jax.Array, "*B"], Float[jax.Array, "*B 3"]]:
        """Density per unit of length, and colour in [0, 1]; nothing is beyond [-1, 1]."""
        points = jnp.asarray(points)
        features = hash_encode(self.tables[...], jnp.clip((points + 1.0) / 2.0, 0.0, 1.0), self.config)
        raw = self.density_out(jax.nn.relu(self.density_in(features)))[..., 0]
        away = jnp.sqrt(jnp.sum(points**2, axis=-1) + 1e-12)
        density = jax.nn.softplus(raw + self.config.bias * (1.0 - away / self.config.bias_radius))
        inside = jnp.all(jnp.abs(points) <= 1.0, axis=-1)
        color = jax.nn.sigmoid(self.color_out(jax.nn.relu(self.color_in(features))))
        return jnp.where(inside, density, 0.0), color
