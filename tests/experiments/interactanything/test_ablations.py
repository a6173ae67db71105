"""Ablations and the learned affordance's rows and scores, on made-up numbers."""

import dataclasses
import pathlib

import numpy as np
import pytest
import trimesh

from hoijax.errors import InputError
from hoijax.experiments.interactanything import ablations, affordance_scores, others, touches, train
from hoijax.geometry import Mesh
from hoijax.nets.interactanything import PARTS, POINTS, VERBS
from hoijax.systems.interactanything.relations import reason

RNG = np.random.default_rng(11)


def block(*size):
    made = trimesh.creation.box(size)
    return Mesh(np.asarray(made.vertices), np.asarray(made.faces))


def test_variants_change_what_they_say_and_nothing_else():
    full = ablations.variant_config("full", 4)
    assert ablations.variant_config("no_relations", 4) == full and full.count == 4 and full.use_affordance
    assert ablations.variant_config("no_affordance", 4) == dataclasses.replace(full, use_affordance=False)
    assert ablations.variant_config("learned", 4) == dataclasses.replace(full, affordance="learned")
    assert full.affordance == "geometric"
    bare = ablations.variant_config("no_refine", 4).optimise
    assert sum(s.steps for s in bare.fine_stages) == 0 and bare.global_stages == full.optimise.global_stages
    for closure in ("literal", "wrench"):
        optimise = ablations.variant_config(closure, 4).optimise
        assert (optimise.terms, optimise.closure) == ("paper", closure)
    with pytest.raises(InputError, match="no variant 'none'"):
        ablations.variant_config("none", 4)


def test_without_relations_everything_is_held_in_both_palms():
    for sentence in ("A person sits on the stool", "A person pushes the box"):
        found = ablations.no_relations(sentence, block(0.4, 0.45, 0.3))
        assert found.body_parts == ("left_palm", "right_palm") and found.contact_kind == "grasp"
        assert found.standing == "carried" and found.object_side_of_human == "front" and found.sentence == sentence
        assert found.mesh_scale == reason(sentence, block(0.4, 0.45, 0.3)).mesh_scale
        assert all(len(c.places) == 2 for c in found.contacts)


def test_intervals_are_of_pairs():
    a = RNG.random(12)
    mean, low, high = ablations.paired_interval(a, a + 0.25)
    assert mean == pytest.approx(0.25) and low == pytest.approx(0.25) and high == pytest.approx(0.25)
    gap = RNG.normal(1.0, 0.5, 400)
    mean, low, high = ablations.paired_interval(np.zeros(400), gap)
    assert mean == pytest.approx(gap.mean()) and low < mean < high
    assert high - low == pytest.approx(2 * 1.96 * gap.std() / 20, rel=0.15)


def test_the_page_tells_differences_to_the_first_row():
    row = {"valid": 1.0, "share": 0.5, "holds": 0.75, "farthest": 4.0, "deepest": 2.0}
    worse = {"valid": 0.0, "share": 0.25, "holds": 0.5, "farthest": 9.0, "deepest": 2.0}
    record = {"count": 4, "rows": {"full": {"1": row, "4": row}, "no_refine": {"1": worse, "4": row}}}
    page = ablations.markdown(record)
    full, other = (line for line in page.splitlines() if line.startswith(("| all", "| without")))
    assert "Not shown to be worse: without refinement (stage E)." in page and "below zero" not in page
    bad = {"full": {"1": row, "4": row}, "no_refine": {"1": worse, "4": worse}}
    assert "below zero: without refinement (stage E)." in ablations.markdown({"count": 4, "rows": bad})
    assert full == "| all | 2 of 2 | 50 | 75 | 4 | 2 |"
    assert other.startswith("| without refinement (stage E) | 1 of 2 | 38 (-12, -25 to +0) | 62 (-12")
    assert "| 6 (+2, +0 to +5) | 2 (+0, +0 to +0) |" in other
    made = {
        "valid": True,
        "candidates": [
            {"valid": True, "contact": {"seat": 0.004, "back": 0.01}, "depth": 0.001, "checks": {"physics": True}},
            {"valid": False, "contact": {}, "depth": 0.003, "checks": {"physics": False}},
        ],
    }
    assert ablations.scores_of(made) == {"valid": 1, "share": 0.5, "farthest": 5, "deepest": 2, "holds": 0.5}


def test_thirty_cases_of_others_have_sentences_that_are_understood():
    cases = others.other_cases()
    assert len(cases) == 30 and len({c.name for c in cases}) == 30
    for case in cases:
        found = reason(case.sentence, block(0.3, 0.3, 0.3))
        assert found.known_verb and found.known_object, case.sentence


