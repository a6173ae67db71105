"""Result pages: every page that hoijax shows is what its record says, made again from the numbers beside it."""

import json
import math
import pathlib

import pytest

from hoijax.body_models import free_body
from hoijax.errors import InputError
from hoijax.experiments import fitting, refine_stats, silhouette_pose
from hoijax.experiments.benchmarks import body, graft, render_tables, scorehoi
from hoijax.experiments.common import ablate, pages
from hoijax.experiments.common.splits import note_of, scene_split, synth_splits
from hoijax.experiments.graft import ablations, evaluate, iterations, visual
from hoijax.experiments.graft import pages as graft_pages
from hoijax.experiments.interactanything import sds_demo
from hoijax.experiments.interactvlm import joint_fit, light_page, small
from hoijax.experiments.scorehoi import photo_start, prior_table, score_tables, tables
from hoijax.experiments.scorehoi.variants import TABLES
from hoijax.systems.graft import body_spec

ROOT = pathlib.Path(__file__).resolve().parents[3]
RESULTS = ROOT / "docs" / "results"


def ablations_again(record):
    settings = record["config"] | {"rows": tuple(record["config"]["rows"]), "split": "test"}
    return ablations.markdown(ablations.Config(out=pathlib.Path(), **settings), record["scores"])


def iterations_again(record):
    config = iterations.Config(rooms=record["rooms"], split="test")
    return iterations.markdown(config, record["training"], record["rows"])


MAKERS = {
    "body": body.markdown,
    "fitting": fitting.markdown,
    "graft": graft_pages.markdown,
    "graft_ablations": ablations_again,
    "graft_iterations": iterations_again,
    "graft_speed": graft.markdown,
    "graft_visual": lambda record: visual.markdown(record["config"], record["megabytes"], record["scores"]),
    "interactanything_sds": sds_demo.markdown,
    "interactvlm_light": light_page.markdown,
    "interactvlm_small": small.markdown,
    "joint_fit": joint_fit.markdown,
    "refine": refine_stats.markdown,
    "render": lambda record: render_tables.markdown(record["rows"]),
    "scorehoi_photo": photo_start.markdown,
    "scorehoi_prior": prior_table.markdown,
    "scorehoi_speed": scorehoi.markdown,
    "silhouette_pose": silhouette_pose.markdown,
} | {f"scorehoi_table{t}": lambda record, t=t: score_tables.markdown_table(record, TABLES[t]) for t in "134"}


@pytest.mark.parametrize("name", MAKERS)
def test_pages_say_what_their_records_hold(name):
    record = json.loads((RESULTS / f"{name}.json").read_text())
    assert (RESULTS / f"{name}.md").read_text() == MAKERS[name](record)


def test_the_pages_short_table_is_that_of_the_record():
    record = json.loads((RESULTS / "refine.json").read_text())
    config = refine_stats.Config(samples=record["config"]["samples"])
    page = (ROOT / "docs" / "measured.md").read_text()
    assert refine_stats.into_page(page, refine_stats.short_table(record["summary"], config)) == page


def test_a_page_is_written_where_out_says_beside_its_numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = pages.page(
        "Title", "A sentence.", "", pages.table(["", "x"], [["a", "1"], ["b", ""]]), pages.bullets({"q": "yes"})
    )
    pages.write_page(pathlib.Path("new/folder"), "name", {"x": [1]}, text)
    want = "# Title\n\nA sentence.\n\n| | x |\n|---|---|\n| a | 1 |\n| b |  |\n\n- q: yes\n"
    assert (tmp_path / "new/folder/name.md").read_text() == want
    assert json.loads((tmp_path / "new/folder/name.json").read_text()) == {"x": [1]}
    # By default nothing is written into the package, wherever that is installed.
    for config in (refine_stats.Config(), evaluate.Config(), iterations.Config(), silhouette_pose.Config(),
                   fitting.Config()):  # fmt: skip
        assert config.out == pages.RESULTS and not config.out.is_absolute()


