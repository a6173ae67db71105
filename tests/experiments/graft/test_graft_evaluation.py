"""Scores of GRAFT's evaluation on surfaces whose scores are known by heart."""

import numpy as np
import pytest

from hoijax.experiments.graft import evaluate as evaluation
from hoijax.experiments.graft import pages

HEIGHTS = {"start": 0.06, "T = 1": 0.04, "T = 2": 0.02, "T = 3": 0.0, "similarity ICP": -0.05}


@pytest.fixture(scope="module")
def scores():
    """A flat body above a floor: each method puts it at another height, the truth at 5 mm."""
    x, z = np.meshgrid(np.linspace(-1, 1, 81), np.linspace(-1, 1, 81))
    points = np.stack([x.ravel(), np.zeros(x.size), z.ravel()], axis=1).astype(np.float32)
    normals = np.tile(np.float32([0, 1, 0]), (len(points), 1))
    flat = points[::40]
    bodies = np.stack([flat + [0, HEIGHTS.get(name, 0.005), 0] for name in evaluation.METHODS]).astype(np.float32)
    joints = np.random.default_rng(0).normal(size=(22, 3))
    joints = np.stack([joints * (1.1 if name == "start" else 1) for name in evaluation.METHODS]).astype(np.float32)
    chosen = np.arange(0, len(flat), 2)
    area = np.ones(len(chosen), np.float32)
    true = evaluation.METHODS.index("truth")
    room = evaluation.scores_of(bodies, joints, points, normals, chosen, area, true=true)
    table = {name: value[None] for name, value in room.items() if name != "counts"}
    table["counts"] = type(room["counts"])(*(np.asarray(x)[None] for x in vars(room["counts"]).values()))
    table = {name: np.concatenate([x, x]) if name != "counts" else x for name, x in table.items()}
    return {name: evaluation.summary_of(table, number) for number, name in enumerate(evaluation.METHODS)}


def test_distances_are_those_of_the_planes(scores):
    for name, height in HEIGHTS.items():
        assert scores[name]["v2s"] == pytest.approx(1000 * abs(height - 0.005), abs=1e-2), name
    assert scores["similarity ICP"]["penetration"] == pytest.approx(50, abs=1e-2)
    assert scores["start"]["penetration"] == 0
    assert scores["similarity ICP"]["d2s"] == pytest.approx(180, abs=0.1)
    assert scores["start"]["d2s"] == pytest.approx(0, abs=0.1)


def test_contact_counts_near_and_behind(scores):
    assert np.isnan(scores["start"]["precision"]) and scores["start"]["recall"] == 0
    assert scores["T = 3"]["f1"] == scores["similarity ICP"]["f1"] == scores["truth"]["f1"] == 1


def test_size_leaves_the_aligned_joints_alone(scores):
    assert scores["start"]["pa_mpjpe"] == pytest.approx(0, abs=1e-2)


def test_the_verdict_compares_with_start_and_baseline(scores):
    start = scores["start"] | {"f1": 0.5}
    found = pages.verdict(scores | {"start": start})
    assert found["V2S less than the start's by"] == pytest.approx(1 - 5 / 55, abs=1e-3)
    assert found["contact F1 above the start's by"] == pytest.approx(1.0)
    assert found["V2S better than similarity ICP"] is True and found["V2S falls with every step"] is True
    assert found["contact F1 better than similarity ICP"] is False
