"""Attention: head by head in NumPy in every clone, and against PyTorch's own modules."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.nets import weights
from hoijax.nets.blocks import (
    Attention,
    AttentionConfig,
    attend,
    attend_linearly,
    causal_mask,
    rotate,
)

B, Q, K, H, D = 2, 5, 7, 4, 6


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def loops(query, key, value, mask=None, bias=None, scale=None, cap=None):
    """One query of one head at a time, float64."""
    out = np.zeros((*query.shape[:3], value.shape[-1]))
    share = query.shape[2] // key.shape[2]
    for b in range(query.shape[0]):
        for h in range(query.shape[2]):
            for q in range(query.shape[1]):
                products = [
                    float(np.dot(query[b, q, h].astype(float), key[b, k, h // share])) for k in range(key.shape[1])
                ]
                products = np.array(products) * (query.shape[-1] ** -0.5 if scale is None else scale)
                if cap is not None:
                    products = cap * np.tanh(products / cap)
                if bias is not None:
                    products = (
                        products
                        + np.broadcast_to(bias, (*query.shape[:1], query.shape[2], query.shape[1], key.shape[1]))[
                            b, h, q
                        ]
                    )
                if mask is not None:
                    seen = np.broadcast_to(mask, (query.shape[0], query.shape[2], query.shape[1], key.shape[1]))[
                        b, h, q
                    ]
                    products = products[seen]
                    places = np.flatnonzero(seen)
                else:
                    places = np.arange(key.shape[1])
                shares = np.exp(products - products.max())
                out[b, q, h] = (shares / shares.sum()) @ value[b, places, h // share]
    return out


@pytest.mark.parametrize("groups", [4, 2, 1])
def test_attend_is_the_loops_with_groups_masks_biases_and_caps(run, groups):
    query, key, value = draw(0, B, Q, H, D), draw(1, B, K, groups, D), draw(2, B, K, groups, 3)
    mask = np.random.default_rng(3).uniform(size=(B, 1, Q, K)) < 0.6
    mask[..., 0] = True
    bias = draw(4, 1, H, Q, K)
    for options in ({}, {"mask": mask}, {"bias": bias, "scale": 0.3}, {"cap": 0.8, "mask": mask, "bias": bias}):
        got = run(lambda *a, o=options: attend(*a, **o), query, key, value)
        np.testing.assert_allclose(got, loops(query, key, value, **options), atol=2e-6)


def test_a_query_that_may_see_nothing_gets_the_mean_and_no_nan(run):
    query, key, value = draw(0, 1, 2, 1, D), draw(1, 1, K, 1, D), draw(2, 1, K, 1, 3)
    mask = np.zeros((1, 1, 2, K), bool)
    got = run(lambda *a: attend(*a, mask=mask), query, key, value)
    np.testing.assert_allclose(got, np.broadcast_to(value.mean(axis=1, keepdims=True), got.shape), atol=1e-6)
    gradient = run(jax.grad(lambda q: jnp.sum(attend(q, key, value, mask=mask))), query)
    assert np.isfinite(gradient).all()


def test_the_softmax_of_half_precision_runs_in_float32(run):
    """Products of some hundreds, which bfloat16 keeps to 2: the shares must not be off by factors."""
    query, key, value = (
        jnp.asarray(x, jnp.bfloat16) for x in (30 * draw(0, 1, Q, 1, D), 30 * draw(1, 1, K, 1, D), draw(2, 1, K, 1, 3))
    )
    got = run(attend, query, key, value)
    assert got.dtype == jnp.bfloat16
    want = loops(*(np.asarray(x, np.float32) for x in (query, key, value)))
    np.testing.assert_allclose(got.astype(np.float32), want, atol=0.02)


def test_leading_axes_are_batches(run):
    query, key, value = draw(0, 2, 3, Q, H, D), draw(1, 2, 3, K, 2, D), draw(2, 2, 3, K, 2, 3)
    got = run(attend, query, key, value)
    flat = loops(*(x.reshape((6, *x.shape[2:])) for x in (query, key, value)))
    np.testing.assert_allclose(got, flat.reshape(got.shape), atol=2e-6)
    assert run(attend, query[0, 0], key[0, 0], value[0, 0]).shape == (Q, H, 3)


def test_heads_that_share_unevenly_are_refused():
    with pytest.raises(ValueError, match="3 heads cannot share 2 groups"):
        attend(draw(0, Q, 3, D), draw(0, K, 2, D), draw(0, K, 2, D))


def test_linear_attention_is_its_sums(run):
    query, key, value = draw(0, B, Q, H, D), draw(1, B, K, H, D), draw(2, B, K, H, 3)
    mask = np.random.default_rng(3).uniform(size=(B, K)) < 0.7
    for seen in (None, mask):
        want = np.zeros((B, Q, H, 3))
        for b, q, h in np.ndindex(B, Q, H):
            products = np.maximum(key[b, :, h], 0).astype(float) @ np.maximum(query[b, q, h], 0)
            if seen is not None:
                products = products * seen[b]
            want[b, q, h] = products @ value[b, :, h] / (products.sum() + 1e-15)
        got = run(lambda *a, m=seen: attend_linearly(*a, mask=m), query, key, value)
        np.testing.assert_allclose(got, want, atol=2e-6)
    nothing = run(attend_linearly, -np.abs(query), key, value)
    np.testing.assert_array_equal(nothing, 0.0)


def test_rotary_positions_turn_pairs_as_complex_numbers(run):
    x, positions = draw(0, 2, Q, H, D), np.array([[0, 1, 5, 100, 4095]] * 2)
    got = run(lambda x: rotate(x, positions, base=500.0), x)
    pairs = x[..., :3] + 1j * x[..., 3:]
    angle = positions[..., None, None] * 500.0 ** (-2.0 * np.arange(3) / D)
    want = pairs * np.exp(1j * angle)
    np.testing.assert_allclose(got, np.concatenate([want.real, want.imag], -1), atol=5e-4)

    # Products depend on the difference of positions alone.
    def product(shift):
        a, b = (rotate(x[:1, :1], np.array([[p + shift]])) for p in (3, 11))
        return np.sum(np.asarray(a) * np.asarray(b))

    np.testing.assert_allclose(product(0), product(40), rtol=1e-4)
    with pytest.raises(ValueError, match="odd"):
        rotate(draw(0, 1, 1, 3), np.array([0]))


def test_causal_masks_end_with_the_last_place():
    np.testing.assert_array_equal(causal_mask(3), np.tril(np.ones((3, 3), bool)))
    np.testing.assert_array_equal(causal_mask(2, 4), [[1, 1, 1, 0], [1, 1, 1, 1]])


def with_matrices(net):
    """Projections of any layout as four matrices and biases, in our layout."""
    flat = weights.to_flat(net)
    if "in_proj_weight" in flat:
        parts = [(w.T, b) for w, b in zip(np.split(flat["in_proj_weight"], 3), np.split(flat["in_proj_bias"], 3))]
        return [*parts, (flat["out_proj.kernel"], flat["out_proj.bias"])]
    c = net.config
    if "qkv.kernel" in flat:
        cuts = np.cumsum([c.inner, c.key_heads * c.channels])
        kernels = np.split(flat["qkv.kernel"], cuts, axis=1)
        biases = np.split(flat["qkv.bias"], cuts) if c.bias else [0.0] * 3
    else:
        kernels = [flat[f"{n}.kernel"] for n in ("query", "key", "value")]
        biases = [flat[f"{n}.bias"] if c.bias else 0.0 for n in ("query", "key", "value")]
    return [*zip(kernels, biases), (flat["out.kernel"], flat.get("out.bias", 0.0))]


def by_hand(net, tokens, context, values=None, *, mask=None, bias=None, positions=None, turn=None):
    """The module in NumPy."""
    c, (q, k, v, out) = net.config, with_matrices(net)
    flat = weights.to_flat(net)
    values = context if values is None else values

    def heads(x, count):
        return x.reshape((*x.shape[:-1], count, -1))

    def rms(x, name):
        return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + c.norm_epsilon) * flat[f"{name}.weight"]

    parts = [tokens @ q[0] + q[1], context @ k[0] + k[1], values @ v[0] + v[1]]
    for i, name in enumerate(("query_norm", "key_norm")):
        if c.norm == "whole":
            parts[i] = rms(parts[i], name)
    query, key, value = (heads(x, n) for x, n in zip(parts, (c.heads, c.key_heads, c.key_heads)))
    if c.norm == "heads":
        query, key = rms(query, "query_norm"), rms(key, "key_norm")
    if c.rope is not None:

        def turned(x):
            half = x.shape[-1] // 2
            angle = np.arange(x.shape[1])[:, None, None] * c.rope ** (-np.arange(half) / half)
            z = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angle)
            return np.concatenate([z.real, z.imag], -1)

        query, key = turned(query), turned(key)
    found = loops(query, key, value, mask, bias, c.scale, c.cap)
    return found.reshape((*found.shape[:2], -1)) @ out[0] + out[1]


PLAIN = AttentionConfig(24, heads=4)
CASES = {
    "split": PLAIN,
    "fused": dataclasses.replace(PLAIN, projections="fused"),
    "packed": dataclasses.replace(PLAIN, projections="packed"),
    "grouped": AttentionConfig(
        24, heads=4, groups=2, head_width=8, bias=False, out_bias=False, rope=1e4, scale=0.2, cap=5.0
    ),
    "grouped fused": AttentionConfig(24, heads=4, groups=2, head_width=8, projections="fused", norm="heads"),
    "normed whole": AttentionConfig(24, heads=4, norm="whole", bias=False),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_modules_are_their_definition(run, random_module, name):
    net = random_module(lambda rngs: Attention(CASES[name], rngs))
    x = draw(0, B, Q, 24)
    np.testing.assert_allclose(run(net, x), by_hand(net, x, x), atol=3e-5)


def test_masks_of_places_of_queries_and_of_heads_and_other_values(run, random_module):
    net = random_module(lambda rngs: Attention(dataclasses.replace(PLAIN, context=10), rngs))
    x, context, values = draw(0, B, Q, 24), draw(1, B, K, 10), draw(2, B, K, 10)
    rng = np.random.default_rng(5)
    for shape in ((B, K), (B, Q, K), (B, H, Q, K)):
        mask = rng.uniform(size=shape) < 0.6
        mask[..., 0] = True
        full = mask if mask.ndim == 4 else mask[:, None, None] if mask.ndim == 2 else mask[:, None]
        got = run(net, x, context, values, mask=mask)
        np.testing.assert_allclose(got, by_hand(net, x, context, values, mask=full), atol=3e-5)
    encoded = run(lambda c: net.encode(c), context)
    np.testing.assert_allclose(run(lambda x, *e: net.look(x, e), x, *encoded), run(net, x, context), atol=1e-6)


def test_a_token_at_a_time_with_kept_keys_is_the_whole(run, random_module):
    """What a language model does: keys and values of what is behind are kept."""
    net = random_module(lambda rngs: Attention(CASES["grouped"], rngs))
    x = draw(0, 1, Q, 24)
    whole = run(net, x, mask=causal_mask(Q)[None])
    last = run(lambda x: net.look(x[:, -1:], net.encode(x), positions=jnp.full((1, 1), Q - 1)), x)
    np.testing.assert_allclose(last[0, 0], whole[0, -1], atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 5}, "width 24 is not divisible by 5 heads"),
        ({"groups": 3}, "cannot share 3 groups"),
        ({"projections": "packed", "bias": False}, "packed projections are PyTorch's"),
        ({"projections": "packed", "groups": 2}, "packed projections are PyTorch's"),
        ({"projections": "fused", "context": 3}, "look at themselves"),
        ({"kernel": "linear", "groups": 2}, "linear attention has"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PLAIN, **changes)


def test_linear_attention_takes_no_bias(random_module):
    net = random_module(lambda rngs: Attention(dataclasses.replace(PLAIN, kernel="linear"), rngs))
    with pytest.raises(ValueError, match="takes a mask of places"):
        net(draw(0, B, Q, 24), bias=draw(0, B, H, Q, Q))


# Against PyTorch.


def test_pytorchs_multihead_attention(run):
    torch = pytest.importorskip("torch", reason="extra [parity]")
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(24, 4, batch_first=True)
    torch.nn.init.normal_(theirs.in_proj_bias)
    state = {k: v.detach().numpy() for k, v in theirs.state_dict().items()}
    x, context = draw(0, B, Q, 24), draw(1, B, K, 24)
    mask = np.random.default_rng(3).uniform(size=(B, K)) < 0.7
    mask[:, 0] = True
    with torch.no_grad():
        want = theirs(*map(torch.tensor, (x, context, context)), key_padding_mask=torch.tensor(~mask))[0]
    stacks = {leaf: tuple(f"{n}.{leaf}" for n in ("query", "key", "value")) for leaf in ("weight", "bias")}
    split = [weights.Rule(rf"(query|key|value)\.{leaf}", f"in_proj_{leaf}", stack) for leaf, stack in stacks.items()]
    layouts = {"packed": [], "split": [*split, weights.Rule(r"out\.(.*)", r"out_proj.\1")]}
    for layout, rules in layouts.items():
        net = weights.abstract(lambda rngs, p=layout: Attention(dataclasses.replace(PLAIN, projections=p), rngs))
        weights.load_state_dict(net, state, rules=rules)
        np.testing.assert_allclose(run(net, x, context, mask=mask), want, atol=1e-5)


def test_pytorchs_scaled_dot_products_with_groups(run):
    torch = pytest.importorskip("torch", reason="extra [parity]")
    query, key, value = draw(0, B, Q, 6, D), draw(1, B, Q, 2, D), draw(2, B, Q, 2, 3)
    with torch.no_grad():
        want = torch.nn.functional.scaled_dot_product_attention(
            *(torch.tensor(x).transpose(1, 2) for x in (query, key, value)), is_causal=True, enable_gqa=True
        ).transpose(1, 2)
    np.testing.assert_allclose(run(lambda *a: attend(*a, mask=causal_mask(Q)), query, key, value), want, atol=2e-6)


def test_settings_build_the_published_counts():
    """LLaMA-13B's 40 heads, SAM-H's fused projections, Gemma-2's groups (their specs' key tables)."""

    def count(**settings):
        state = nnx.state(nnx.eval_shape(lambda: Attention(AttentionConfig(**settings), nnx.Rngs(0))), nnx.Param)
        return sum(int(np.prod(x.shape)) for x in jax.tree.leaves(state))

    assert count(width=5120, heads=40, bias=False, out_bias=False, rope=1e4) == 4 * 5120**2
    assert count(width=1280, heads=16, projections="fused") == 4 * 1280**2 + 4 * 1280
    gemma = count(width=2304, heads=8, groups=4, head_width=256, bias=False, out_bias=False, rope=1e4, cap=50.0)
    assert gemma == 2 * 2304 * 2048 + 2 * 2304 * 1024
