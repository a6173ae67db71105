"""The hash grid against loops, and what the field is beyond its ball and at its middle."""

import math

import jax
import numpy as np
import pytest
from flax import nnx

from hoijax.errors import InputError
from hoijax.nets.interactanything.radiance import FieldConfig, RadianceField, corner_index, hash_encode, level_sizes

CONFIG = FieldConfig(levels=4, features=2, entries=512, base=4, growth=1.7, hidden=8)


def slow_encode(tables, point, config):
    """One point, one corner after the other, with Python's whole numbers."""
    out = []
    for level in range(config.levels):
        scale = config.base * config.growth**level - 1
        corners = math.ceil(scale) + 1
        place = [float(x) * scale + 0.5 for x in point]
        value = np.zeros(config.features)
        for dx in (0, 1):
            for dy in (0, 1):
                for dz in (0, 1):
                    at = [math.floor(p) + d for p, d in zip(place, (dx, dy, dz))]
                    weight = math.prod(
                        (p - math.floor(p)) if d else 1 - (p - math.floor(p)) for p, d in zip(place, (dx, dy, dz))
                    )
                    if corners**3 <= config.entries:
                        index = at[0] + at[1] * corners + at[2] * corners**2
                    else:
                        index = at[0] ^ (at[1] * 2654435761 & 0xFFFFFFFF) ^ (at[2] * 805459861 & 0xFFFFFFFF)
                    value += weight * tables[level, index % config.entries]
        out.append(value)
    return np.concatenate(out)


def test_features_are_those_of_a_loop_in_dense_and_in_hashed_levels():
    rng = np.random.default_rng(0)
    sizes = level_sizes(CONFIG)
    assert sizes[0] == (3.0, 4) and sizes[0][1] ** 3 <= CONFIG.entries < sizes[-1][1] ** 3
    tables = rng.normal(size=(4, 512, 2)).astype(np.float32)
    points = np.concatenate([rng.uniform(0, 1, (12, 3)), [[0, 0, 0], [1, 1, 1], [0.5, 0, 1]]]).astype(np.float32)
    got = hash_encode(tables, points, CONFIG)
    want = np.stack([slow_encode(tables, p, CONFIG) for p in points])
    np.testing.assert_allclose(got, want, atol=2e-5)


def test_the_published_grid_has_its_sizes():
    sizes = level_sizes(FieldConfig())
    assert sizes[0] == (15.0, 16) and sizes[-1][1] == 4096
    corner = np.array([3, 5, 7], np.uint32)
    assert int(corner_index(corner, 16, 2**19)) == 3 + 5 * 16 + 7 * 256
    assert int(corner_index(corner, 4096, 2**19)) == (3 ^ (5 * 2654435761 % 2**32) ^ (7 * 805459861 % 2**32)) % 2**19


def test_density_is_largest_in_the_middle_and_nothing_beyond():
    field = RadianceField(FieldConfig(levels=2, entries=64, base=4, hidden=8), nnx.Rngs(0))
    density, color = field(np.float32([[0, 0, 0], [0.5, 0, 0], [0.9, 0, 0], [1.01, 0, 0], [0, -1.2, 0]]))
    # The grid starts at almost nothing, so the bias alone is seen: 10 (1 - r / 0.5).
    np.testing.assert_allclose(density[:3], np.logaddexp(0, [10.0, 0.0, -8.0]), atol=1e-3)
    assert np.all(np.asarray(density[3:]) == 0)
    np.testing.assert_allclose(color, 0.5, atol=1e-3)


def test_the_grid_learns_through_its_derivatives():
    field = RadianceField(CONFIG, nnx.Rngs(1))
    graph, state = nnx.split(field)
    points = np.random.default_rng(2).uniform(-1, 1, (20, 3)).astype(np.float32)
    slope = jax.grad(lambda s: nnx.merge(graph, s)(points)[0].sum())(state)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(slope)) and np.abs(slope["tables"][...]).max() > 0


def test_impossible_sizes_are_refused():
    with pytest.raises(InputError, match="two corners"):
        FieldConfig(base=1)
