"""Norms, perceptrons, positions, low-rank adaptation, blocks: closed forms, and PyTorch with the same weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.nets import weights
from hoijax.nets.blocks import (
    AttentionConfig,
    BlockConfig,
    GatedConvolution,
    GatedPerceptron,
    LoRALinear,
    Norm,
    Perceptron,
    ResidualConvolution,
    RMSNorm,
    TransformerBlock,
    add_lora,
    layer_norm,
    merge_lora,
    quick_gelu,
    random_fourier,
    sinusoid,
    tanh_gelu,
)


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_rms_norm_is_its_formula_with_offset_and_shift(run, random_module):
    x = 3.0 * draw(0, 2, 5, 8) + 1.0
    for options, factor in (({}, 0.0), ({"offset": 1.0}, 1.0), ({"bias": True, "epsilon": 1e-2}, 0.0)):
        net = random_module(lambda rngs, o=options: RMSNorm(8, **o))
        flat = weights.to_flat(net)
        want = x / np.sqrt(np.mean(x.astype(float) ** 2, -1, keepdims=True) + options.get("epsilon", 1e-6))
        want = want * (flat["weight"] + factor) + flat.get("bias", 0.0)
        np.testing.assert_allclose(run(net, x), want, atol=1e-5)
    new = RMSNorm(8, offset=1.0)
    np.testing.assert_allclose(np.mean(run(new, x) ** 2, -1), 1.0, rtol=1e-4)


def test_norms_of_half_precision_run_in_float32(run):
    """Numbers about 300 whose squares bfloat16 and float16 cannot tell apart or hold."""
    x = (300.0 + draw(0, 4, 64)).astype(np.float16)
    exact = x.astype(float)
    got = run(Norm(64, nnx.Rngs(0)), x)
    assert got.dtype == np.float16
    np.testing.assert_allclose(got, (exact - exact.mean(-1, keepdims=True)) / exact.std(-1, keepdims=True), atol=5e-3)
    got = run(RMSNorm(64), x)
    np.testing.assert_allclose(got, exact / np.sqrt(np.mean(exact**2, -1, keepdims=True)), atol=2e-3)


def test_layer_norm_has_pytorchs_epsilon_and_may_learn_nothing(run):
    x = 1e-3 * draw(0, 3, 6)
    want = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    for affine in (True, False):
        norm = layer_norm(6, nnx.Rngs(0), affine=affine)
        assert len(jax.tree.leaves(nnx.state(norm))) == 2 * affine
        np.testing.assert_allclose(run(norm, x), want, atol=1e-5)


def test_activations(run):
    torch = pytest.importorskip("torch", reason="extra [parity]")
    x = 3 * draw(0, 200)
    want = torch.nn.functional.gelu(torch.tensor(x), approximate="tanh")
    np.testing.assert_allclose(run(tanh_gelu, x), want, atol=1e-6)
    np.testing.assert_allclose(run(quick_gelu, x), x / (1 + np.exp(-1.702 * x)), atol=1e-6)


@pytest.mark.parametrize("activation", ["silu", "gelu"])
def test_gated_perceptron_is_its_formula(run, random_module, activation):
    net = random_module(lambda rngs: GatedPerceptron(6, 10, rngs, activation=activation))
    flat, x = weights.to_flat(net), draw(0, 3, 6)
    assert flat.keys() == {"gate.kernel", "up.kernel", "down.kernel"}
    gate = x @ flat["gate.kernel"]
    act = {"silu": jax.nn.silu, "gelu": lambda g: jax.nn.gelu(g, approximate=False)}[activation]
    want = (np.asarray(act(jnp.asarray(gate))) * (x @ flat["up.kernel"])) @ flat["down.kernel"]
    np.testing.assert_allclose(run(net, x), want, atol=1e-5)


def test_perceptrons_start_where_they_are_told():
    x = draw(0, 500, 16)
    still = Perceptron(16, 32, 4, nnx.Rngs(0), zero=True)
    np.testing.assert_array_equal(still(x), 0.0)
    assert 2.5 < float(jnp.std(Perceptron(16, 64, 4, nnx.Rngs(0), gain=3.0).first(x))) < 3.5


def test_time_embeddings_in_both_orders():
    t = np.array([0.0, 3.0, 977.0], np.float32)
    ours, theirs = np.asarray(sinusoid(t, 7)), np.asarray(sinusoid(t, 6, cosines_first=True, inclusive=False))
    np.testing.assert_allclose(ours[:, :3], np.sin(t[:, None] * 10.0 ** (-2.0 * np.arange(3))), atol=1e-4)
    np.testing.assert_array_equal(ours[:, 6], 0.0)
    frequencies = np.exp(-np.log(1e4) * np.arange(3) / 3)
    np.testing.assert_allclose(theirs[:, :3], np.cos(t[:, None] * frequencies), atol=1e-4)
    np.testing.assert_allclose(theirs[:, 3:], np.sin(t[:, None] * frequencies), atol=1e-4)


def test_random_fourier_features_of_places():
    g, places = draw(0, 2, 5), np.random.default_rng(1).uniform(size=(4, 3, 2)).astype(np.float32)
    angle = 2 * np.pi * (2 * places.astype(float) - 1) @ g
    np.testing.assert_allclose(random_fourier(places, g), np.concatenate([np.sin(angle), np.cos(angle)], -1), atol=1e-5)


class Pair(nnx.Module):
    """Two layers, one of them to be adapted."""

    def __init__(self, rngs):
        self.parts = nnx.List(
            [nnx.Dict({"q_proj": nnx.Linear(6, 8, rngs=rngs), "o_proj": nnx.Linear(8, 6, rngs=rngs)})]
        )

    def __call__(self, x):
        return self.parts[0]["o_proj"](jnp.tanh(self.parts[0]["q_proj"](x)))


def test_low_rank_adaptation_starts_as_nothing_trains_alone_and_merges(run):
    net, x = Pair(nnx.Rngs(0)), draw(0, 4, 6)
    before = run(net, x)
    assert add_lora(net, r".*\.q_proj", rank=2, alpha=6.0, rngs=nnx.Rngs(1)) == ["parts.0.q_proj"]
    np.testing.assert_array_equal(run(net, x), before)
    trained = nnx.state(net, nnx.LoRAParam)
    assert sum(leaf.size for leaf in jax.tree.leaves(trained)) == 2 * (6 + 8)
    layer = net.parts[0]["q_proj"]
    assert isinstance(layer, LoRALinear)
    layer.lora_B[...] = jnp.asarray(draw(2, 8, 2))
    kernel, a, b = (np.asarray(p[...]) for p in (layer.base.kernel, layer.lora_A, layer.lora_B))
    hidden = x @ kernel + 3.0 * x @ a.T @ b.T
    want = np.tanh(hidden) @ np.asarray(net.parts[0]["o_proj"].kernel[...])
    adapted = run(net, x)
    np.testing.assert_allclose(adapted, want, atol=1e-5)
    assert merge_lora(net) == ["parts.0.q_proj"] and isinstance(net.parts[0]["q_proj"], nnx.Linear)
    np.testing.assert_allclose(run(net, x), adapted, atol=1e-5)
    np.testing.assert_allclose(net.parts[0]["q_proj"].kernel[...], kernel + 3.0 * (b @ a).T, atol=1e-5)
    with pytest.raises(ValueError, match="no linear layer fits"):
        add_lora(net, "q_proj", rank=2, alpha=2.0, rngs=nnx.Rngs(1))


def test_the_gradient_of_an_adapted_layer_reaches_its_factors_only(run):
    net = Pair(nnx.Rngs(0))
    add_lora(net, r".*_proj", rank=2, alpha=2.0, rngs=nnx.Rngs(1))
    graph, factors, rest = nnx.split(net, nnx.LoRAParam, ...)
    x = draw(0, 4, 6)
    gradient = run(jax.grad(lambda f: jnp.sum(nnx.merge(graph, f, rest)(x) ** 2)), factors)
    flat = {".".join(map(str, p)): np.abs(np.asarray(v[...])).max() for p, v in nnx.to_flat_state(gradient)}
    assert set(flat) == {f"parts.0.{n}_proj.lora_{f}" for n in "qo" for f in "AB"}
    assert flat["parts.0.q_proj.lora_B"] > 1e-3 and flat["parts.0.q_proj.lora_A"] == 0.0  # B starts at zero


RULES = {
    "norm1": "attention_norm", "norm2": "perceptron_norm", "self_attn": "attention", "linear1": "perceptron.first",
    "linear2": "perceptron.second",
}  # fmt: skip


def test_transformer_block_is_pytorchs_encoder_layer(run):
    torch = pytest.importorskip("torch", reason="extra [parity]")
    torch.manual_seed(0)
    theirs = torch.nn.TransformerEncoderLayer(
        16, 4, 24, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    ).eval()
    state = {k: v.detach().numpy() for k, v in theirs.state_dict().items()}
    config = BlockConfig(AttentionConfig(16, heads=4, projections="packed"), hidden=24)
    rules = [weights.Rule(rf"{ours.replace('.', '[.]')}\.(.*)", rf"{name}.\1") for name, ours in RULES.items()]
    net = weights.abstract(lambda rngs: TransformerBlock(config, rngs))
    weights.load_state_dict(net, state, rules=rules)
    x = draw(0, 2, 5, 16)
    mask = np.array([[True] * 5, [True] * 3 + [False] * 2])
    with torch.no_grad():
        # Without the fused path, whose answers differ where places are masked.
        torch.backends.mha.set_fastpath_enabled(False)
        want = theirs(torch.tensor(x), src_key_padding_mask=torch.tensor(~mask))
    np.testing.assert_allclose(run(net, x, mask=mask), want, atol=1e-5)


def llama_layer(w, x, heads, eps):
    """LLaMA's layer from its published keys, one sequence, float64."""

    def norm(x, name):
        return x / np.sqrt(np.mean(x**2, -1, keepdims=True) + eps) * w[f"{name}.weight"]

    length, width = x.shape
    size = width // heads
    normed = norm(x, "input_layernorm")
    q, k, v = (normed @ w[f"self_attn.{n}_proj.weight"].T for n in "qkv")
    found = np.zeros_like(x)
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        for i in range(length):
            products = []
            for j in range(i + 1):
                a, b = (y[t, part][: size // 2] + 1j * y[t, part][size // 2 :] for y, t in ((q, i), (k, j)))
                turn = np.exp(1j * (i - j) * 1e4 ** (-2.0 * np.arange(size // 2) / size))
                products.append(np.sum((a * turn * np.conj(b)).real) / np.sqrt(size))
            shares = np.exp(np.array(products) - max(products))
            found[i, part] = (shares / shares.sum()) @ v[: i + 1, part]
    x = x + found @ w["self_attn.o_proj.weight"].T
    normed = norm(x, "post_attention_layernorm")
    gate = normed @ w["mlp.gate_proj.weight"].T
    return x + (gate / (1 + np.exp(-gate)) * (normed @ w["mlp.up_proj.weight"].T)) @ w["mlp.down_proj.weight"].T


LLAMA = [
    weights.Rule(r"attention\.query\.(.*)", r"self_attn.q_proj.\1"),
    weights.Rule(r"attention\.key\.(.*)", r"self_attn.k_proj.\1"),
    weights.Rule(r"attention\.value\.(.*)", r"self_attn.v_proj.\1"),
    weights.Rule(r"attention\.out\.(.*)", r"self_attn.o_proj.\1"),
    weights.Rule(r"perceptron\.(gate|up|down)\.(.*)", r"mlp.\1_proj.\2"),
    weights.Rule(r"attention_norm\.(.*)", r"input_layernorm.\1"),
    weights.Rule(r"perceptron_norm\.(.*)", r"post_attention_layernorm.\1"),
]


def test_transformer_block_is_llamas_layer(run):
    config = BlockConfig(AttentionConfig(16, heads=2, bias=False, out_bias=False, rope=1e4), hidden=20, gated=True,
                         activation="silu", norm="rms", epsilon=1e-5)  # fmt: skip
    net = weights.abstract(lambda rngs: TransformerBlock(config, rngs))
    keys = weights.published_keys(net, LLAMA)
    assert keys["mlp.down_proj.weight"] == (16, 20) and len(keys) == 9
    state = {key: draw(i, *shape) / shape[-1] ** 0.5 for i, (key, shape) in enumerate(keys.items())}
    weights.load_state_dict(net, state, rules=LLAMA)
    x = draw(99, 1, 6, 16)
    got = run(net, x, mask=np.tril(np.ones((1, 6, 6), bool)))
    np.testing.assert_allclose(got[0], llama_layer(state, x[0].astype(float), 2, 1e-5), atol=2e-5)


def test_norms_after_the_branches_are_applied_before_the_sum(run, random_module):
    """Gemma 2's four norms: with factors of zero behind the branches a block changes nothing."""
    config = BlockConfig(AttentionConfig(8, heads=2), hidden=8, norm="rms", offset=1.0, after=True)
    net, x = random_module(lambda rngs: TransformerBlock(config, rngs)), draw(0, 1, 3, 8)
    assert np.abs(run(net, x) - x).max() > 0.1
    for norm in (net.attention_after, net.perceptron_after):
        norm.weight[...] = jnp.full((8,), -1.0, jnp.float32)
    np.testing.assert_allclose(run(net, x), x, atol=1e-6)


def test_residual_convolution_is_pytorchs_layers(run):
    torch = pytest.importorskip("torch", reason="extra [parity]")
    torch.manual_seed(0)
    nn = torch.nn
    for inputs, outputs, embedding in ((8, 12, 5), (8, 8, None)):
        theirs = nn.ModuleDict({
            "norm1": nn.GroupNorm(4, inputs), "conv1": nn.Conv2d(inputs, outputs, 3, padding=1),
            "norm2": nn.GroupNorm(4, outputs), "conv2": nn.Conv2d(outputs, outputs, 3, padding=1),
        } | ({"time_emb_proj": nn.Linear(5, outputs)} if embedding else {})
          | ({"conv_shortcut": nn.Conv2d(inputs, outputs, 1)} if inputs != outputs else {}))  # fmt: skip
        net = weights.abstract(
            lambda rngs, a=(inputs, outputs), e=embedding: ResidualConvolution(*a, rngs, embedding=e, groups=4)
        )
        with torch.no_grad():
            for p in theirs.parameters():
                p.normal_(std=0.5)
            weights.load_state_dict(net, {k: v.detach().numpy() for k, v in theirs.state_dict().items()})
            x, time = draw(0, 2, 6, 7, inputs), draw(1, 2, 5)
            silu, y = nn.functional.silu, torch.tensor(x).permute(0, 3, 1, 2)
            z = theirs["conv1"](silu(theirs["norm1"](y)))
            if embedding:
                z = z + theirs["time_emb_proj"](silu(torch.tensor(time)))[:, :, None, None]
            z = theirs["conv2"](silu(theirs["norm2"](z)))
            want = z + (theirs["conv_shortcut"](y) if inputs != outputs else y)
        got = run(net, x, time) if embedding else run(net, x)
        np.testing.assert_allclose(got, want.permute(0, 2, 3, 1), atol=2e-4)
        with pytest.raises(ValueError, match="time embedding"):
            net(x, None if embedding else time)


def test_gated_convolution_is_pytorchs_layers(run):
    torch = pytest.importorskip("torch", reason="extra [parity]")
    torch.manual_seed(0)
    nn = torch.nn
    theirs = nn.ModuleDict({
        "conv_inverted": nn.Conv2d(6, 20, 1), "conv_depth": nn.Conv2d(20, 20, 3, padding=1, groups=20),
        "conv_point": nn.Conv2d(10, 6, 1, bias=False),
    })  # fmt: skip
    net = weights.abstract(lambda rngs: GatedConvolution(6, 10, rngs))
    weights.load_state_dict(net, {k: v.detach().numpy() for k, v in theirs.state_dict().items()})
    x = draw(0, 2, 5, 4, 6)
    with torch.no_grad():
        y = nn.functional.silu(theirs["conv_inverted"](torch.tensor(x).permute(0, 3, 1, 2)))
        value, gate = theirs["conv_depth"](y).chunk(2, dim=1)
        want = theirs["conv_point"](value * nn.functional.silu(gate)).permute(0, 2, 3, 1)
    np.testing.assert_allclose(run(net, x), want, atol=1e-5)
