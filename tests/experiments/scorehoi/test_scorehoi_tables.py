"""ScoreHOI's tables from end to end with tiny random networks on pictures that look like SynthHOI's."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.body_models import free_body, pose_body, resample_vertices
from hoijax.data.evaluation import EvaluateConfig, TruthSource
from hoijax.data.evaluation.states import EvaluationState, Subject
from hoijax.errors import InputError
from hoijax.experiments.scorehoi import predictors, tables
from hoijax.experiments.scorehoi.score_tables import markdown_table, mean_over_seeds
from hoijax.experiments.scorehoi.variants import FULL, PAPER, TABLES
from hoijax.nets.scorehoi import ScoreHOIRegressor, make_denoiser
from hoijax.nets.weights import save_network
from hoijax.systems.scorehoi import GuidedConfig, guided_body
from hoijax.systems.scorehoi.inputs import default_betas_range
from hoijax.systems.scorehoi.networks import SIZES, load_networks


@pytest.fixture(scope="module")
def weights(tmp_path_factory, random_module):
    folder, sizes = tmp_path_factory.mktemp("weights"), SIZES["tiny"]()
    facts = {"size": "tiny", "level": "test", "vertices": 48, "steps": 0, "dataset": "none"}
    networks = (
        ("regressor", 1, random_module(lambda rngs: ScoreHOIRegressor(sizes[0], rngs))),
        ("denoiser", 2, random_module(lambda rngs: make_denoiser(sizes[1], rngs))),
    )
    for name, stage, network in networks:
        save_network(folder / f"{name}.safetensors", network, facts | {"stage": stage})
    return folder


@pytest.fixture(scope="module")
def synth():
    """Three samples of one chair and a ball, as `open_split` gives them, and their truth."""
    model = free_body("test")
    template = predictors.random_object("chair", 3).mesh
    rng = np.random.default_rng(0)
    points = predictors.make_template(template, resolution=8).points
    samples, subjects = [], {}
    posed = pose_body(model, predictors.interaction_from_state(_body(model), _states(3)).body)
    for i in range(3):
        vertices, joints = np.asarray(posed.vertices[i]), np.asarray(posed.joints[i])
        camera = np.eye(4, dtype=np.float32)
        camera[2, 3] = 4.0
        human, obj = np.zeros((2, 96, 96), bool)
        human[10:80, 30:60], obj[40:80, 50:80] = True, True
        keys = np.concatenate([joints, vertices[[v for _, v in model.landmarks]]]).astype(np.float32)
        body = {"global_orient": 3, "body_pose": 63, "left_hand_pose": 45, "right_hand_pose": 45, "betas": 10}
        samples.append({
            "key": f"test-{i}", "category": "chair", "object_seed": 3, "action": "sit",
            "body": {name: np.zeros(count, np.float32) for name, count in body.items()} | {"transl": np.zeros(3)},
            "image": rng.integers(0, 255, (96, 96, 3), np.uint8), "human_mask": human, "object_mask": obj,
            "T_camera_world": camera, "obj_rot": np.zeros(3), "obj_trans": np.float32([0, -0.3, 0.1 * i]),
            "keypoints_3d": keys, "keypoints_2d": rng.uniform(20, 70, (len(keys), 2)).astype(np.float32),
            "object_points": np.asarray(points), "object_points_contact": np.zeros(64, bool),
            "object_points_floor": np.zeros(64, bool), "body_contact": np.zeros(len(vertices), bool),
        })  # fmt: skip
        move = samples[-1]["obj_trans"]
        truth = EvaluationState(body=vertices, joints=joints, object=np.asarray(template.vertices, np.float32) + move)
        subjects[f"test-{i}"] = Subject(
            f"test-{i}", f"chair/{i % 2}", truth, model, template, np.asarray(model.faces), np.asarray(template.faces)
        )
    return samples, TruthSource("synth_hoi", "test", tuple(subjects), subjects.__getitem__)


def _body(model):
    resampled = resample_vertices(model, 48)
    return guided_body(model, resampled, default_betas_range())


def _states(count):
    eye = np.float32([1, 0, 0, 1, 0, 0])
    return jnp.asarray(np.tile(np.concatenate([np.tile(eye, 53), np.zeros(13, np.float32)]), (count, 1)))


@pytest.fixture
def config(synth, weights, tmp_path, monkeypatch):
    samples, truth = synth
    monkeypatch.setattr(tables, "open_truth", lambda *_, **__: truth)
    monkeypatch.setattr(predictors, "open_split", lambda *_: samples)
    monkeypatch.setattr(predictors, "RESOLUTION", 12)
    return tables.Config(
        root=tmp_path, regressor=(weights / "regressor.safetensors",), denoiser=(weights / "denoiser.safetensors",),
        table="3", splits=("test",), rows=("without diffusion", "no condition"), batch=2, steps=50,
        metrics=("surface", "contact"), resamples=20, work=tmp_path / "work", out=tmp_path / "out",
    )  # fmt: skip


@pytest.mark.slow
def test_rows_are_predicted_scored_and_kept(config, tmp_path):
    result = tables.run(config)
    rows = result["splits"]["test"]
    assert list(rows) == ["without diffusion", "no condition"]
    for row in rows.values():
        assert row["metrics"]["chamfer_object_cm"]["count"] == 3 and row["images_per_second"] > 0
        assert np.isfinite(row["metrics"]["chamfer_body_cm"]["low"])
    text = (tmp_path / "out" / "scorehoi_table3.md").read_text()
    assert "| no condition |" in text and "4.94 / 8.23" in text
    assert json.loads((tmp_path / "out" / "scorehoi_table3.json").read_text())["weights"][0]["regressor"]["stage"] == 1
    # Nothing is predicted twice.
    files = sorted((tmp_path / "work").rglob("predictions.npz"))
    before = [path.stat().st_mtime_ns for path in files]
    assert len(files) == 2 and tables.run(config)["splits"]["test"].keys() == rows.keys()
    assert [path.stat().st_mtime_ns for path in files] == before


def test_every_table_has_the_papers_rows_and_each_row_its_own_folder():
    assert [len(TABLES[t]) for t in "1234A"] == [5, 3, 10, 9, 3]
    for rows in TABLES.values():
        assert len({v.slug(2) for v in rows}) == len(rows)
        for variant in rows:
            variant.guidance(2)
    assert all(FULL in TABLES[table] for table in "123A") and FULL.guidance(7) == GuidedConfig.denoising()
    row = next(v for v in TABLES["4"] if v.name == "N = 10, tau = 50, dt = 2")
    assert row.guidance(7) == PAPER.guidance(2) == GuidedConfig()


def test_seeds_are_averaged_sample_by_sample():
    nan = float("nan")
    first = ({"a": {"x": 1.0, "p": nan}, "b": {"x": 2.0, "p": 0.5}}, {"a": "g", "b": "h"})
    second = ({"a": {"x": 3.0, "p": nan}, "b": {"x": 4.0, "p": nan}}, {"a": "g", "b": "h"})
    samples, groups = mean_over_seeds([first, second])
    assert samples["a"]["x"] == 2 and samples["b"]["x"] == 3 and samples["b"]["p"] == 0.5
    assert np.isnan(samples["a"]["p"]) and groups == first[1]


def test_wrong_settings_are_refused(config, weights):
    regressor, denoiser = config.regressor, config.denoiser
    for changes, message in (
        ({"regressor": regressor * 2}, "wanted as many --denoiser as --regressor"),
        ({"rows": ("nothing",)}, "has no row nothing; its rows are without diffusion"),
        ({"dataset": "intercap"}, "hoijax reconstruct"),
        ({"dataset": "behave"}, "needs --body-model"),
    ):
        with pytest.raises(InputError, match=message):
            dataclasses.replace(config, **changes)
    with pytest.raises(InputError, match="see the free body: leave --body-model out"):
        load_networks(regressor[0], denoiser[0], weights)
    with pytest.raises(InputError, match="not of stage 1"):
        load_networks(denoiser[0], regressor[0])


def test_the_table_names_what_is_undefined():
    interval = {"mean": 7.5, "low": 7.0, "high": 8.0, "count": 3, "unit": "cm", "better": "lower"}
    empty = interval | {"mean": float("nan"), "unit": ""}
    metrics = {"chamfer_body_cm": interval, "contact_5cm_precision": empty}
    result = {
        "table": "3", "dataset": "synth_hoi", "device": "cpu",
        "weights": [{"regressor": {"size": "tiny", "steps": 1, "dataset": "made_up"}}],
        "splits": {"test": {"full": {"metrics": metrics, "images_per_second": 2.0}}},
    }  # fmt: skip
    text = markdown_table(result, TABLES["3"])
    assert "7.50 (7.00 to 8.00) | – | 2.00 | 4.85 / 7.86" in text
    assert EvaluateConfig().contact_thresholds == (0.05,)  # what the columns are called
