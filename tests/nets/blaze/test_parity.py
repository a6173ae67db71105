"""Layers and a whole network against LiteRT, on models that are written from the shipped weights.

`test_networks.py` compares with the published files themselves, whose answers are committed.
"""

import importlib.util
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.nets.blaze import run_box_network
from hoijax.nets.blaze.layers import conv, dense, depth_to_space, depthwise, double, halve_max
from hoijax.nets.blaze.trunk import RESIDUAL, STRIDES

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed (extra [parity])")
pytest.importorskip("flatbuffers", reason="comes with ai-edge-litert")

_spec = importlib.util.spec_from_file_location("tflite_writer", pathlib.Path(__file__).with_name("tflite_writer.py"))
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
RELU6, Writer = _module.RELU6, _module.Writer


def picture(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def layer(*shape):
    rng = np.random.default_rng(1)
    kernel = rng.normal(size=shape).astype(np.float32)
    return kernel, rng.normal(size=shape[-1:]).astype(np.float32)


@pytest.mark.parametrize(
    ("kernel", "stride", "size"), [(3, 1, 9), (3, 2, 12), (5, 2, 12), (3, 2, 9), (5, 1, 8), (1, 1, 7)]
)
@pytest.mark.parametrize("padding", ["same", "centred"])
@pytest.mark.parametrize("kind", ["conv", "depthwise"])
def test_filters(kind, kernel, stride, size, padding):
    x = picture(2, size, size, 5)
    values, bias = layer(kernel, kernel, 5, 7) if kind == "conv" else layer(kernel, kernel, 5)
    params = {"l.kernel": values, "l.bias": bias}
    got = {"conv": conv, "depthwise": depthwise}[kind](params, "l", x, stride=stride, padding=padding)
    writer = Writer(x.shape)
    start = writer.graph.inputs[0] if padding == "same" else writer.pad(writer.graph.inputs[0], kernel // 2)
    (want,) = writer.run(x, getattr(writer, kind)(start, values, bias, stride, same=padding == "same"))
    np.testing.assert_allclose(got, want, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "function", "channels"),
    [("double", double, 3), ("halve_max", halve_max, 3), ("depth_to_space", depth_to_space, 12)],
)
def test_resizing(name, function, channels):
    x = picture(2, 6, 8, channels)
    writer = Writer(x.shape)
    (want,) = writer.run(x, getattr(writer, name)(writer.graph.inputs[0]))
    np.testing.assert_allclose(function(x), want, atol=1e-6)


def test_dense():
    x, (kernel, bias) = picture(3, 6), layer(6, 4)
    writer = Writer(x.shape)
    (want,) = writer.run(x, writer.dense(writer.graph.inputs[0], kernel, bias))
    np.testing.assert_allclose(dense({"l.kernel": kernel, "l.bias": bias}, "l", x), want, atol=1e-5)


def test_the_whole_box_network(weights):
    """The trunk of all networks, block by block in LiteRT, with the shipped weights."""
    params = {name: np.asarray(value) for name, value in weights("chair").items()}
    x = np.random.default_rng(2).random((1, 224, 224, 3)).astype(np.float32)
    writer = Writer(x.shape)

    def add(kind, name, at, *, stride=1, activation=RELU6):
        return getattr(writer, kind)(
            at, params[f"{name}.kernel"], params[f"{name}.bias"], stride, activation=activation
        )

    at = add("conv", "stem", writer.graph.inputs[0], stride=2)
    for i, stride in enumerate(STRIDES):
        wide = add("conv", f"blocks.{i}.expand", at) if i else at
        wide = add("depthwise", f"blocks.{i}.depthwise", wide, stride=stride)
        if i == len(STRIDES) - 1:
            break
        narrow = add("conv", f"blocks.{i}.project", wide, activation=0)
        at = writer.add(narrow, at) if i in RESIDUAL else narrow
    pooled = writer.mean(wide)
    points = writer.dense(pooled, params["points.kernel"], params["points.bias"])
    score = writer.logistic(writer.dense(pooled, params["score.kernel"], params["score.bias"]))
    want_points, want_score = writer.run(x, points, score)
    got_points, got_score = run_box_network(weights("chair"), jnp.asarray(x))
    np.testing.assert_allclose(got_points.reshape(1, 18), want_points, atol=2e-5 * np.abs(want_points).max())
    np.testing.assert_allclose(got_score, want_score[0], atol=1e-5)
