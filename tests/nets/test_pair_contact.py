"""The light contact network: what it looks at and what not, pairs by themselves, features by hand, files."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx

from hoijax.errors import InputError
from hoijax.nets.pair_contact import Config, Model, Pair, Points, load, load_pair_contact, save_pair_contact
from hoijax.nets.pair_contact.model import _patches, _windows
from hoijax.nets.weights import entries, save_network

TINY = Config(words=("box", "chair"), width=16, heads=2, layers=1, mask=8, patch=4, window=3, frequencies=3,
              regions=20, boxes=2)  # fmt: skip
PAIRS, TOKENS, ASKED, VERTICES = 3, 5, 7, 9


def make_inputs(seed=0):
    rng = np.random.default_rng(seed)

    def near(*shape):
        values = rng.random(shape)
        return np.float32(values / values.sum(axis=-1, keepdims=True))

    draw = lambda *shape: np.float32(rng.normal(size=shape))  # noqa: E731
    pair = Pair(
        places=np.float32(rng.uniform(-0.8, 0.8, (PAIRS, 27, 2))), metric=draw(PAIRS, 27, 3),
        visible=np.float32(rng.random((PAIRS, 27))), mask=np.float32(rng.random((PAIRS, 8, 8)) > 0.6),
        word=np.int32([1, 2, 0]), points=draw(PAIRS, TOKENS, 3), normals=draw(PAIRS, TOKENS, 3),
        known=np.ones((PAIRS, 3), np.float32),
    )  # fmt: skip
    cells = lambda count, *shape: np.int32(rng.integers(0, count, shape))  # noqa: E731
    body = Points(draw(1, VERTICES, 3), draw(1, VERTICES, 3), cells(20, 1, VERTICES), near(1, VERTICES, 27))
    obj = Points(
        draw(PAIRS, ASKED, 3), draw(PAIRS, ASKED, 3), cells(8, PAIRS, ASKED), near(PAIRS, ASKED, TOKENS)
    )  # fmt: skip
    return pair, body, obj


@pytest.fixture(scope="module")
def ask(random_module):
    graph, state = nnx.split(random_module(lambda rngs: Model(TINY, rngs)))
    return jax.jit(lambda *inputs: nnx.merge(graph, state)(*inputs))


def arrays(answer):
    return {field.name: np.asarray(getattr(answer, field.name)) for field in dataclasses.fields(answer)}


def test_all_pairs_in_one_pass_are_answered_as_each_alone(ask):
    pair, body, obj = make_inputs()
    whole = arrays(ask(pair, body, obj))
    assert whole["body"].shape == (PAIRS, VERTICES) and whole["object"].shape == (PAIRS, ASKED)
    assert whole["joint_distance"].shape == (PAIRS, 27) and whole["point_distance"].shape == (PAIRS, TOKENS)
    for i in range(PAIRS):
        order = np.array([i, (i + 1) % PAIRS, i])
        some = jax.tree.map(lambda x, order=order: x[order], (pair, obj))
        for name, values in arrays(ask(some[0], body, some[1])).items():
            np.testing.assert_allclose(values, whole[name][order], atol=2e-5, err_msg=name)


@pytest.mark.parametrize("what", ["places", "metric", "visible", "mask", "word", "points", "normals"])
def test_everything_that_is_known_is_looked_at(ask, what):
    pair, body, obj = make_inputs()
    other = make_inputs(1)[0]
    change = {"mask": 1 - pair.mask, "word": np.int32([2, 1, 1])}.get(what, getattr(other, what))
    before, after = (arrays(ask(p, body, obj)) for p in (pair, pair.replace(**{what: change})))
    for name in ("body", "object"):
        assert (np.abs(before[name] - after[name]).max(axis=1) > 1e-4).all(), name


@pytest.mark.parametrize(
    ("number", "hidden"), [(0, ("places", "metric", "visible")), (1, ("mask",)), (2, ("points", "normals"))]
)
def test_what_is_not_known_is_not_looked_at(ask, number, hidden):
    pair, body, obj = make_inputs()
    other = make_inputs(1)[0]
    known = pair.known.copy()
    known[:, number] = 0
    blind = pair.replace(known=known)
    changed = blind.replace(**{name: getattr(other, name) for name in hidden})
    before, after = (arrays(ask(p, body, obj)) for p in (blind, changed))
    for name in ("body", "object"):
        np.testing.assert_allclose(before[name], after[name], atol=1e-5, err_msg=name)
    assert np.abs(arrays(ask(pair, body, obj))["body"] - before["body"]).max() > 1e-4


def test_a_point_is_answered_by_its_place_its_normal_and_what_is_near(ask):
    pair, body, obj = make_inputs()
    _, other, _ = make_inputs(1)
    whole = arrays(ask(pair, body, obj))["body"]
    for name in ("places", "normals", "near"):
        changed = arrays(ask(pair, body.replace(**{name: getattr(other, name)}), obj))["body"]
        assert (np.abs(changed - whole).max(axis=1) > 1e-4).all(), name
    # Points do not look at each other.
    order = np.random.default_rng(0).permutation(VERTICES)
    turned = arrays(ask(pair, jax.tree.map(lambda x: x[:, order], body), obj))["body"]
    np.testing.assert_allclose(turned, whole[:, order], atol=2e-5)


def test_a_label_has_a_bias_at_every_cell(ask, random_module):
    pair, body, obj = make_inputs()
    network = random_module(lambda rngs: Model(TINY, rngs))
    moved = (
        arrays(ask(pair, body.replace(cell=(body.cell + 1) % 20), obj))["body"] - arrays(ask(pair, body, obj))["body"]
    )
    table = np.asarray(network.body_bias[...])
    cell = body.cell[0]
    for row, word in zip(moved, pair.word):
        np.testing.assert_allclose(row, table[word][(cell + 1) % 20] - table[word][cell], atol=1e-4)
    whole, cell = arrays(ask(pair, body, obj))["object"], (obj.cell + 1) % 8
    moved = arrays(ask(pair, body, obj.replace(cell=cell)))["object"] - whole
    table = np.asarray(network.object_bias[...])
    np.testing.assert_allclose(moved, table[pair.word[:, None], cell] - table[pair.word[:, None], obj.cell], atol=1e-4)


def test_an_untaught_network_says_its_biases():
    network = Model(TINY, nnx.Rngs(0))
    network.body_bias[...] = network.body_bias[...] + 2.0
    pair, body, obj = make_inputs()
    answer = network(pair, body, obj)
    np.testing.assert_allclose(answer.body, 2.0, atol=1e-6)
    np.testing.assert_allclose(answer.object, 0.0, atol=1e-6)


def test_patches_and_windows_by_loops():
    rng = np.random.default_rng(0)
    mask = np.float32(rng.random((2, 8, 8)))
    patches = np.asarray(_patches(mask, 4))
    for i in range(4):
        np.testing.assert_array_equal(
            patches[1, i], mask[1, i // 2 * 4 : i // 2 * 4 + 4, i % 2 * 4 : i % 2 * 4 + 4].ravel()
        )
    places = np.float32([[[-0.99, -0.99], [0.3, -0.2], [1.4, 0.0]], [[0.9, 0.9], [0.0, 0.6], [-3.0, 0.0]]])
    got = np.asarray(_windows(mask, places, 3))
    for b in range(2):
        for j in range(3):
            column, row = np.floor((places[b, j] + 1) * 4).astype(int)
            want = [mask[b, y, x] if 0 <= y < 8 and 0 <= x < 8 else 0.0
                    for y in range(row - 1, row + 2) for x in range(column - 1, column + 2)]  # fmt: skip
            np.testing.assert_array_equal(got[b, j], np.float32(want))


def test_a_point_of_the_person_is_told_where_the_mask_is(random_module):
    """A mask of one cell: distance and direction in metres, which the person's own size in both gives."""
    network = random_module(lambda rngs: Model(TINY, rngs))
    pair, _, _ = make_inputs()
    mask = np.zeros_like(pair.mask)
    mask[:, 2, 6] = 1  # about x 0.625, y -0.375
    metric = np.concatenate([0.7 * pair.places, pair.metric[..., 2:]], axis=-1)
    pair = pair.replace(mask=mask, metric=np.float32(metric))
    features = np.asarray(network._joint_features(pair, mask, np.ones((PAIRS, 1), np.float32)))
    offset = 0.7 * (np.array([0.625, -0.375]) - pair.places)
    np.testing.assert_allclose(features[..., 7:9], offset, atol=1e-4)
    np.testing.assert_allclose(features[..., 6], np.linalg.norm(offset, axis=-1).clip(0, 2), atol=2e-3)
    np.testing.assert_array_equal(features[..., :2], pair.places)
    np.testing.assert_array_equal(features[..., 2:5], pair.metric)
    np.testing.assert_array_equal(features[..., 5], pair.visible)
    empty = np.asarray(network._joint_features(pair, 0 * mask, np.ones((PAIRS, 1), np.float32)))
    np.testing.assert_array_equal(empty[..., 7:9], 0)
    assert (empty[..., 6] > 0.6).all()


