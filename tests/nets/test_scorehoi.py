"""ScoreHOI's modules at small sizes: invariances, closed forms, the converter's strictness."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.errors import InputError
from hoijax.nets import weights as convert
from hoijax.nets.blocks.convolutions import bilinear_sample
from hoijax.nets.scorehoi import (
    ContactFormer,
    CRFormer,
    ReleasedDenoiser,
    ReleasedDenoiserConfig,
    TransformerConfig,
    fold,
    restore_boxes,
    soft_argmax_3d,
)

SMALL = TransformerConfig(features=12, token=13, depth=2)
SMALL_DENOISER = ReleasedDenoiserConfig(
    pose=9, betas=4, blocks=2, betas_blocks=1, width=16, image_features=16, object_features=8, geometry_width=8
)


def jit(function):
    """Compiled in a hurry: these programs run for milliseconds."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape, jnp.float32)


def test_soft_argmax_returns_the_peak_and_the_middle():
    peak = np.zeros((8, 8, 8), np.float32)
    peak[5, 2, 7] = 1e4
    for logits, want in ((peak, [7, 2, 5]), (np.zeros_like(peak), [3.5, 3.5, 3.5])):
        heatmap = jax.nn.softmax(logits.ravel()).reshape(8, 8, 8)
        np.testing.assert_allclose(soft_argmax_3d(heatmap), want, atol=1e-5)


def test_boxes_are_square_and_enlarged():
    box = restore_boxes(jnp.array([4.0, 2.0]), jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(box, [64.0, 0.0, 192.0, 128.0])


def test_bilinear_sample_matches_torch():
    torch = pytest.importorskip("torch", reason="extra [parity]")
    rng = np.random.default_rng(0)
    features = rng.normal(size=(6, 9, 4)).astype(np.float32)
    points = rng.uniform(-2, 10, size=(200, 2)).astype(np.float32)
    points[:3] = [[0, 0], [8, 5], [3, 2]]
    grid = torch.tensor(points / [4, 2.5] - 1, dtype=torch.float32)[None, None]
    want = torch.nn.functional.grid_sample(
        torch.tensor(features).permute(2, 0, 1)[None], grid, align_corners=True, padding_mode="zeros"
    )[0, :, 0].T
    np.testing.assert_allclose(bilinear_sample(features, points), want, atol=1e-5)


@pytest.fixture(scope="module")
def tokens():
    return normal(0, 2, 7, SMALL.width), normal(1, 2, 5, SMALL.width)


@pytest.mark.parametrize("make", [ContactFormer, CRFormer])
def test_transformers_do_not_see_the_order_of_tokens(make, tokens, random_module):
    net = jit(random_module(lambda rngs: make(SMALL, rngs)))
    human, object_ = tokens
    masks = () if make is ContactFormer else (jax.nn.sigmoid(human[..., 0]), jax.nn.sigmoid(object_[..., 0]))
    p, q = np.random.default_rng(0).permutation(7), np.random.default_rng(1).permutation(5)
    want = net(human, object_, *masks)
    got = net(human[:, p], object_[:, q], *(m[:, i] for m, i in zip(masks, (p, q))))
    for a, b in zip(got, want):
        np.testing.assert_allclose(a, b[:, p] if b.shape[1] == 7 else b[:, q], atol=1e-5)


def test_contact_mask_carries_no_gradient(tokens, random_module):
    net = random_module(lambda rngs: CRFormer(SMALL, rngs))
    human, object_ = tokens
    grads = jit(jax.grad(lambda h, o: sum(jnp.sum(y) for y in net(human, object_, h, o)), (0, 1)))(
        jnp.full((2, 7), 0.7), jnp.full((2, 5), 0.2)
    )
    chex.assert_trees_all_equal(grads, (jnp.zeros((2, 7)), jnp.zeros((2, 5))))


def test_published_sizes():
    counts = {
        "scorehoi_contactformer": 4_833_340,
        "scorehoi_crformer": 11_351_976,
    }
    unused = {"scorehoi_contactformer": 8, "scorehoi_crformer": 24}
    for name, want in counts.items():
        shapes = nnx.state(nnx.eval_shape(lambda name=name: convert.checkpoints()[name].make(nnx.Rngs(0))), nnx.Param)
        size = sum(np.prod(x.shape) for x in jax.tree.leaves(shapes))
        assert size + unused[name] * 67_858 == want


def test_folding_leaves_the_function_alone(random_module):
    net = random_module(lambda rngs: ReleasedDenoiser(SMALL_DENOISER, rngs))
    small = fold(net)
    x, t = normal(0, 5, 13), jnp.array([0.0, 2.0, 50.0, 500.0, 999.0], jnp.float32)
    np.testing.assert_allclose(jit(small)(x, t), jit(net)(x, t), rtol=1e-4, atol=1e-5)
    assert not any("attn" in str(path) for path, _ in nnx.to_flat_state(nnx.state(small)) if "after" not in str(path))


def state_dict_of(net):
    return {
        key: np.asarray(leaf[...] if axes is None else leaf[...].transpose(np.argsort(axes)))
        for key, (leaf, axes) in convert.torch_entries(net).items()
    }


def test_converter_fills_every_variable_and_drops_the_parallel_prefix(random_module):
    net = random_module(lambda rngs: ReleasedDenoiser(SMALL_DENOISER, rngs))
    other = convert.abstract(lambda rngs: ReleasedDenoiser(SMALL_DENOISER, rngs))
    convert.load_state_dict(other, {f"module.{k}": v for k, v in state_dict_of(net).items()})
    chex.assert_trees_all_equal(nnx.state(other), nnx.state(net))


def test_converter_names_every_problem_and_writes_nothing(random_module):
    net = random_module(lambda rngs: ReleasedDenoiser(SMALL_DENOISER, rngs))
    bad = state_dict_of(net)
    bad["init_mlp.weight"] = bad["init_mlp.weight"][:3]
    bad["stray.weight"] = np.zeros(2)
    bad["stray.num_batches_tracked"] = np.zeros(())
    del bad["final_mlp.bias"]
    other = convert.abstract(lambda rngs: ReleasedDenoiser(SMALL_DENOISER, rngs))
    with pytest.raises(InputError) as error:
        convert.load_state_dict(other, bad)
    message = str(error.value)
    assert "3 problems" in message
    assert "missing: final_mlp.bias" in message
    assert "unexpected: stray.weight (2,)" in message
    assert "shape: init_mlp.weight is (3, 9), wanted (9, 9)" in message
    assert all(np.all(np.asarray(x) == 0) for x in jax.tree.leaves(nnx.state(other)))


def test_unknown_checkpoints_are_refused():
    with pytest.raises(InputError, match="no checkpoint is called 'nothing'"):
        convert.from_torch("nothing", {})
