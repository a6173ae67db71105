"""Drawn pictures: what one shows is what its labels say, a stopped run goes on, and the shipped regressor sees it."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.errors import InputError
from hoijax.experiments.scorehoi import views
from hoijax.experiments.scorehoi.augmentation import PLAIN, augment_batch
from hoijax.experiments.scorehoi.sources import Joined
from hoijax.experiments.scorehoi.views import Config, Views
from hoijax.interaction import GRAVITY_CAMERA
from hoijax.nets.weights import shipped_file
from hoijax.systems.scorehoi import GuidedScene, pose_hoi_state, state_from_estimate
from hoijax.systems.scorehoi.networks import load_networks

SIDE = 256
COUNT = 10


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Pictures of people and objects that no training has seen, in shards of six, and where they lie."""
    config = Config(
        out=tmp_path_factory.mktemp("views"), split="test", scripted=COUNT, crop=SIDE, vertices=48, image_size=SIDE
    )
    with pytest.MonkeyPatch.context() as patch, jax.enable_x64(False):
        patch.setattr(views, "SHARD", 6)
        assert views.run(dataclasses.replace(config, until=1)) is None
        with pytest.raises(InputError, match="no finished pictures"):
            Views(config.out)
        first = (config.out / "images-00000.npy").stat().st_mtime_ns
        found = views.run(config)
        assert (config.out / "images-00000.npy").stat().st_mtime_ns == first
        samples = [found[i] for i in range(len(found))]
    return config, samples


@pytest.mark.slow
def test_labels_lie_where_the_picture_shows_them(drawn):
    _, samples = drawn
    assert len(samples) == COUNT
    seen = []
    for sample in samples:
        side = round(views.MARGIN * SIDE)
        assert sample["image"].shape == (side, side, 5) and sample["image"].dtype == np.float32
        assert 0.05 < sample["image"][..., :3].mean() < 0.95
        human = sample["image"][..., 3]
        assert human.sum() > 800 and sample["image"][..., 4].sum() > 50
        # The trunk's joints fall on the person, as fractions of the inner crop.
        column, row = np.clip(((sample["joints_2d"][[0, 3, 6, 9]] * SIDE) + side / 2), 0, side - 1).astype(int).T
        seen += [human[max(r - 12, 0) : r + 13, max(c - 12, 0) : c + 13].any() for r, c in zip(row, column)]
        assert sample["state"].shape == (331,) and sample["body_contact"].shape == (48,)
    assert np.mean(seen) > 0.85  # some stand behind things
    # Other indices, other pictures.
    assert len({sample["state"].tobytes() for sample in samples}) == COUNT


@pytest.mark.slow
def test_what_is_kept_says_how_it_was_made_and_other_settings_are_refused(drawn):
    config, _ = drawn
    assert json.loads((config.out / "views.json").read_text()) == {"count": COUNT, "shards": 2, "solved": 0}
    with pytest.raises(InputError, match="another seed"):
        views.run(dataclasses.replace(config, seed=9))
    for changes, message in (({"scripted": 0}, "one of them above zero"), ({"again": 1}, "--again needs --root")):
        with pytest.raises(InputError, match=message):
            dataclasses.replace(config, **changes)


@pytest.mark.slow
def test_the_shipped_regressor_beats_the_best_constant_answer(drawn):
    """On pictures of people and objects from outside its training; the constant is the mean of these very truths."""
    _, samples = drawn
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        nets = load_networks(*(shipped_file(f"scorehoi_{name}") for name in ("regressor", "denoiser")))
        batch = {name: jnp.asarray(np.stack([s[name] for s in samples])) for name in samples[0]}
        batch = augment_batch(jax.random.key(0), batch, SIDE, PLAIN)
        scene = GuidedScene(points=batch["points"], sdf=None, gravity=np.tile(np.float32(GRAVITY_CAMERA), (COUNT, 1)))
        graph, weights = nnx.split(nets.regressor)

        @jax.jit
        def run(weights, image, numbers, truth):
            estimate = nnx.merge(graph, weights).estimate(image, numbers)
            return [pose_hoi_state(nets.body, scene, x) for x in (state_from_estimate(nets.body, estimate), truth)]

        found, truth = run(weights, batch["image"], batch["object_numbers"], batch["state"])
    for name in ("joints", "points"):
        a, b = (np.asarray(getattr(posed, name)) for posed in (found, truth))
        error, constant = (np.linalg.norm(x - b, axis=-1).mean() for x in (a, b.mean(axis=0, keepdims=True)))
        assert error < 0.95 * constant, (name, error, constant)


def test_joined_sources_follow_each_other():
    both = Joined(("ab", "c"))
    assert len(both) == 3 and [both[i] for i in range(3)] == ["a", "b", "c"]
    with pytest.raises(IndexError):
        both[3]
