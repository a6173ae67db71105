"""PointNeXt against the paper's steps written as loops, and its table of keys."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.nets import weights as convert
from hoijax.nets.blocks.pointnext import PointNeXt, PointNeXtConfig, ball_query

SMALL = PointNeXtConfig(width=4, levels=2, radius=0.4, neighbours=5)


def weights(keys, seed=0):
    """Random parameters of PyTorch's shapes; variances positive."""
    rng = np.random.default_rng(seed)
    return {
        k: (np.abs(rng.normal(size=s)) + 0.5 if "var" in k else rng.normal(size=s)).astype(np.float32)
        for k, s in keys.items()
    }


def keys(width, levels):
    """openpoints' names and shapes of PointNeXt-S, from its paper and spec 3.9, 9.2."""
    table = {"encoder.encoder.0.0.convs.0.0.weight": (width, 3, 1), "encoder.encoder.0.0.convs.0.0.bias": (width,)}
    for level in range(1, levels + 2):
        last = level == levels + 1
        outputs = width if last else 2 * width
        middle = outputs if last else width
        start = f"encoder.encoder.{level}.0"
        for k, (a, b) in enumerate(((width + 3, middle), (middle, outputs))):
            table[f"{start}.convs.{k}.0.weight"] = (b, a, 1, 1)
            table |= {f"{start}.convs.{k}.1.{n}": (b,) for n in ("weight", "bias", "running_mean", "running_var")}
        if not last:
            table |= {f"{start}.skipconv.0.weight": (outputs, width, 1), f"{start}.skipconv.0.bias": (outputs,)}
        width = outputs
    return table


def reference(w, points, levels, radius, neighbours):
    """One cloud, point by point."""

    def linear(name, x):
        return w[f"{name}.weight"].reshape(len(w[f"{name}.weight"]), -1) @ x + w.get(f"{name}.bias", 0)

    def norm(name, x):
        scale = w[f"{name}.weight"] / np.sqrt(w[f"{name}.running_var"] + 1e-5)
        return (x - w[f"{name}.running_mean"]) * scale + w[f"{name}.bias"]

    def unit(level, k, x):
        return norm(f"{level}.convs.{k}.1", linear(f"{level}.convs.{k}.0", x))

    features = [linear("encoder.encoder.0.0.convs.0.0", p) for p in points]
    for number in range(1, levels + 1):
        level = f"encoder.encoder.{number}.0"
        chosen, distance = [0], np.full(len(points), np.inf)
        while len(chosen) < len(points) // 2:
            distance = np.minimum(distance, np.sum((points - points[chosen[-1]]) ** 2, axis=1))
            chosen.append(int(np.argmax(distance)))
        new = []
        for c in chosen:
            near = [i for i in range(len(points)) if np.sum((points[i] - points[c]) ** 2) < radius**2][:neighbours]
            values = [
                unit(level, 1, np.maximum(unit(level, 0, np.r_[(points[i] - points[c]) / radius, features[i]]), 0))
                for i in near
            ]
            new.append(np.maximum(np.max(values, axis=0) + linear(f"{level}.skipconv.0", features[c]), 0))
        points, features, radius = points[chosen], new, 1.5 * radius
    level = f"encoder.encoder.{levels + 1}.0"
    values = [
        np.maximum(unit(level, 1, np.maximum(unit(level, 0, np.r_[p, f]), 0)), 0) for p, f in zip(points, features)
    ]
    return np.max(values, axis=0)


def test_meets_the_steps_of_the_paper_through_the_converter():
    w = weights(keys(4, 2))
    net = convert.abstract(lambda rngs: PointNeXt(SMALL, rngs))
    convert.load_state_dict(net, w)
    net.eval()
    clouds = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 16, 3)).astype(np.float32)
    got = jax.jit(lambda x: net(x))(clouds)
    for cloud, feature in zip(clouds, got):
        np.testing.assert_allclose(feature, reference(w, cloud, 2, 0.4, 5), rtol=1e-4, atol=1e-4)


def test_published_table_of_keys():
    entries = convert.torch_entries(nnx.eval_shape(lambda: convert.checkpoints()["pointnext_s"].make(nnx.Rngs(0))))
    shapes = {
        key: tuple(leaf.shape if axes is None else np.asarray(leaf.shape)[np.argsort(axes)])
        for key, (leaf, axes) in entries.items()
    }
    assert shapes == keys(64, 4)


def test_ball_query_takes_the_first_points_in_order():
    points = np.array([[0.0, 0, 0], [3, 0, 0], [0.5, 0, 0], [1, 0, 0], [0, 0.9, 0]])
    index, found = ball_query(points[:2], points, 1.0, 2)
    np.testing.assert_array_equal(index, [[0, 2], [1, 0]])
    np.testing.assert_array_equal(found, [[True, True], [True, False]])


def test_odd_numbers_of_points_are_refused(random_module):
    net = random_module(lambda rngs: PointNeXt(SMALL, rngs))
    with pytest.raises(ValueError, match="need a multiple of 4, got 18"):
        net(jnp.zeros((1, 18, 3), jnp.float32))
