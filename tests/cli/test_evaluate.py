"""`hoijax evaluate`: the truth scores perfect, a shift scores its length, bad input leaves nothing behind."""

import json

import numpy as np
import pytest

from hoijax.body_models import free_body, save
from hoijax.cli import main

GROUPS = ["--metrics", "body", "object", "--resamples", "20"]


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    folder = tmp_path_factory.mktemp("truth")
    save(folder / "body.npz", free_body("test"))
    rng = np.random.default_rng(0)
    arrays = {
        "ids": np.array(["a", "b", "c"]),
        "body_pose": rng.normal(0, 0.2, (3, 63)),
        "transl": rng.normal(size=(3, 3)),
        "obj_rot": rng.normal(size=(3, 3)),
        "obj_trans": rng.normal(size=(3, 3)),
    }
    np.savez(folder / "truth.npz", **arrays)
    return folder, arrays


@pytest.fixture
def run(truth, tmp_path, capsys):
    folder, arrays = truth

    def evaluate(*options, **changes):
        np.savez(tmp_path / "predictions.npz", **(arrays | changes))
        fixed = ["--dataset", "files", "--root", str(folder / "truth.npz"), "--body-model", str(folder / "body.npz")]
        code = main([
            "evaluate", "--predictions", str(tmp_path / "predictions.npz"), *fixed, "--out", str(tmp_path / "out"),
            *(options or GROUPS),
        ])  # fmt: skip
        return code, capsys.readouterr()

    return evaluate


def test_truth_and_shift(run, truth, tmp_path):
    code, told = run()
    assert code == 0
    assert "files test: 3 of 3 samples" in told.out
    assert "| mpjpe_mm" in told.out
    code, _ = run(transl=truth[1]["transl"] + [0.0, 0.05, 0.0])
    assert code == 0
    saved = json.loads((tmp_path / "out/metrics.json").read_text())
    assert saved["metrics"]["mpjpe_mm"]["mean"] == pytest.approx(50, abs=0.01)
    assert saved["metrics"]["pa_mpjpe_mm"]["mean"] == pytest.approx(0, abs=0.01)
    assert saved["metrics"]["mpjpe_mm"]["unit"] == "mm"
    assert saved["config"]["metrics"] == ["body", "object"]
    assert saved["config"]["resamples"] == 20


def test_missing_and_extra_are_named(run, truth):
    code, told = run(ids=np.array(["a", "b", "other"]))
    assert code == 1
    assert "no prediction: c" in told.err
    assert "no such sample: other" in told.err
    assert "2 of 3 samples" in told.out


def test_broken_predictions_are_named(run, truth):
    transl = truth[1]["transl"].copy()
    transl[1, 2] = np.nan
    code, told = run(transl=transl)
    assert code == 1
    assert "not used: b: " in told.err
    assert "'transl' holds 1 numbers that are not finite" in told.err


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        (GROUPS, {"ids": np.array(["x", "y", "z"])}, "named like 'a', the predictions like 'x'"),
        (GROUPS, {"transl": np.full((3, 3), np.inf)}, "none of 3 predictions can be used"),
        (["--metrics", "speed"], {}, "no group of metrics 'speed'"),
        (["--metrics", "penetration"], {}, "holds nothing that can be measured"),
        (["--contact-thresholds", "-0.1"], {}, "lengths in metres above 0"),
        (["--dataset", "coco"], {}, "no dataset is called 'coco'"),
        (["--dataset", "behave"], {}, "does not look like BEHAVE|is no folder"),
    ],
)
def test_bad_input_writes_nothing(run, tmp_path, options, changes, message):
    code, told = run(*options, **changes)
    assert code == 2
    assert any(part in told.err for part in message.split("|")), told.err
    assert not (tmp_path / "out").exists()
