"""Scores of GRAFT's evaluation on surfaces whose scores are known by heart."""

import numpy as np
import pytest

from hoijax.experiments.graft import evaluate as evaluation
from hoijax.experiments.graft import pages
from hoijax.metrics import contact_counts

HEIGHTS = {
    "start": 0.06, "T = 1": 0.04, "T = 2": 0.02, "T = 3": 0.0, "similarity ICP": -0.05, "T = 3, similarity": 0.07,
    "heavy-tailed start": 0.1, "heavy-tailed, T = 3": 0.03, "truth, T = 3": 0.026,
}  # fmt: skip


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
    compared = {name: evaluation._compared(name, 0) for name in evaluation.METHODS}
    return {
        name: evaluation.summary_of(table, number, *compared[name]) for number, name in enumerate(evaluation.METHODS)
    }


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
    assert found["V2S of similarity better than the start"] is False
    assert found["true bodies moved by more than 2 cm"] == 1.0
    assert found["V2S less than a heavy-tailed start's by"] == pytest.approx(1 - 25 / 95, abs=1e-3)
    assert found["V2S rises with no step, by its paired interval"] is True
    # The third step makes it worse in the mean, first within its interval, then clear of zero.
    for interval, rises in (([1.0, -0.5, 2.5], False), ([1.0, 0.5, 1.5], True)):
        worse = scores["T = 3"] | {"v2s_step": interval}
        said = pages.verdict(scores | {"start": start, "T = 3": worse})
        assert said["V2S rises with no step, by its paired interval"] is not rises


def test_vertices_are_measured_against_the_true_ones(scores):
    """The mean distance to the true body, and the share of bodies where it is more than 2 cm."""
    for name, height in HEIGHTS.items():
        assert scores[name]["off"] == pytest.approx(1000 * abs(height - 0.005), abs=1e-2), name
        assert scores[name]["off_share"] == (abs(height - 0.005) > 0.02), name
    assert scores["truth"]["off"] == 0


def test_intervals_are_of_pairs():
    """Rooms differ by decimetres, what a step does to each by a millimetre: the interval is of the steps."""
    rng = np.random.default_rng(0)
    v2s = np.stack([rng.uniform(50, 500, 40)] * 3, axis=1) + [[0, -3, -4]] + rng.normal(0, 0.2, (40, 3))
    table = {name: v2s for name in ("v2s", "d2s", "pa_mpjpe", "penetration", "off")}
    table["counts"] = contact_counts(np.ones((40, 3, 5), bool), np.ones((40, 3, 5), bool))
    row = evaluation.summary_of(table, 2, 0, 1)
    for name, wanted in (("v2s_change", -4), ("v2s_step", -1)):
        mean, low, high = row[name]
        assert low < mean < high < 0 and high - low < 1 and mean == pytest.approx(wanted, abs=0.3)
    assert "v2s_step" not in evaluation.summary_of(table, 1, 0)


def test_rows_are_compared_with_their_own_starts():
    methods = evaluation.METHODS
    for first in (0, len(methods)):
        at = {name: first + number for number, name in enumerate(methods)}
        assert evaluation._compared("T = 3", first) == (at["start"], at["T = 2"])
        assert evaluation._compared("T = 2", first) == (at["start"], at["T = 1"])
        assert evaluation._compared("T = 1", first) == (at["start"], None)
        assert evaluation._compared("heavy-tailed, T = 3", first) == (at["heavy-tailed start"], None)
        assert evaluation._compared("truth, T = 3", first) == (at["truth"], None)
