"""LLaMA against `transformers` on random weights: whole texts, word by word, and what it writes."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.errors import InputError
from hoijax.nets import llama, weights
from hoijax.nets.blocks import add_lora, merge_lora

transformers = pytest.importorskip("transformers", reason="extra [parity]")
torch = pytest.importorskip("torch", reason="extra [parity]")

CONFIG = llama.Config(67, 64, 96, 2, 4, groups=2, epsilon=3e-4, rope=500.0)
STOP = 5


@functools.cache
def pair():
    torch.manual_seed(0)
    theirs = transformers.LlamaForCausalLM(transformers.LlamaConfig(
        vocab_size=CONFIG.vocabulary, hidden_size=CONFIG.width, intermediate_size=CONFIG.hidden,
        num_hidden_layers=CONFIG.layers, num_attention_heads=CONFIG.heads, num_key_value_heads=CONFIG.key_heads,
        rms_norm_eps=CONFIG.epsilon, rope_theta=CONFIG.rope, max_position_embeddings=64, eos_token_id=STOP,
        bos_token_id=1, pad_token_id=0,
    )).eval()  # fmt: skip
    with torch.no_grad():
        for name, p in theirs.named_parameters():
            spread = 0.1 if p.ndim < 2 else (1.5 if "proj" in name else 1.0) / p.shape[1] ** 0.5
            p.normal_(mean=float(p.ndim < 2), std=spread)
        theirs.lm_head.weight[STOP] *= 2.0  # so that some texts end
    state = {key: value.detach().numpy() for key, value in theirs.state_dict().items()}
    said = theirs.config.to_dict()
    arrays = weights.convert_published("llama", state | {"model.layers.0.self_attn.rotary_emb.inv_freq": np.zeros(8)},
                                       config=said)  # fmt: skip
    config = llama.Config(**arrays.facts()["language"])
    assert dataclasses.replace(config, head_width=None) == CONFIG and config.channels == CONFIG.channels
    return weights.fill(lambda rngs: llama.Model(config, rngs), arrays), theirs


@functools.cache
def programs():
    """Compiled once: whole texts, what comes after a part, and writing; of the decoder as a stack and apart."""
    ours, _ = pair()
    graph, state = nnx.split(ours)

    @jax.jit
    def whole(state, ids):
        net = nnx.merge(graph, state)
        states = net(net.embed(ids))
        return states, net.logits(states)

    @jax.jit
    def extend(state, ids, positions, cache):
        net = nnx.merge(graph, state)
        return net.extend(net.embed(ids), positions, cache)

    def write(graph):
        return jax.jit(lambda s, ids, lengths: llama.generate(
            nnx.merge(graph, s), nnx.merge(graph, s).embed(ids), lengths, stop=STOP, steps=12))  # fmt: skip

    far, apart = nnx.split(llama.apart(ours))
    return (functools.partial(whole, state), functools.partial(extend, state), functools.partial(write(graph), state),
            functools.partial(write(far), apart))  # fmt: skip


def words(seed, *shape):
    return np.random.default_rng(seed).integers(6, CONFIG.vocabulary, shape).astype(np.int32)


def test_states_and_logits_are_those_of_transformers():
    ids, (whole, *_) = words(0, 2, 9), programs()
    states, logits = whole(ids)
    with torch.no_grad():
        out = pair()[1](torch.tensor(ids, dtype=torch.long), output_hidden_states=True)
    np.testing.assert_allclose(states, out.hidden_states[-1], atol=1e-4)  # after the last normalisation
    np.testing.assert_allclose(logits, out.logits, atol=1e-4)
    assert np.std(np.asarray(logits)) > 0.3


def test_what_was_read_is_kept_and_words_behind_the_end_change_nothing():
    """Two texts of different lengths, read in two parts of which the first is filled up with other words."""
    ids, lengths = words(1, 2, 9), np.array([5, 3])
    whole, extend, *_ = programs()
    want, _ = whole(ids)
    cache = pair()[0].empty_cache(2, 12)
    positions = np.broadcast_to(np.arange(5), (2, 5))
    first, cache = extend(np.where(positions < lengths[:, None], ids[:, :5], 7), positions, cache)
    for b, n in enumerate(lengths):
        np.testing.assert_allclose(first[b, :n], want[b, :n], atol=1e-5)
    for more in range(4):
        at = (lengths + more)[:, None]
        got, cache = extend(np.take_along_axis(ids, at, axis=1), at, cache)
        for b in range(2):
            np.testing.assert_allclose(got[b, 0], want[b, lengths[b] + more], atol=1e-5)


def test_texts_written_greedily_are_those_of_transformers_and_states_are_where_words_were_read_off():
    theirs = pair()[1]
    prompt, lengths = words(2, 4, 8), np.array([8, 5, 6, 3], np.int32)
    *_, write, apart = programs()
    got = write(prompt, lengths)
    whole, ended = programs()[0], 0
    for b, n in enumerate(lengths):
        text = torch.tensor(prompt[b : b + 1, :n], dtype=torch.long)
        with torch.no_grad():
            want = theirs.generate(text, attention_mask=torch.ones_like(text), max_new_tokens=12, do_sample=False)[
                0, n:
            ]
        count = int(got.count[b])
        assert count == len(want) and (count == 12) == (int(want[-1]) != STOP)
        ended += count < 12
        np.testing.assert_array_equal(got.ids[b, :count], want)
        assert (np.asarray(got.ids[b, count:]) == STOP).all() and not np.asarray(got.states[b, count:]).any()
        # One pass over prompt and answer finds the same states, each one place before its word.
        both = np.concatenate([prompt[b, :n], np.asarray(got.ids[b, : 9 - n if n < 8 else 1])])[None, :9]
        if both.shape == (1, 9):
            states, _ = whole(np.concatenate([both, both]))
            np.testing.assert_allclose(states[0, n - 1 : 8], got.states[b, : 9 - n], atol=1e-4)
    assert 0 < ended < 4
    other = apart(prompt, lengths)
    np.testing.assert_array_equal(other.ids, got.ids)
    np.testing.assert_allclose(other.states, got.states, atol=1e-4)


@pytest.mark.parametrize(("size", "count"), [("7b", 6_738_415_616), ("13b", 13_015_864_320), ("1b", 1_100_048_384)])
def test_key_tables_are_those_of_the_published_sizes(size, count):
    """`transformers`' module of that size, without memory for its numbers."""
    config = llama.Config.of_size(size)
    with torch.device("meta"):
        theirs = transformers.LlamaForCausalLM(transformers.LlamaConfig(
            hidden_size=config.width, intermediate_size=config.hidden, num_hidden_layers=config.layers,
            num_attention_heads=config.heads, num_key_value_heads=config.key_heads))  # fmt: skip
    want = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    empty = nnx.eval_shape(lambda: llama.Model(config, nnx.Rngs(0)))
    assert weights.published_keys(empty, weights.find("llama").rules) == want
    assert sum(int(np.prod(shape)) for shape in want.values()) == count
    if size != "1b":
        assert llama.Config.of_shapes(want) == config


