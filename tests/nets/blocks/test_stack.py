"""Layers that run in turn: against the same layers one by one, and how a checkpoint of single layers fills them."""

import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.errors import InputError
from hoijax.nets import weights
from hoijax.nets.blocks import Stack


class Layer(nnx.Module):
    """x + tanh(x W + b) dropped out."""

    def __init__(self, rngs, rate=0.0):
        self.linear = nnx.Linear(4, 4, rngs=rngs)
        self.dropout = nnx.Dropout(rate, rngs=rngs) if rate else None

    def __call__(self, x):
        y = jnp.tanh(self.linear(x))
        return x + (y if self.dropout is None else self.dropout(y))


class Network(nnx.Module):
    """Three of them."""

    def __init__(self, rngs, rate=0.0):
        self.layers = Stack(lambda rngs: Layer(rngs, rate), 3, rngs)

    def __call__(self, x, remat=False):
        return self.layers.scan(
            lambda layer, x, more: (layer(x) + jnp.broadcast_to(more, x.shape), jnp.sum(x)),
            x,
            jnp.arange(3, dtype=x.dtype),
            remat=remat,
        )


def state():
    rng = np.random.default_rng(0)
    return {f"layers.{i}.linear.{n}": rng.normal(size=s).astype(np.float32)
            for i in range(3) for n, s in (("weight", (4, 4)), ("bias", (4,)))}  # fmt: skip


def test_a_stack_is_its_layers_one_after_the_other_and_gradients_reach_them(run):
    net, table = weights.abstract(Network), state()
    weights.load_state_dict(net, table)
    x = np.random.default_rng(1).normal(size=(2, 4)).astype(np.float32)
    want, sums = x, []
    for i in range(3):
        sums.append(want.sum())
        y = np.tanh(want @ table[f"layers.{i}.linear.weight"].T + table[f"layers.{i}.linear.bias"])
        want = want + y + i
    got, found = run(net, x)
    np.testing.assert_allclose(got, want, atol=1e-5)
    np.testing.assert_allclose(found, sums, atol=1e-5)
    graph, params = nnx.split(net)
    gradients = [run(jax.grad(lambda p, r=r: jnp.sum(nnx.merge(graph, p)(x, remat=r)[0] ** 2)), params)
                 for r in (False, True)]  # fmt: skip
    for a, b in zip(*map(jax.tree.leaves, gradients)):
        np.testing.assert_allclose(a, b, atol=1e-4)
        assert (np.abs(a).reshape(3, -1).max(axis=1) > 1e-3).all()


def test_layers_start_apart():
    kernel = Network(nnx.Rngs(0)).layers.block.linear.kernel[...]
    assert kernel.shape == (3, 4, 4) and np.abs(np.diff(kernel, axis=0)).min(axis=0).max() > 1e-3


def test_dropout_draws_anew_in_each_layer_and_at_each_call():
    net = Network(nnx.Rngs(0), rate=0.5)
    net.layers.block.linear.kernel[...] = jnp.zeros((3, 4, 4), jnp.float32)
    net.layers.block.linear.bias[...] = jnp.broadcast_to(jnp.asarray([9.0, 90.0, 900.0], jnp.float32)[:, None], (3, 4))
    draws = [np.asarray(net(jnp.zeros((1, 64, 4), jnp.float32))[0]) - 3.0 for _ in range(2)]
    # Each layer adds 0 or 2: with one mask for all layers the sum would be 0 or 6 only.
    for got in draws:
        assert set(np.unique(got.round())) == {0.0, 2.0, 4.0, 6.0}
    assert (draws[0] != draws[1]).any()
    net.eval()
    np.testing.assert_allclose(net(jnp.zeros((1, 64, 4), jnp.float32))[0], 6.0, atol=1e-5)


def test_a_checkpoint_of_layers_fills_the_stack_and_comes_back(random_module):
    net, table = random_module(Network), state()
    assert weights.published_keys(net) == {key: value.shape for key, value in table.items()}
    weights.load_state_dict(net, table)
    back = weights.state_dict_of(net)
    assert back.keys() == table.keys()
    for key, value in table.items():
        np.testing.assert_array_equal(back[key], value)
    # Names of theirs, two arrays of which are one here and the other way round.
    rules = [weights.Rule(r"layers\.(\d)\.linear\.(.*)", (r"top.\1.\2", r"end.\1.\2"))]
    parts = {}
    for i in range(3):
        for name in ("weight", "bias"):
            whole = table[f"layers.{i}.linear.{name}"]
            parts |= {f"top.{i}.{name}": whole[:1], f"end.{i}.{name}": whole[1:]}
    other = random_module(Network, 1)
    weights.load_state_dict(other, parts, rules=rules)
    for a, b in zip(weights.to_flat(net).values(), weights.to_flat(other).values()):
        np.testing.assert_array_equal(a, b)
    table["layers.1.linear.bias"] = np.zeros(5, np.float32)
    del table["layers.2.linear.weight"]
    said = r"2 problems:\n  missing: layers.2.*weight\n  shape: layers.1.linear.bias is \(5,\), wanted \(4,\)"
    with pytest.raises(InputError, match=said):
        weights.load_state_dict(net, table)


class Wide(nnx.Module):
    """Twelve layers of a quarter of a megabyte."""

    def __init__(self, rngs):
        self.layers = Stack(lambda rngs: nnx.Linear(256, 256, use_bias=False, rngs=rngs), 12, rngs)


def test_a_stack_is_written_a_layer_at_a_time(tmp_path):
    made = []

    def read(key):
        made.append(key)
        return np.full((256, 256), int(key.split(".")[1]), np.float32)

    table = {f"layers.{i}.weight": weights.TensorInfo((256, 256), np.dtype(np.float32)) for i in range(12)}
    arrays = weights.convert_state_dict(nnx.eval_shape(lambda: Wide(nnx.Rngs(0))), weights.Tensors(table, read))
    made.clear()  # what the checker of types has looked at
    tracemalloc.start()
    first = [piece[0, 5, 5] for piece in arrays.pieces("layers.block.kernel")]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made == list(table) and first == list(range(12)) and peak < 4 * 256 * 256 * 4
    # What is written is the pieces, whatever the whole would be.
    odd = weights.Tensors(arrays.table, lambda name: np.zeros((12, 256, 256), np.float32), pieces=arrays.pieces)
    weights.write_tensors(tmp_path / "a.safetensors", odd)
    back = weights.open_tensors(tmp_path / "a.safetensors")["layers.block.kernel"]
    np.testing.assert_array_equal(back[:, 5, 5], np.arange(12))
    np.testing.assert_array_equal(arrays["layers.block.kernel"], back)
    short = weights.Tensors(arrays.table, arrays.__getitem__, pieces=lambda name: [back[:5], back[5:11]])
    with pytest.raises(ValueError, match="has 11 rows, announced"):
        weights.write_tensors(tmp_path / "b.safetensors", short)
    assert not (tmp_path / "b.safetensors").exists()
