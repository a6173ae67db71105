"""How objects' poses are scored: symmetries, errors, shares, the page."""

import json
import pathlib

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.experiments.object_from_mask import (
    LIMITS,
    ROWS,
    Config,
    markdown,
    read_earlier,
    rotation_error,
    score,
    score_differences,
    score_paired,
    symmetries,
)


def turn(axis, degrees):
    return Rotation.from_rotvec(np.radians(degrees) * np.asarray(axis, float)).as_matrix()


def test_rotations_count_up_to_what_looks_the_same():
    truth = turn([0.3, 0.9, 0.1], 70)
    table = np.stack([np.eye(3), turn([0, 1, 0], 180)])
    assert rotation_error(truth @ turn([0, 1, 0], 180), truth, table) == pytest.approx(0, abs=0.01)
    assert rotation_error(truth @ turn([0, 1, 0], 90), truth, table) == pytest.approx(90)
    assert rotation_error(truth @ turn([1, 0, 0], 20), truth, table) == pytest.approx(20)
    # The symmetry is the object's own, not the camera's.
    assert rotation_error(turn([0, 1, 0], 180) @ truth, truth, table) > 30


def test_symmetries_are_found_on_surfaces():
    ball, door = symmetries("ball", 100_000), symmetries("door", 100_000)
    assert len(ball) == 144
    assert rotation_error(turn([1, 2, 3], 50), np.eye(3), ball) == 0
    assert 1 <= len(door) < 20 and any(np.allclose(s, np.eye(3)) for s in door)
    assert rotation_error(turn([0, 1, 0], 90), np.eye(3), door) > 60


def row(degrees, across, along, confidence, best=None):
    return {"degrees": degrees, "best_degrees": degrees if best is None else best, "across": across, "along": along,
            "overlap": 0.9, "confidence": confidence, "cpu_s": 1.0}  # fmt: skip


def test_shares_are_of_all_three_limits():
    rows = [row(3, 0.01, 0.02, 0.9), row(40, 0.01, 0.02, 0.8, best=4), row(3, 0.2, 0.02, 0.3), row(3, 0.01, 0.3, 0.2)]
    s = score(rows)
    assert (s["samples"], s["hit"], s["rotation"], s["any_rotation"]) == (4, 0.25, 0.75, 1.0)
    assert (s["across"], s["along"]) == (0.75, 0.75)
    # In thirds by falling confidence, the first of two samples.
    np.testing.assert_allclose(s["interval"], [0.0456, 0.6994], atol=1e-3)  # of one in four, as in tables
    np.testing.assert_allclose(s["reliability"], [[0.85, 0.5], [0.3, 0.0], [0.2, 0.0]])
    assert score([row(*LIMITS, 0.5)])["hit"] == 1.0


def test_the_page_is_made_of_its_record():
    rows = [row(3, 0.01, 0.02, 0.9), row(40, 0.01, 0.02, 0.8)]
    name = next(iter(ROWS))
    record = {
        "config": {"split": "val"}, "machine": "a chip", "seconds": 7.0, "scores": {name: score(rows)},
        "cases": [{"category": "ball"}, {"category": "door"}], "each": {name: rows},
    }  # fmt: skip
    text = markdown(record)
    assert "ball 1 of 1, door 0 of 1" in text and f"| {name} | 2 | 50 % (9 to 91)" in text
    assert f"| {name} | surest | 90 % | 100 % |" in text and f"| {name} | middle | 80 % | 0 % |" in text


def test_rows_of_different_lengths_are_compared_on_the_samples_that_all_have():
    first, second = list(ROWS)[:2]
    hit, miss = row(3, 0.01, 0.02, 0.9), row(40, 0.01, 0.02, 0.8)
    both = score_paired({first: [miss, hit, hit], second: [hit], "empty": []})
    assert both.keys() == {first, second}
    assert (both[first]["samples"], both[first]["hit"], both[second]["hit"]) == (1, 0.0, 1.0)
    assert score_paired({first: [hit], second: [miss]}) == {}


def test_rows_are_held_against_each_other_sample_by_sample():
    """Two of three more: the interval is of the differences, not of the shares."""
    hit, miss = row(3, 0.01, 0.02, 0.9), row(40, 0.01, 0.02, 0.8)
    ours, other = "hoijax, fitted body", "silhouette alone"
    found = score_differences({ours: [hit, hit, miss, hit], other: [miss, miss, miss]})
    assert found.keys() == {f"{ours}, less {other}"}
    gain, low, high = found[f"{ours}, less {other}"]
    assert gain == pytest.approx(2 / 3) and (low, high) == (0.0, 1.0)
    same = score_differences({ours: [hit, miss] * 9, other: [hit, miss] * 9})
    assert same[f"{ours}, less {other}"] == [0.0, 0.0, 0.0]


def test_a_run_goes_on_with_what_was_written_for_the_same_samples(tmp_path):
    written = {"config": {"split": "test", "skip": 0, "seed": 0}, "each": {"x": [1]}, "cases": [2], "seconds": 3.0}
    (tmp_path / "object_from_mask.json").write_text(json.dumps(written))
    config = Config(root=pathlib.Path(), out=tmp_path)
    nothing = {"each": {}, "cases": [], "seconds": 0.0}
    assert read_earlier(config) == nothing
    assert read_earlier(Config(root=pathlib.Path(), out=tmp_path, go_on=True)) == written
    assert read_earlier(Config(root=pathlib.Path(), out=tmp_path, go_on=True, seed=1)) == nothing