def test_the_area_under_the_curve_is_a_chance():
    score, truth = np.round(RNG.random(60), 1), RNG.random(60) < 0.3
    pairs = score[truth][:, None] - score[~truth][None]
    want = ((pairs > 0) + 0.5 * (pairs == 0)).mean()
    assert affordance_scores.area_under_curve(score, truth) == pytest.approx(want)
    assert affordance_scores.area_under_curve(truth.astype(float), truth) == 1
    said = np.array([[0.9, 0.1, 0.8, 0.2]])
    there = np.array([[True, False, False, True]])
    assert affordance_scores.f1(said, there, 0.5) == pytest.approx(0.5)
    assert affordance_scores.best_threshold(said, np.array([[True, False, True, False]])) > 0.2
    # F1 of another split is at val's threshold, which is not the best there.
    val, truth = np.tile([[0.9, 0.8, 0.1, 0.2]], (2, 1)), np.tile([[True, True, False, False]], (2, 1))
    own, there = np.array([[0.3, 0.22, 0.25, 0.1]]), np.array([[True, False, True, False]])
    table = affordance_scores.table_of({"a": own}, there, {"a": val}, truth)
    threshold = affordance_scores.best_threshold(val, truth)
    assert table["rows"] == 1 and table["scores"]["a"]["auc"] == 1
    assert table["scores"]["a"]["f1"] == affordance_scores.f1(own, there, threshold) < 1


def test_the_mean_is_by_part_and_cell_and_mirrored_for_left_parts():
    points = RNG.random((2, POINTS, 3))
    points[:, 0], points[:, 1] = 0, 1  # the box
    high_x = (points[..., 0] > 0.75).astype(float)
    train_rows = {"points": points, "touched": high_x, "part": np.array(["right_hand", "right_hand"])}
    own = {"points": points[:1], "touched": high_x[:1], "part": np.array(["left_hand"])}
    score = affordance_scores.mean_scores(train_rows, own)[0]
    assert score[points[0, :, 0] < 0.24].min() > 0.9 and score[points[0, :, 0] > 0.3].max() < 0.05


def rows():
    normals = RNG.normal(size=(POINTS, 3))
    return [
        touches.Touch(RNG.random((POINTS, 3)), normals, part, verb, (RNG.random(POINTS) < 0.2).astype(float), name)
        for part, verb, name in (("seat", "sit", "chair_3"), ("left_hand", "zorble", "box_100001"))
    ]


def test_rows_come_back_and_batches_are_drawn_from_them(tmp_path):
    made = rows()
    touches.write_touches(tmp_path / "train_a.npz", made)
    touches.write_touches(tmp_path / "train_b.npz", [])
    read = touches.read_touches(tmp_path, "train")
    assert list(read["part"]) == ["seat", "left_hand"] and list(read["name"]) == ["chair_3", "box_100001"]
    np.testing.assert_allclose(read["touched"], [r.touched for r in made])
    assert touches.read_touches(tmp_path, "val") == {}
    config = train.Config(data=tmp_path, out=pathlib.Path("."), batch=64, forget=0.5, stretch=0.0)
    batch = train.draw(read, config, 3)
    assert batch["features"].shape == (64, POINTS, 13) and batch["touched"].shape == (64, POINTS)
    assert set(batch["part"]) == {0, PARTS.index("seat"), PARTS.index("hand")}
    assert set(batch["verb"]) == {0, VERBS.index("sit")}
    again = train.draw(read, config, 3)
    assert all(np.array_equal(batch[k], again[k]) for k in batch)
    assert not np.array_equal(train.draw(read, config, 4)["touched"], batch["touched"])
    with pytest.raises(InputError, match="no rows"):
        train.main(dataclasses.replace(config, data=tmp_path / "nothing"))


def test_a_part_touches_what_is_near(tmp_path):
    body = np.array([[0.0, 0, 0], [1.0, 0, 0]])
    points = np.array([[0.0, 0.02, 0], [0.0, 0.03, 0], [1.0, 0.01, 0]])
    regions = {"seat": np.array([0]), "head": np.array([1])}
    np.testing.assert_array_equal(touches.touched(points, body, regions, "seat"), [True, False, False])
    np.testing.assert_array_equal(touches.touched(points, body, regions, "head"), [False, False, True])
    names = {split: {name for name, _, _ in touches.shape_cases(split)} for split in ("train", "val", "test")}
    assert not names["train"] & names["val"] and not names["test"] & (names["train"] | names["val"])
