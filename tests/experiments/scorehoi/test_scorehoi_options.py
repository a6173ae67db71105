"""Settings of ScoreHOI's training: each one's effect is seen in the samples, the step or the file that it makes."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from safetensors.numpy import load_file

from hoijax.experiments.common.trainer import TrainState, Variables
from hoijax.experiments.scorehoi import sources, stages
from hoijax.experiments.scorehoi import train as training
from hoijax.experiments.scorehoi.augmentation import PLAIN
from hoijax.experiments.scorehoi.made_up import MadeUp

HERE = pathlib.Path("unused")


def config(**settings):
    return training.configure(**({"out": HERE, "size": "tiny", "level": "test", "vertices": 48} | settings))


def moves(stage, rate, steps, gradients):
    """By how much the stage's optimiser moves one number at each step."""
    optimiser, found = stage.optimiser(rate, steps), []
    with jax.numpy_dtype_promotion("standard"):
        state = optimiser.init(jnp.zeros((), jnp.float32))
        step = jax.jit(optimiser.update)
        for gradient in gradients:
            move, state = step(jnp.float32(gradient), state)
            found.append(-float(move))
    return np.array(found)


def adam(gradients, rates, b1, b2=0.999):
    """Written out (Kingma and Ba 2015, algorithm 1)."""
    m = v = 0.0
    found = []
    for k, (g, rate) in enumerate(zip(gradients, rates), 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        found.append(rate * (m / (1 - b1**k)) / (np.sqrt(v / (1 - b2**k)) + 1e-8))
    return found


def bare(kind, cosine):
    """A stage without its networks, which its optimiser does not look at."""
    stage = object.__new__(kind)
    stage.cosine = cosine
    return stage


GRADIENTS = np.cos(np.arange(20)) + 0.2


def cosine_rates(rate):
    """Up over ten steps and down over ten."""
    return [rate * k / 10 for k in range(10)] + [rate * 0.5 * (1 + np.cos(np.pi * k / 10)) for k in range(10)]


def test_stage_1_forgets_fast_and_its_rate_falls_to_a_tenth():
    """Adam with beta1 = 0.5; a tenth of the rate after three fifths, or up and down along a cosine."""
    for cosine, rates in ((False, [1e-3] * 12 + [1e-4] * 8), (True, cosine_rates(1e-3))):
        got = moves(bare(stages.RegressorStage, cosine), 1e-3, 20, GRADIENTS)
        np.testing.assert_allclose(got, adam(GRADIENTS, rates, 0.5), rtol=1e-3, atol=1e-9)


def test_stage_2_keeps_its_rate_or_follows_a_cosine():
    for cosine, rates in ((False, [1e-3] * 20), (True, cosine_rates(1e-3))):
        got = moves(bare(stages.DenoiserStage, cosine), 1e-3, 20, GRADIENTS)
        np.testing.assert_allclose(got, adam(GRADIENTS, rates, 0.9), rtol=1e-3, atol=1e-9)


def test_samples_are_as_wide_as_augmentation_wants_and_as_their_seed_says():
    plain, wide, other = (
        training.make_source(config(**c))[0] for c in ({"augment": False}, {}, {"augment": False, "seed": 1})
    )
    assert plain["image"].shape == (128, 128, 5) and wide["image"].shape == (192, 192, 5)
    assert plain["body_contact"].shape == (48,) and plain["object_numbers"].shape == (64 * 3 + 8,)
    np.testing.assert_array_equal(plain["state"], wide["state"])
    assert not np.array_equal(plain["state"], other["state"])
    assert training.augmentation(config(augment=False)) == PLAIN
    assert (
        abs(training.augmentation(config()).rotation - np.pi / 6) < 1e-6
        and training.augmentation(config()).scale == 0.2
    )


def test_sizes_and_bodies_are_those_that_are_named():
    small = training.make_source(config(size="small", vertices=30, augment=False))[0]
    assert small["image"].shape == (256, 256, 5) and small["body_contact"].shape == (30,)
    assert small["object_numbers"].shape == (64 * 3 + 256,)
    assert training.make_source(config()).layout.model.num_vertices < 2000
    assert training.make_source(config(level="default")).layout.model.num_vertices > 5000


def test_sources_are_those_that_are_named(monkeypatch, tmp_path):
    assert isinstance(training.make_source(config()), MadeUp)
    asked = {}
    monkeypatch.setattr(sources, "open_split", lambda root, split: asked.update(split=(root, split)) or [{}, {}, {}])
    default = {"level": "default", "dataset": "synth_hoi", "root": tmp_path}
    assert len(training.make_source(config(split="val", **default))) == 3
    assert asked["split"] == (tmp_path, "val")
    monkeypatch.setattr(sources, "Views", lambda folder: [folder.name] * 2)
    views = training.make_source(config(level="default", dataset="views", views=(HERE / "a", HERE / "b")))
    assert [views[i] for i in range(4)] == ["a", "a", "b", "b"]


def test_the_body_of_published_data_is_the_one_that_the_networks_see():
    real = {"dataset": "behave", "root": HERE, "body_model": HERE / "smplh", "level": "default"}
    assert config(**real).body().file == HERE / "smplh"
    assert config(networks_body=HERE / "other", **real).body().file == HERE / "other"
    assert config(body_model=HERE / "smplh").body().file is None  # of made-up data: the free body


class Small(stages.RegressorStage):
    """Stands for a stage: a network of twelve numbers."""

    def __init__(self):
        self.graph, self.parameters = nnx.split(nnx.Linear(3, 4, rngs=nnx.Rngs(0)))

    def network(self, variables):
        return nnx.merge(self.graph, variables.parameters)


def test_the_averaged_parameters_are_kept_and_in_half_precision_where_asked_for(tmp_path):
    stage, files = Small(), {}
    kernel = np.asarray(stage.parameters["kernel"][...])
    mean = jax.tree.map(lambda x: 0.1 * x, stage.parameters)
    state = TrainState(jnp.zeros((), jnp.int32), Variables(stage.parameters), mean, {})
    for half in (False, True):
        run = config(out=tmp_path / str(half), half=half)
        run.out.mkdir()
        training.save(run, stage, state)
        files[half] = load_file(run.out / "weights.safetensors")["kernel"]
    assert files[False].dtype == np.float32 and files[True].dtype == np.float16
    np.testing.assert_allclose(files[False], 0.1 * kernel, rtol=1e-6)
    np.testing.assert_allclose(files[True], files[False], rtol=1e-3, atol=1e-6)
