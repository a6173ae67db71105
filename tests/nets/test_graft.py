"""GRAFT's network: the published size, identity at the start, locality of the image features, files."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.errors import InputError
from hoijax.nets.graft import (
    FourierEncoder,
    Graft,
    GraftConfig,
    GraftInputs,
    VisualContext,
    drop_context,
    gather_context,
    load_graft,
    parameter_counts,
    save_graft,
)
from hoijax.nets.graft.model import Heads

SMALL = dataclasses.replace(
    GraftConfig.small(visual=True),
    width=32, layers=1, heads=2, feedforward=32, head_hidden=16, probe_hidden=16, gate=False,
)  # fmt: skip


def random_inputs(seed=0, batch=()):
    rng = np.random.default_rng(seed)
    shapes = ((58, 3), (58, 3), (58, 3), (52, 6), (3,), (10,))
    return GraftInputs(*(rng.normal(size=(*batch, *s)).astype(np.float32) for s in shapes))


def random_context(seed=0, batch=()):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(*batch, 24, 54, SMALL.width)).astype(np.float32)
    return VisualContext(features=features, mask=rng.uniform(size=features.shape[:-1]) < 0.7)


def stirred(config, seed=0, scale=0.3):
    """A network with noise for weights, its heads' last layers too; filled on the host, which compiles nothing."""
    graph, state = nnx.split(nnx.eval_shape(lambda: Graft(config, nnx.Rngs(0))))
    rng = np.random.default_rng(seed)
    return nnx.merge(graph, jax.tree.map(lambda x: jnp.asarray(scale * rng.normal(size=x.shape), x.dtype), state))


@functools.partial(jax.jit, static_argnums=0, compiler_options={"xla_backend_optimization_level": 0})
def _apply(graph, state, inputs, context):
    return nnx.merge(graph, state)(inputs, context)


def apply(model, inputs, context=None):
    return _apply(*nnx.split(model), inputs, context)


@pytest.fixture(scope="module")
def model():
    return stirred(SMALL)


def test_the_default_has_the_published_number_of_parameters():
    counts = parameter_counts(GraftConfig())
    assert counts["network"] == 16_192_942
    assert counts["transformer"] == 13_149_184
    assert counts["tokenizer"] == 2_071_520
    assert counts["heads"] == 972_238
    assert counts["visual"] == 690_176 + 512
    wide = parameter_counts(GraftConfig(feature_widths=(1536,) * 4))
    assert wide["visual"] == 1_050_624 + 512


def test_the_geometry_only_network_has_no_trace_of_images():
    counts = parameter_counts(GraftConfig.geometry_only())
    assert counts["network"] == 10_934_702
    assert counts["visual"] == 0
    assert parameter_counts(GraftConfig.small())["network"] < 1_000_000


def test_new_heads_change_nothing():
    tokens = np.random.default_rng(0).normal(size=(24, SMALL.width)).astype(np.float32)
    update = jax.jit(lambda x: Heads(SMALL, nnx.Rngs(1))(x))(tokens)
    for leaf in jax.tree.leaves(update):
        np.testing.assert_array_equal(leaf, 0.0)


def test_batch_axes_agree_with_single_calls(model):
    inputs, context = random_inputs(batch=(2, 3)), random_context(batch=(2, 3))
    together = apply(model, inputs, context)
    alone = apply(model, *jax.tree.map(lambda x: x[1, 2], (inputs, context)))
    chex.assert_trees_all_close(jax.tree.map(lambda x: x[1, 2], together), alone, atol=1e-4, rtol=1e-4)
    assert together.scale.shape == (2, 3)


def test_each_token_sees_only_its_own_context(model):
    graph, state = nnx.split(model)
    flat = dict(nnx.to_flat_state(state))
    for key, leaf in flat.items():
        if "self_attention" in key and "out" in key:
            flat[key] = leaf.replace(jnp.zeros_like(leaf[...]))
    local = nnx.merge(graph, nnx.from_flat_state(flat))
    inputs, context = random_inputs(), random_context()
    context = context.replace(mask=np.ones_like(context.mask))
    before = apply(local, inputs, context)
    for token, changed in ((4, [5]), (21, range(22, 37)), (22, range(37, 52)), (23, [0])):
        features = context.features.copy()
        features[token] += 1.0
        moved = apply(local, inputs, context.replace(features=features))
        difference = np.abs(np.asarray(moved.rotations) - np.asarray(before.rotations)).max(axis=-1)
        assert sorted(np.flatnonzero(difference > 1e-5)) == list(changed)


def test_nothing_to_see_is_finite_and_the_same_as_no_context(model):
    inputs, context = random_inputs(), random_context()
    blind = context.replace(mask=np.zeros_like(context.mask))
    chex.assert_trees_all_close(apply(model, inputs, blind), apply(model, inputs), atol=1e-5)

    def total(features):
        return sum(jnp.sum(x) for x in jax.tree.leaves(model(inputs, blind.replace(features=features))))

    np.testing.assert_array_equal(jax.jit(jax.grad(total))(context.features), 0.0)


def test_half_precision_stays_near(model):
    half = stirred(dataclasses.replace(SMALL, dtype="bfloat16"))
    full, rounded = (apply(m, random_inputs(), random_context()) for m in (model, half))
    assert rounded.translation.dtype == jnp.float32
    for a, b in zip(jax.tree.leaves(full), jax.tree.leaves(rounded)):
        # bf16 keeps 8 bits; two layers and a stirred head multiply that.
        assert np.abs(np.asarray(a) - b).max() < 0.1 * (1.0 + np.abs(a).max())


