"""Fine-tuning of SANA: the loss by hand, what learns in each mode, dropped texts, resuming, eight pictures by heart."""

import dataclasses
import itertools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.diffusion import flow_training_times
from hoijax.errors import InputError
from hoijax.experiments.common.trainer import Variables, take_steps
from hoijax.experiments.hoi3dgen import train
from hoijax.nets import sana

SIZES = sana.SanaConfig(width=32, depth=2, head_width=16, cross_heads=2, text_channels=8, hidden=64, latent_channels=4)
NULL = sana.TextFeatures(features=np.full((1, 3, 8), 9.0, np.float32), mask=np.array([[True, False, False]]))
rng = np.random.default_rng(0)
LATENT = (rng.normal(size=(8, 1, 1, 4)) + 0.3 * rng.normal(size=(8, 4, 4, 4))).astype(np.float32)
BATCH = train.PictureSample(latent=LATENT, features=rng.normal(size=(8, 3, 8)).astype(np.float32),
                            mask=np.ones((8, 3), bool))  # fmt: skip


@pytest.fixture(autouse=True)
def single_precision():
    with jax.enable_x64(False):
        yield


def config(**changes):
    plain = {"out": pathlib.Path("nowhere"), "steps": 4, "batch": 8, "rate": 4e-3, "warmup": 20, "clip": 1.0,
             "dropout": 0.0, "compute": "float32"}  # fmt: skip
    return train.Config(**plain | changes)


def learn(settings, count, start=None):
    trainer = train.make_trainer(settings, SIZES, NULL, start)
    return take_steps(trainer, itertools.repeat(BATCH), count)


def test_a_network_that_says_nothing_is_off_by_noise_and_data():
    task = train.make_trainer(config(), SIZES, NULL).task
    variables = task.initial(0)
    network = nnx.merge(task.graph, variables.parameters)
    network.out.kernel[...], network.out.bias[...] = jnp.zeros((32, 4)), jnp.zeros(4)
    key = jax.random.key(5)
    loss, (parts, statistics) = jax.jit(lambda v: task.loss(v, BATCH, key, None))(Variables(nnx.state(network)))
    first, second = jax.random.split(key)
    noise = jax.random.normal(second, LATENT.shape, jnp.float32)
    assert float(loss) == pytest.approx(float(np.mean((np.asarray(noise) - LATENT) ** 2)), rel=1e-5)
    assert parts == {} and statistics is None

    told = {}

    class Spy:
        def __call__(self, noisy, time, text, mask):
            told.update(noisy=noisy, time=time)
            return jnp.zeros_like(noisy)

    merge, nnx.merge = nnx.merge, lambda *_: Spy()
    try:
        task.loss(variables, BATCH, key, None)
    finally:
        nnx.merge = merge
    times = np.asarray(flow_training_times(first, 8, shift=3.0))
    np.testing.assert_array_equal(told["time"], np.floor(1000 * times))
    share = times[:, None, None, None]
    np.testing.assert_allclose(told["noisy"], (1 - share) * LATENT + share * np.asarray(noise), atol=1e-6)


def test_texts_are_dropped_with_their_masks():
    task = lambda share: train.make_trainer(config(dropout=share), SIZES, NULL).task  # noqa: E731
    key = jax.random.key(2)
    none, all_of_them, half = (task(share).examples(BATCH, key) for share in (0.0, 1.0, 0.5))
    np.testing.assert_array_equal(none.features, BATCH.features)
    assert (np.asarray(all_of_them.features) == 9.0).all() and not np.asarray(all_of_them.mask)[:, 1:].any()
    gone = (np.asarray(half.features) == 9.0).all(axis=(1, 2))
    assert 0 < gone.sum() < 8 and (np.asarray(half.mask)[:, 1] == ~gone).all()


