"""How annotation is measured: kept batches, labels by construction, errors that are found for what they are."""

import json

import numpy as np
import pytest

from hoijax.data.synth import open_split
from hoijax.errors import InputError
from hoijax.experiments.hoi3dgen import annotation

SETTINGS = {"seed": 0, "steps": 60, "instances": 8}


@pytest.fixture(scope="module")
def work(tmp_path_factory, ball_dataset):
    """A folder of one batch: the balls whose samples are not damaged."""
    root = ball_dataset.make_dataset(tmp_path_factory.mktemp("balls"))
    path = tmp_path_factory.mktemp("work")
    rows, split = [], open_split(root, "val")
    for i in range(4):
        sample = split[i]
        row = {key: sample[key] for key in ("key", "action", "category", "contact_parts")}
        row |= {key: np.asarray(sample[key]).tolist() for key in ("object_seed", "obj_rot", "obj_trans")}
        row["body"] = {key: np.asarray(value).tolist() for key, value in sample["body"].items()}
        row["touching"] = np.flatnonzero(sample["body_contact"]).tolist()
        rows.append(row)
    (path / "train-000000.json").write_text(json.dumps({"settings": SETTINGS, "samples": rows}))
    return path


def test_a_batch_is_measured_once_and_errors_are_found_for_what_they_are(work, tmp_path, monkeypatch):
    config = annotation.Config(work=work, out=tmp_path / "page.md", count=4, errors=2, make=False)
    result = annotation.main(config)
    assert result["samples"] == 4 and result["agreement"]["exact"]["recorded"] == 1.0
    assert result["confusion"] == {f"{name} as {name}": 1 for name in ("back", "left_hand", "right_hand", "right_leg")}
    low, high = result["interval"]["exact"]["recorded"]
    assert 0.4 < low < 0.6 and high == pytest.approx(1)
    for reason, found in result["errors"].items():
        assert set(found) <= {reason, "penetration", "floating"} and found[reason] >= 1, reason
    page = (tmp_path / "page.md").read_text()
    assert "# Annotation of 4 SynthHOI samples" in page and f"| exact | 100.0 % | {100 * low:.1f} to" in page
    monkeypatch.setattr(annotation, "measure", None)
    assert annotation.main(config) == result
    kept = json.loads((work / "measured-000000.json").read_text())
    (work / "measured-000000.json").write_text(json.dumps(kept | {"code": "other"}))
    with pytest.raises(TypeError):  # measured by other code: again
        annotation.main(config)


def test_labels_are_those_of_the_asked_regions_and_of_what_touched(work):
    row = annotation.from_row(json.loads((work / "train-000000.json").read_text())["samples"][0])
    sample = annotation.synth_sample(row)
    assert annotation.label(sample, recorded=False) == "right_hand"
    head = annotation.body_places(sample.model)["head"]
    more = annotation.dataclasses.replace(sample, body_contact=sample.body_contact | head)
    assert annotation.label(more, recorded=True) == "others" and annotation.label(more, recorded=False) == "right_hand"


def test_folders_of_other_settings_and_of_nothing_are_refused(work, tmp_path):
    with pytest.raises(InputError, match="holds samples of .*'steps': 60.* wanted .*'steps': 150.*another --work"):
        annotation.main(annotation.Config(work=work, count=4, steps=150, make=False))
    with pytest.raises(InputError, match="holds no samples; leave --no-make out"):
        annotation.main(annotation.Config(work=tmp_path, make=False))
    with pytest.raises(InputError, match="instances must be at least 4, got 2"):
        annotation.Config(work=work, instances=2)
    with pytest.raises(InputError, match="name one with --roots"):
        annotation.compare_runners(annotation.Config(work=work, beam=3))
