"""Each network answers what its published file answers under LiteRT (committed numbers, tools/blaze/answers.py)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from PIL import Image

from hoijax.nets.blaze import NETWORKS, run_box_network, run_detector, run_hand_network, run_landmarker
from hoijax.nets.blaze.layers import _grouped_convolution, _shifted_products, depthwise, picture_by_picture
from hoijax.nets.blaze.trunk import expand, filter_channels, project, trunk

SIDES = {"detector": 224, "landmarks": 256, "hand": 224, "chair": 224, "cup": 224}

TOLERANCE = {"landmarks": 2e-4}
"""Largest error over the largest value of an output: sums in another order; the landmark network is the deepest."""


def waves(side):
    x, y = np.meshgrid(np.arange(side) / side, np.arange(side) / side)
    phases = [9 * x + 4 * y, 5 * x - 11 * y + 1, 14 * x * y + 2]
    return (0.5 + 0.5 * np.sin(np.stack(phases, -1))).astype(np.float32)


def outputs(name, params, pictures):
    """The network's outputs under the names that the published file gives them."""
    if name == "detector":
        boxes, scores = run_detector(params, pictures)
        return {"Identity": boxes, "Identity_1": scores}
    if name == "landmarks":
        raw = run_landmarker(params, pictures)
        keys = {"Identity": raw.points, "Identity_1": raw.score, "Identity_2": raw.mask}
        return keys | {"Identity_3": raw.heat, "Identity_4": raw.metric}
    if name == "hand":
        raw = run_hand_network(params, pictures)
        return {"Identity": raw.points, "Identity_1": raw.score, "Identity_2": raw.right, "Identity_3": raw.metric}
    points, score = run_box_network(params, pictures)
    return {"Identity": score, "Identity_1": points}


@pytest.fixture(scope="module")
def both(weights, photograph):
    """The answers to waves and to the photograph; batches of the sizes that other tests have compiled."""

    def answer(name):
        side = SIDES[name]
        small = Image.fromarray(np.uint8(photograph * 255)).resize((side, side), Image.Resampling.BILINEAR)
        pictures = np.stack([waves(side), np.asarray(small, np.float32) / 255])
        if name in ("landmarks", "hand"):
            return outputs(name, weights(name), pictures)
        rows = [outputs(name, weights(name), picture[None]) for picture in pictures]
        return {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}

    return {name: answer(name) for name in NETWORKS}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("index", "label"), [(0, "waves"), (1, "photograph")])
def test_it_answers_what_the_published_file_answers(name, index, label, both, answers):
    for key, value in both[name].items():
        flat = np.asarray(value[index], np.float64).reshape(-1)
        want = answers[f"{name}.{label}.{key}"]
        got = flat[:: max(1, flat.size // 400)]
        assert got.shape == want.shape
        scale = max(np.abs(want).max(), 1e-3)
        assert np.abs(got - want).max() < TOLERANCE.get(name, 5e-5) * scale, key


def test_the_answers_are_not_trivial(answers):
    for name in NETWORKS:
        a, b = (answers[f"{name}.{label}.Identity"] for label in ("waves", "photograph"))
        assert np.abs(a - b).max() > 0.01 * np.abs(b).max()


def test_batch_rows_do_not_see_each_other(weights, both):
    alone = outputs("hand", weights("hand"), np.stack([waves(224), np.zeros((224, 224, 3), np.float32)]))
    for key, value in alone.items():
        np.testing.assert_allclose(value[0], both["hand"][key][0], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_block_has_the_gradient_of_its_difference_quotient(weights, stride):
    """Expansion and filter of a block by pixels and by weights; the steps are too small to reach a kink."""
    block = {key: jnp.asarray(value, jnp.float64) for key, value in weights("chair").items() if "blocks.1." in key}
    picture = jnp.asarray(np.random.default_rng(0).normal(size=(1, 8, 8, 16)))

    def run(picture, block):
        wide = filter_channels(block, "blocks.1", expand(block, "blocks.1", picture), stride, "same")
        return project(block, "blocks.1", wide)

    check_grads(jax.jit(run), (picture, block), order=1, modes=("rev",), eps=1e-7, rtol=1e-5)


@pytest.mark.parametrize(("stride", "pads"), [(1, (1, 1)), (2, (0, 1)), (2, (1, 1))])
def test_both_forms_of_a_filter_per_channel_agree(stride, pads):
    rng = np.random.default_rng(1)
    x, kernel = jnp.asarray(rng.normal(size=(2, 8, 8, 5))), jnp.asarray(rng.normal(size=(3, 3, 5)))
    shifted, grouped = (form(x, kernel, stride, [pads, pads]) for form in (_shifted_products, _grouped_convolution))
    np.testing.assert_allclose(shifted, grouped, atol=1e-12)


def test_each_platform_gets_its_form():
    """A GPU's program has grouped convolutions over the whole batch, a CPU's has none and loops over the pictures."""

    @picture_by_picture
    def network(params, pictures):
        return depthwise(params, "l", pictures)

    params = {"l.kernel": jnp.ones((3, 3, 3)), "l.bias": jnp.zeros(3)}
    traced = jax.jit(network).trace(params, jnp.ones((4, 8, 8, 3)))
    cuda, cpu = (traced.lower(lowering_platforms=(name,)).as_text() for name in ("cuda", "cpu"))
    assert "feature_group_count = 3" in cuda and "while" not in cuda
    assert "feature_group_count" not in cpu and "while" in cpu


@pytest.mark.slow
def test_the_trunk_has_the_gradient_of_its_difference_quotient(weights):
    """Along a random direction; the step is too small to reach a kink of the activation."""
    params = {name: jnp.asarray(value, jnp.float64) for name, value in weights("chair").items()}
    rng = np.random.default_rng(0)
    picture, way = rng.random((1, 32, 32, 3)), rng.normal(size=(1, 32, 32, 3))
    mix = rng.normal(size=(1, 1, 1, 1152))
    value = jax.jit(jax.value_and_grad(lambda step: (trunk(params, picture + step * way, "same")[0] * mix).sum()))
    h = 1e-7
    np.testing.assert_allclose(value(0.0)[1], (value(h)[0] - value(-h)[0]) / (2 * h), rtol=1e-6)