def test_a_closed_gate_changes_nothing_and_an_open_one_everything():
    config = dataclasses.replace(SMALL, visual=False)
    heads = {gate: Heads(dataclasses.replace(config, gate=gate), nnx.Rngs(1)) for gate in (False, True)}
    tokens = np.random.default_rng(0).normal(size=(2, 24, 32)).astype(np.float32)
    for head in heads.values():
        for name in ("joint", "left_hand", "right_hand", "root", "translation", "betas", "scale"):
            layer = getattr(head, name).second
            layer.bias = nnx.Param(jnp.ones_like(layer.bias[...]))
    tokens = jnp.asarray(tokens)
    free = heads[False](tokens)
    np.testing.assert_allclose(free.translation, config.units[1], rtol=1e-6)
    np.testing.assert_allclose(free.scale, config.units[3], rtol=1e-6)
    for bias, share in ((-100.0, 0.0), (0.0, 0.5), (100.0, 1.0)):
        layer = heads[True].gate.second
        layer.bias = nnx.Param(jnp.full_like(layer.bias[...], bias))
        gated = heads[True](tokens)
        np.testing.assert_allclose(gated.gate, bias, rtol=1e-6)
        wanted = jax.tree.map(lambda x, s=share: s * x, free)
        chex.assert_trees_all_close(gated.replace(gate=None), wanted, atol=1e-6)


def test_heights_do_not_depend_on_which_point_of_a_plane_is_nearest():
    """Sliding the nearest point along its plane changes what the offset's encoder sees, not the height's."""
    config = dataclasses.replace(SMALL, visual=False)
    network = stirred(config)
    inputs = random_inputs()
    unit = inputs.normals / np.linalg.norm(inputs.normals, axis=-1, keepdims=True)
    slide = np.cross(unit, np.float32([1, 0, 0]))
    inputs, slid = (inputs.replace(normals=unit, offsets=inputs.offsets + s * slide) for s in (0.0, 0.3))
    network.tokenizer.encode_offset = lambda x: jnp.zeros((*x.shape[:-1], config.fourier + 3), jnp.float32)
    before, after = network.tokenizer(inputs), network.tokenizer(slid)
    np.testing.assert_allclose(before, after, atol=1e-2)
    raised = network.tokenizer(inputs.replace(offsets=inputs.offsets + 0.1 * unit))
    assert np.abs(np.asarray(raised - before)).max() > 0.1


def test_fourier_features_are_those_of_the_paper():
    encoder = FourierEncoder(8, (1.0, 0.1), nnx.Rngs(3), dtype="float32")
    x = np.array([[0.3, -1.2, 2.0]], np.float32)
    phase = x @ np.asarray(encoder.frequencies[...]).T
    waves = np.concatenate([np.cos(phase), np.sin(phase)], axis=-1) / np.sqrt(8.0)
    want = encoder.perceptron(jnp.asarray(waves, jnp.float32))
    got = encoder(x)
    np.testing.assert_allclose(got[:, :8], want, atol=1e-5)
    np.testing.assert_array_equal(got[:, 8:], x)


def test_gather_takes_the_cells_about_each_anchor():
    maps = np.arange(2 * 6 * 8, dtype=np.float32).reshape(2, 6, 8, 1)
    anchors = np.full((50, 2), [3 * 14 + 5.0, 2 * 14 + 1.0], np.float32)  # column 3, row 2
    anchors[0] = [0.0, 0.0]
    anchors[1] = [1e9, -1e9]
    seen = np.ones(50, bool)
    seen[2] = False
    context = jax.jit(gather_context, static_argnums=3)(maps, anchors, seen, 14.0)
    around = np.array([[8 * y + x for y in (1, 2, 3) for x in (2, 3, 4)]])
    np.testing.assert_array_equal(context.features[5, :9, 0], around[0])
    np.testing.assert_array_equal(context.features[5, 9:18, 0], around[0] + 48)
    np.testing.assert_array_equal(context.features[23, :, 0], [19] * 27 + [19 + 48] * 27)
    counts = np.asarray(context.mask.sum(axis=1))
    assert counts[0] == 8  # the corner has four of nine cells, in both streams
    assert list(counts[1:3]) == [0, 0]
    assert set(counts[3:23]) == {18} and counts[23] == 54


def test_dropout_hides_whole_tokens():
    context = random_context(batch=(40,)).replace(mask=np.ones((40, 24, 54), bool))
    kept = np.asarray(drop_context(jax.random.key(0), context, 0.35).mask)
    assert set(kept.sum(axis=-1).ravel()) == {0, 54}
    assert 0.58 < kept.mean() < 0.72


def test_fusion_refuses_other_features(model):
    with pytest.raises(ValueError, match=r"\(5, 5\).*\(32, 32\)"):
        model.fusion((np.zeros((2, 3, 3, 5), np.float32),) * 2)
    assert model.fusion((np.zeros((2, 3, 4, 32), np.float32),) * 2).shape == (2, 3, 4, SMALL.width)


def test_a_geometry_only_network_refuses_images():
    blind = stirred(dataclasses.replace(SMALL, visual=False))
    with pytest.raises(ValueError, match="visual=False"):
        blind(random_inputs(), random_context())


def test_weights_come_back_with_their_facts(model, tmp_path):
    save_graft(tmp_path / "graft.safetensors", model, {"probe_vertices": {"free": [1, 2]}})
    again, facts = load_graft(tmp_path / "graft.safetensors")
    assert facts == {"probe_vertices": {"free": [1, 2]}} and again.config == SMALL
    chex.assert_trees_all_equal(
        apply(again, random_inputs(), random_context()), apply(model, random_inputs(), random_context())
    )


def test_other_files_are_refused(model, tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        load_graft(tmp_path / "absent.safetensors")
    save_graft(tmp_path / "graft.safetensors", model)
    with pytest.raises(InputError, match="of another shape"):
        load_graft(tmp_path / "graft.safetensors", width=64)
