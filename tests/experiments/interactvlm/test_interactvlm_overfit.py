"""InteractVLM's stack learns a few pairs by heart and says them again by itself (specs/interactvlm.md 15.12)."""

import numpy as np

from hoijax.experiments.interactvlm import overfit
from hoijax.io import read_json

FAST = {"xla_backend_optimization_level": 0}


def test_pairs_that_were_learned_are_said_again(tmp_path, capsys):
    """Two pictures with two labels each: what is touched follows from both, and nothing of an answer is given."""
    config = overfit.Config(
        pairs=4, labels=2, batch=4, steps=480, width=32, rate=3e-3, warmup=20, log=240, results=tmp_path
    )
    got = overfit.run(config, compiler_options=FAST)
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [["0", "text"], ["240", "text"]]
    assert got["first"]["text"] > 1 and got["last"]["text"] < 0.05
    assert got["falls"] > 10 and got["last"]["dice"] < got["first"]["dice"] / 3
    assert got["f1"] > 0.9 and got["least_f1"] > 0.8
    assert got["mean_map_f1"] < 0.8  # a label alone does not say it
    assert read_json(tmp_path / "interactvlm_overfit.json")["f1"] == got["f1"]
    rows = [line for line in (tmp_path / "interactvlm_overfit.md").read_text().splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + 5 + 1 and f"{got['last']['total']:.4f}" in rows[-1]


def test_pairs_have_contact_of_their_own():
    views = overfit.sphere()
    pairs = overfit.make_pairs(overfit.Config(pairs=8, labels=4), views)
    assert [pair.label for pair in pairs[:4]] == [pair.label for pair in pairs[4:]] == list(overfit.LABELS[:4])
    assert all(np.array_equal(pair.image, pairs[0].image) for pair in pairs[:4])
    assert not np.array_equal(pairs[0].image, pairs[4].image)
    contact = np.stack([pair.contact for pair in pairs])
    assert len(np.unique(contact, axis=0)) == 8 and not contact[:, ~np.asarray(views.lift.visible)].any()
    assert ((contact.mean(axis=1) > 0.02) & (contact.mean(axis=1) < 0.3)).all()