def test_files_keep_the_network_and_refuse_others(tmp_path, random_module):
    network = random_module(lambda rngs: Model(TINY, rngs))
    save_pair_contact(tmp_path / "w.safetensors", network, {"threshold": [0.3, 0.4], "seed": 5})
    back, facts = load_pair_contact(tmp_path / "w.safetensors")
    assert back.config == TINY and facts == {"threshold": [0.3, 0.4], "seed": 5}
    inputs = make_inputs()
    np.testing.assert_allclose(load(tmp_path / "w.safetensors")(*inputs).body, network(*inputs).body, atol=0.02)
    assert np.asarray(back.body_logit.kernel[...]).dtype == np.float32
    count = sum(x.size for x in jax.tree.leaves(nnx.state(back)))
    assert (tmp_path / "w.safetensors").stat().st_size < 2 * count + 12_000  # in float16, and a header
    save_network(tmp_path / "other.safetensors", network, {"config": {"width": 3}})
    with pytest.raises(InputError, match="no light contact network"):
        load_pair_contact(tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="missing"):
        load_pair_contact(tmp_path / "missing.safetensors")
    assert "pair_contact" in entries()


@pytest.mark.parametrize("bad", [{"mask": 10}, {"window": 4}])
def test_sizes_that_cannot_be(bad):
    with pytest.raises(ValueError):
        dataclasses.replace(TINY, **bad)