def test_low_rank_products_alone_learn_and_end_in_the_matrices():
    settings = config(mode="lora", rank=2, alpha=4.0, rate=0.02, warmup=1, average=0.0)
    start = sana.Sana(SIZES, nnx.Rngs(7))
    before = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(start)))
    state, rows = learn(settings, 3, start)
    network = train.finished(state, SIZES, settings)
    after = nnx.to_pure_dict(nnx.state(network))
    assert jax.tree.structure(before) == jax.tree.structure(after)
    flat = [nnx.traversals.flatten_mapping(tree) for tree in (before, after)]
    moved = {"/".join(map(str, path)) for path, value in flat[0].items() if not np.array_equal(value, flat[1][path])}
    wanted = {f"blocks/block/{a}/{b}/kernel" for a in ("attention", "cross") for b in ("query", "key", "value", "out")}
    assert moved == wanted
    learnt = nnx.merge(nnx.split(train.make_network(SIZES, settings, nnx.Rngs(0)))[0], state.variables.parameters)
    call = jax.jit(lambda state, graph: nnx.merge(graph, state)(LATENT, jnp.full(8, 500), BATCH.features, BATCH.mask),
                   static_argnums=1)  # fmt: skip
    graphs = [nnx.split(n) for n in (learnt, network)]
    answers = [call(state, graph) for graph, state in graphs]
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)
    assert float(rows[2]["total"]) > 0


def test_remembering_less_and_computing_in_half_change_little():
    plain = learn(config(average=0.0), 2)[1]
    less = take_steps(train.make_trainer(config(average=0.0), dataclasses.replace(SIZES, remat=True), NULL),
                      itertools.repeat(BATCH), 2)[1]  # fmt: skip
    half = learn(config(average=0.0, compute="bfloat16"), 2)[1]
    for a, b, c in zip(plain, less, half):
        assert float(a["total"]) == pytest.approx(float(b["total"]), rel=1e-5)
        assert float(a["gradient"]) == pytest.approx(float(b["gradient"]), rel=1e-4)
        assert float(a["total"]) == pytest.approx(float(c["total"]), rel=0.02)
        assert float(a["total"]) != float(c["total"])


def test_a_run_that_was_stopped_goes_on_bit_for_bit(tmp_path):
    samples = [{"latent": BATCH.latent[i], "features": BATCH.features[i], "mask": BATCH.mask[i]} for i in range(8)]
    go = lambda out, **more: train.train(config(out=tmp_path / out, dropout=0.5, batch=4, **more), SIZES, samples, NULL)  # noqa: E731
    whole = go("whole")
    go("parts", until=2)
    parts = go("parts")
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts)):
        np.testing.assert_array_equal(a, b)
    path = tmp_path / "sana.safetensors"
    train.save(path, train.finished(parts, SIZES, config()), {"views": list(sana.VIEWS)})
    loaded = sana.load(path)
    assert loaded.config == SIZES
    np.testing.assert_array_equal(loaded.out.kernel[...], parts.mean_variables().parameters["out"]["kernel"][...])
    with pytest.raises(InputError, match="holds a run with another"):
        go("whole", rate=1e-3)


def test_wrong_settings_are_refused():
    with pytest.raises(InputError, match="views are front"):
        sana.view_text("A man.", "back")
    assert sana.view_text("A man.", "left diagonal") == (
        "A man. White Background, Full Body Visible. left diagonal view."
    )
    with pytest.raises(InputError, match="dropout is a share"):
        config(dropout=2.0)
    other = sana.Sana(dataclasses.replace(SIZES, hidden=32), nnx.Rngs(0))
    with pytest.raises(InputError, match="has the sizes"):
        train.make_trainer(config(), SIZES, NULL, other).start()


def test_gradients_are_clipped_and_the_rate_rises():
    def moves(**changes):
        optimiser = train.make_trainer(config(**changes), SIZES, NULL).task.optimiser()
        weight, out = jnp.ones(3), []
        state = optimiser.init(weight)
        for _ in range(3):
            with jax.numpy_dtype_promotion("standard"):
                update, state = optimiser.update(jnp.full(3, 100.0), state, weight)
            out.append(float(-update[0]))
        return out

    rising = moves(rate=0.1, warmup=2)
    np.testing.assert_allclose(rising, [0.0, 0.05, 0.1], rtol=1e-5)
    # Adam forgets how long a gradient is, but for its epsilon of 1e-8.
    assert moves(rate=0.1, warmup=2, clip=1e-9)[2] < 0.01


@pytest.mark.slow
def test_eight_pictures_are_learnt_by_heart():
    small = dataclasses.replace(SIZES, depth=1, head_width=8, hidden=32)
    batch = BATCH.replace(latent=BATCH.latent[:, :2, :2])
    settings = config(steps=150, rate=0.01)
    _, rows = take_steps(train.make_trainer(settings, small, NULL), itertools.repeat(batch), settings.steps)
    losses = [float(row["total"]) for row in rows]
    assert np.mean(losses[-20:]) < 0.1 * np.mean(losses[:3])
