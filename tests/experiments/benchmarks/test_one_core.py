"""What one core spends on a network: the parts that are left out, and the page."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.experiments.benchmarks import one_core
from hoijax.experiments.benchmarks.one_core import WITHOUT, compile_without, markdown, shares
from hoijax.nets.blaze import layers, trunk


def network(params, picture):
    """Two of the trunk's layers and one of three by three pixels, which nothing takes the place of."""
    x = trunk.stem(params, picture, "same")
    return trunk.project(params, "b", trunk.filter_channels(params, "b", x, 2, "same"))


@pytest.fixture(scope="module")
def params():
    rng, shapes = np.random.default_rng(0), {"stem": (3, 3, 3, 4), "b.depthwise": (3, 3, 4), "b.project": (1, 1, 4, 6)}
    kernels = {f"{name}.kernel": rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return kernels | {f"{name}.bias": np.zeros(shape[-1], np.float32) for name, shape in shapes.items()}


def test_one_kind_of_layers_is_left_out_and_then_is_there_again(params):
    picture = jnp.asarray(np.random.default_rng(1).random((1, 16, 16, 3), dtype=np.float32))
    whole = np.asarray(network(params, picture))
    x = trunk.stem(params, picture, "same")
    for kind in (None, *WITHOUT, None):
        got = np.asarray(compile_without(kind, jax.jit(network), params, picture)())
        if kind is None:
            want = whole
        elif kind == "filters per channel":
            picked = np.clip(np.asarray(x)[:, ::2, ::2] * params["b.depthwise.kernel"][0, 0], 0, 6)
            want = np.einsum("bhwi,io->bhwo", picked, params["b.project.kernel"][0, 0])
        else:
            wide = np.asarray(trunk.filter_channels(params, "b", x, 2, "same"))
            want = np.concatenate([wide, wide[..., :2]], -1) * params["b.project.kernel"][0, 0, 0]
        np.testing.assert_allclose(got, want, atol=1e-5)
    assert trunk.depthwise is layers.depthwise and trunk.conv is layers.conv


def test_the_table_tells_ratio_and_shares():
    row = {"hoijax": 8.0, "without filters per channel": 6.0, "without 1 x 1 products": 4.0, "LiteRT": 6.0}
    assert shares(row) == {"filters per channel": 0.25, "1 x 1 products": 0.5}
    alone = {key: value for key, value in row.items() if key != "LiteRT"}
    text = markdown({"hand": row, "chair": alone}, "a machine")
    assert "a machine. Least" in text
    dear = markdown({"hand": row | {"without 1 x 1 products": 9.0}}, "a machine")
    assert "| hand | 6.0 | 8.0 | 0.75 | 25 % | not known |" in dear
    assert "| hand | 6.0 | 8.0 | 0.75 | 25 % | 50 % |" in text and "| chair |  | 8.0 |  | 25 % | 50 % |" in text


def test_a_machine_that_cannot_hold_a_process_to_a_core_is_left_out(monkeypatch):
    monkeypatch.delattr(one_core.os, "sched_setaffinity", raising=False)
    assert one_core.measure_one_core("hand", "run_hand_network", 224, None, 1) is None
