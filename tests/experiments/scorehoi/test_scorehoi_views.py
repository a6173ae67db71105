"""Drawn pictures for training: what a picture shows is what its labels say, and a stopped run goes on."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from hoijax.errors import InputError
from hoijax.experiments.scorehoi import views
from hoijax.experiments.scorehoi.train import Joined
from hoijax.experiments.scorehoi.views import Config, Views

SIDE = 64


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Three pictures in shards of two, and where they lie."""
    config = Config(
        out=tmp_path_factory.mktemp("views"), scripted=3, crop=SIDE, geometry=8, vertices=48, image_size=SIDE
    )
    with pytest.MonkeyPatch.context() as patch, jax.enable_x64(False):
        patch.setattr(views, "SHARD", 2)
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
    assert len(samples) == 3
    for sample in samples:
        side = round(views.MARGIN * SIDE)
        assert sample["image"].shape == (side, side, 5) and sample["image"].dtype == np.float32
        assert 0.05 < sample["image"][..., :3].mean() < 0.95
        human = sample["image"][..., 3]
        assert human.sum() > 50 and sample["image"][..., 4].sum() > 5
        # The trunk's joints fall on the person, as fractions of the inner crop.
        column, row = np.clip(((sample["joints_2d"][[0, 3, 6, 9]] * SIDE) + side / 2), 0, side - 1).astype(int).T
        assert np.mean([human[max(r - 4, 0) : r + 5, max(c - 4, 0) : c + 5].any() for r, c in zip(row, column)]) > 0.7
        assert sample["state"].shape == (331,) and sample["body_contact"].shape == (48,)
    # Other indices, other pictures.
    assert len({sample["state"].tobytes() for sample in samples}) == 3


@pytest.mark.slow
def test_what_is_kept_says_how_it_was_made_and_other_settings_are_refused(drawn):
    config, _ = drawn
    assert json.loads((config.out / "views.json").read_text()) == {"count": 3, "shards": 2, "solved": 0}
    with pytest.raises(InputError, match="another seed"):
        views.run(dataclasses.replace(config, seed=9))
    for changes, message in (({"scripted": 0}, "one of them above zero"), ({"again": 1}, "--again needs --root")):
        with pytest.raises(InputError, match=message):
            dataclasses.replace(config, **changes)


def test_joined_sources_follow_each_other():
    both = Joined(("ab", "c"))
    assert len(both) == 3 and [both[i] for i in range(3)] == ["a", "b", "c"]
    with pytest.raises(IndexError):
        both[3]