def test_low_rank_adaptation_of_a_stack_is_that_of_each_layer(run, random_module):
    net = random_module(lambda rngs: llama.Model(llama.Config.of_size("tiny"), rngs))
    ids = words(3, 1, 6)
    before = run(lambda i: net(net.embed(i)), ids)
    where = r"layers\.block\.attention\.(query|value)"
    assert len(add_lora(net, where, rank=3, alpha=6.0, rngs=nnx.Rngs(1))) == 2
    np.testing.assert_array_equal(run(lambda i: net(net.embed(i)), ids), before)
    layer = net.layers.block.attention.query
    assert layer.lora_A.shape == (2, 3, 32) and np.abs(np.diff(layer.lora_A[...], axis=0)).max() > 1e-3
    rng, kernel = np.random.default_rng(0), np.asarray(layer.base.kernel[...])
    layer.lora_B[...] = jnp.asarray(0.3 * rng.normal(size=(2, 32, 3)).astype(np.float32))
    adapted = run(lambda i: net(net.embed(i)), ids)
    want = [
        k + 2.0 * (np.asarray(b) @ np.asarray(a)).T for k, a, b in zip(kernel, layer.lora_A[...], layer.lora_B[...])
    ]
    merge_lora(net)
    np.testing.assert_allclose(net.layers.block.attention.query.kernel[...], want, atol=1e-5)
    np.testing.assert_allclose(run(lambda i: net(net.embed(i)), ids), adapted, atol=2e-5)
    assert np.abs(adapted - before).max() > 0.01


def test_half_precision_stays_half_and_near(run, random_module):
    net = random_module(lambda rngs: llama.Model(llama.Config.of_size("tiny"), rngs))
    ids = words(4, 1, 6)
    want = run(lambda i: net(net.embed(i)), ids)
    half = weights.fill(
        lambda rngs: llama.Model(llama.Config.of_size("tiny"), rngs), weights.to_flat(net), dtype=jnp.bfloat16
    )
    got = run(lambda i: half(half.embed(i)), ids)
    assert got.dtype == jnp.bfloat16 and half.logits(got).dtype == np.float32
    np.testing.assert_allclose(got.astype(np.float32), want, atol=0.1)


def test_configurations_that_are_not_llamas():
    said = {"vocab_size": 8, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    assert llama.Config.published(said) == llama.Config(8, 8, 8, 1, 2, epsilon=1e-6)
    for more, text in (({"hidden_size": None}, "no hidden_size"), ({"rope_scaling": {"factor": 2}}, "scaled"),
                       ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5}}, "scaled by llama3"),
                       ({"hidden_act": "gelu"}, "SiLU"), ({"attention_bias": True}, "no biases")):  # fmt: skip
        with pytest.raises(InputError, match=text):
            llama.Config.published({**said, **more})
    with pytest.raises(InputError, match="no matrix model.embed_tokens.weight"):
        weights.convert_published("llama", {"a": np.zeros(2)})
    for odd in ({"text_config": 3}, {**said, "rms_norm_eps": None}, {**said, "rope_parameters": [1]}):
        with pytest.raises(InputError, match="do not say how to build the LLaMA"):
            weights.convert_published("llama", {"a": np.zeros(2)}, config=odd)
    with pytest.raises(InputError, match="no size '70b'"):
        llama.Config.of_size("70b")
