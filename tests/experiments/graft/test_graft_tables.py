"""The tables of GRAFT's ablations and of its full mode, from scores that are made up."""

import dataclasses
import json
import pathlib

import pytest

from hoijax.errors import InputError
from hoijax.experiments.graft import ablations, iterations, pages, visual
from hoijax.experiments.graft import evaluate as evaluation
from hoijax.experiments.graft.queries import QueryConfig


def scores(v2s, f1):
    one = {"v2s": v2s, "v2s_median": v2s, "d2s": 20.0, "pa_mpjpe": 30.0, "precision": f1, "recall": f1, "f1": f1}
    start = one | {"v2s": 80.0, "f1": 0.6}
    steps = {f"T = {t}": one | {"v2s": v2s + 3 - t} for t in (1, 2, 3)}
    return {"start": start, "similarity ICP": one | {"v2s": 200.0}, **steps, "truth, T = 3": one | {"v2s": 4.0}}


def test_ablations_are_told_beside_the_papers_changes():
    config = ablations.Config(out=pathlib.Path("runs"), rows=("whole", "without rollout", "the paper's loss"))
    page = ablations.markdown(config, {row: scores(60.0 + 5 * k, 0.8 - 0.1 * k) for k, row in enumerate(config.rows)})
    assert "| start | the estimates | 80.0 |" in page
    assert "| without rollout | +5.0 | +51.8 | +0.0 | +1.7 | -0.100 | -0.211 |" in page
    assert "| the paper's loss | +10.0 |  | +0.0 |  | -0.200 |  |" in page
    assert "Not trained: without geometric features, without scale" in page and "| without scale" not in page
    with pytest.raises(InputError, match="rows must be 'whole' and others of"):
        ablations.Config(out=pathlib.Path("runs"), rows=("without rollout",))


def test_each_ablation_changes_what_its_name_says():
    config = ablations.Config(out=pathlib.Path("runs"))
    whole, *rest = (ablations.training_of(config, row) for row in ablations.ROWS)
    assert len({run.out for run in (whole, *rest)}) == 7
    rollout, probes, scale, true, loss, network = rest
    assert (whole.horizon, rollout.horizon, probes.without, scale.without) == (3, 1, "probes", "scale")
    assert whole.queries.estimated < 1 and true.queries.estimated == 1 and true.queries.near == 0
    assert loss.weights.rounding == loss.weights.heights == 0 and whole.weights.heights > 0
    assert (whole.size, network.size) == ("small", "plain")


def test_the_full_mode_is_told_beside_geometry_alone():
    record = {"steps": 500, "batch": 8, "scenes_train": 160, "scenes_test": 40, "begun": "9 steps"}
    names = (visual.BEGUN, *visual.ARMS.values())
    page = visual.markdown(record, {"trained on with images": 5.1}, {name: scores(70.0, 0.7) for name in names})
    assert "500 steps of 8" in page and page.count("| 70.0 | 70.0 |") == 3 and "trained on with images 5.1 MB" in page
    config = visual.Config(out=pathlib.Path("runs"), synth=pathlib.Path("synth"))
    arms = [visual.training_of(config, arm) for arm in visual.ARMS]
    assert [arm.visual for arm in arms] == [False, True] and arms[0].seed == arms[1].seed


def test_steps_are_told_with_their_time():
    row = scores(60.0, 0.8)["T = 3"] | {"penetration": 20.0}
    rows = [row | {"steps": t, "time": 0.9 * t + 0.1 * (t > 0)} for t in range(3)]
    page = iterations.markdown(iterations.Config(rooms=9), "7 steps on rooms", rows)
    assert "on 9 made-up rooms" in page and "trained for 7 steps on rooms" in page
    assert page.splitlines()[-1] == "| 2 | 0.800 | 0.800 | 0.800 | 60.0 | 60.0 | 30.0 | 20 | 1.9 |"
    with pytest.raises(InputError, match="rooms at least 4"):
        iterations.Config(rooms=2)


def test_without_the_gradient_prior_nothing_is_said_about_it():
    found = pages.verdict(scores(60.0, 0.9))
    assert "contact F1 no worse than the gradient prior's" not in found
    assert found["V2S falls with every step"] is True and found["contact F1 above the start's by"] == pytest.approx(0.5)


def test_the_gradient_priors_scores_are_taken_from_a_run_of_the_same_rooms(tmp_path):
    known = tmp_path / "graft.json"
    config = evaluation.Config(rooms=10, known=known)
    settings = pages.plain(dataclasses.asdict(config))
    settings = json.loads(json.dumps(settings))
    known.write_text(json.dumps({"config": settings, "scores": {"made-up rooms": {"gradient": {"v2s": 1.0}}}}))
    assert evaluation._known(config)["made-up rooms"]["gradient"]["v2s"] == 1.0
    # An older file lacks younger settings, which had their defaults.
    del settings["queries"]["far"], settings["split"]
    known.write_text(json.dumps({"config": settings, "scores": {}}))
    assert evaluation._known(dataclasses.replace(config, split="test")) == {}
    with pytest.raises(InputError, match="is of another queries"):
        evaluation._known(dataclasses.replace(config, split="test", queries=QueryConfig(far=0.1)))
    with pytest.raises(InputError, match="is of another rooms, seed"):
        evaluation._known(dataclasses.replace(config, split="test", rooms=20, seed=3))
    known.write_text("{}")
    with pytest.raises(InputError, match=r"is no graft\.json"):
        evaluation._known(config)


def test_the_gradient_priors_scores_are_of_the_same_starts():
    known = {"start": {"v2s": 80.0}, "gradient": {"v2s": 90.0}}
    for v2s, same in ((80.02, True), (80.1, False), (79.9, False)):
        found = evaluation.with_gradient(known, {"samples": 3, "truth": 1, "start": {"v2s": v2s}, "against": {}})
        assert list(found) == ["samples", "start", *(["gradient"] if same else []), "truth", "against"]
        assert found.get("gradient") == ({"v2s": 90.0} if same else None)
    assert "gradient" not in evaluation.with_gradient({}, {"start": {"v2s": 80.0}})


def test_what_an_earlier_run_did_not_measure_is_left_empty():
    old = scores(60.0, 0.8)["T = 3"] | {"penetration": 20.0}
    width = len(pages.HEAD) + len(pages.OFF_HEAD)
    assert len(pages.scores_cells("x", old, False)) == len(pages.HEAD)
    assert pages.scores_cells("x", old, True)[-2:] == ["", ""]
    row = pages.scores_cells("x", old | {"off": 3.25, "off_share": 0.5}, True)
    assert len(row) == width and row[-2:] == ["3.2", "50 %"]