def test_numbers_and_intervals():
    row = {"mean": 4.2, "low": 4.0, "high": 30.5}
    assert pages.interval(row, 2) == "4.20 (4.00 to 30.50)"
    assert pages.interval(row | {"low": math.nan}, 1) == "4.2"
    assert pages.interval(row | {"mean": math.nan}, 1) == pages.interval(None, 1) == pages.number(None, 2) == "–"
    assert pages.spread({"median": 2.0, "min": 1.5, "max": 3.25}) == "2.00 [1.50, 3.25]"
    assert pages.spread(None) == "no clean round"


def test_settings_keep_no_places():
    config = prior_table.Config(
        root=pathlib.Path("/somewhere/synth"), weights=pathlib.Path("/home/me/prior.safetensors")
    )
    kept = pages.settings_of(config, prior_table.PLACES)
    assert "root" not in kept and "work" not in kept and kept["weights"] == "prior.safetensors"
    assert kept["perturbation"]["shift"] == 0.1 and json.loads(json.dumps(kept)) == kept


ROWS = (
    ablate.Variant("whole", paper=(10.0, 0.5)),
    ablate.Variant("less a, b's", "no a", {"a": 1}, (12.5, 0.25)),
    ablate.Variant("ours", "ours alone", {"a": 2}),
)


def test_changes_stand_beside_the_papers():
    scores = {"whole": {"x": 1.0, "f": 0.8}, "less a, b's": {"x": 3.0, "f": 0.7}, "ours": {"x": 0.5, "f": 0.8}}
    text = ablate.changes_table(ROWS, scores, (("x", "X, mm", 1), ("f", "F", 3)))
    assert text.splitlines()[2:] == [
        "| less a, b's | +2.0 | +2.5 | -0.100 | -0.250 |", "| ours | -0.5 |  | +0.000 |  |",
    ]  # fmt: skip


def test_a_stopped_table_goes_on_with_the_rows_it_lacks(tmp_path):
    ran = []

    def score(variant):
        ran.append(variant.name)
        return {"x": len(variant.name)}

    ablate.scores_of(ROWS[:2], tmp_path, score)
    scores = ablate.scores_of(ROWS, tmp_path, score)
    assert ran == ["whole", "less a, b's", "ours"] and scores["ours"] == {"x": 4}
    assert (tmp_path / "less_a_bs" / "scores.json").is_file()
    assert [v.name for v in ablate.select_variants(ROWS, ("ours", "whole"))] == ["whole", "ours"]
    for names in (("ours",), ("whole", "nothing")):
        with pytest.raises(InputError, match="rows must be 'whole' and others of"):
            ablate.select_variants(ROWS, names)


def test_scores_are_of_dev_unless_test_is_asked_for():
    """Every script that scores; dev shares neither seeds nor splits with test."""
    root = pathlib.Path("synth")
    configs = [
        evaluate.Config(), iterations.Config(), ablations.Config(out=root), visual.Config(out=root, synth=root),
        prior_table.Config(root=root), tables.Config(root=root, regressor=(root,), denoiser=(root,)),
    ]  # fmt: skip
    assert all(config.split == "dev" for config in configs)
    assert set(synth_splits("dev")).isdisjoint(synth_splits("test")) and scene_split("dev") != scene_split("test")
    dev, test = evaluate.Config(), evaluate.Config(split="test")
    assert test.room_seed == 1000 and {dev.room_seed + k for k in range(3)}.isdisjoint(range(1003))
    assert tables.splits_of("synth_hoi", "test") == ("test", "test_unseen_category")
    assert tables.splits_of("behave", "dev") == ("val",)
    assert "dev, to choose on" in note_of({"split": "dev"}) and note_of({"split": "test"}) == note_of({}) == ""


@pytest.mark.parametrize(("split", "scenes", "first"), [("dev", "scenes_dev", 2000), ("test", "scenes_test", 1000)])
def test_held_out_rooms_and_scenes_are_those_of_the_split(split, scenes, first, monkeypatch):
    opened = []
    monkeypatch.setattr(evaluate, "open_split", lambda root, name: opened.append(name) or [])
    config = evaluate.Config(split=split, synth=pathlib.Path("synth"), rooms=4)
    model = free_body("test")
    sources = evaluate.make_sources(config, model, body_spec(model))
    assert [source.seed for source in sources.values()] == [first, first + 1, first + 2, first]
    assert opened == [scenes] and list(sources)[-1] == "SynthHOI scenes"
