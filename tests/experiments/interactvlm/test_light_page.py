"""The light network's table: several seeds by hand, a row of fewer samples, distances that are found once."""

from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest

from hoijax.errors import InputError
from hoijax.experiments.interactvlm import light_geometry, light_page
from hoijax.geometry import RigidPose, SDFGrid
from hoijax.io import read_json, write_json
from hoijax.optim.fitting import choose_intrinsics


def scores(network, geometry=None):
    each = {
        "network": {"body": network, "object": [0.5, 0.5]},
        "mean map of the category": {"body": [0.1, 0.2, 0.3], "object": [0.5, 0.25]},
    }
    if geometry:
        each["distances after a fit"] = {"body": geometry, "object": [1.0]}
    return {"samples": 4, "found": 3, "each": each}


def test_a_sample_is_the_mean_over_seeds(tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder, found in zip(folders, (scores([0.2, 0.4, 0.6], [0.1, 0.1]), scores([0.4, 0.4, 0.8]))):
        folder.mkdir()
        write_json(folder / "test.json", found)
    config = light_page.Config(folders=tuple(folders), results=tmp_path / "out")
    found = light_page.run(config)["test"]
    network, mean = found["rows"]["network"], found["rows"]["mean map of the category"]
    assert (found["seeds"], found["samples"], network["count"]) == (2, 4, 3)
    assert network["body"]["mean"] == pytest.approx((0.3 + 0.4 + 0.7) / 3)
    np.testing.assert_allclose(network["by_seed"], [0.4, 1.6 / 3])
    assert mean["gain_body"]["mean"] == pytest.approx((0.2 + 0.2 + 0.4) / 3)
    assert mean["gain_object"]["mean"] == pytest.approx(0.125) and "gain_body" not in network
    # Distances are there of the first two samples, by one seed: they have none.
    distances = found["rows"]["distances after a fit"]
    assert distances["count"] == 2 and distances["gain_body"]["mean"] == pytest.approx((0.2 + 0.3) / 2)
    text = (tmp_path / "out" / "interactvlm_light.md").read_text()
    assert "| test | network | 0.467 (" in text and "by seed: test 0.400, 0.533." in text and "| 2 |" in text
    assert read_json(tmp_path / "out" / "interactvlm_light.json")["scores"]["test"] == found


def test_seeds_of_other_samples_are_refused(tmp_path):
    with pytest.raises(InputError, match="different samples"):
        light_page.merge([scores([0.1, 0.2, 0.3]), scores([0.1, 0.2])])
    with pytest.raises(InputError, match="no folder has scores"):
        light_page.run(light_page.Config(folders=(tmp_path,), results=tmp_path))


def test_distances_are_found_once(monkeypatch, tmp_path):
    asked = []

    def fit(sample):
        asked.append(sample["key"])
        return np.full(3, len(asked) / 10), np.full(2, 0.5)

    monkeypatch.setattr(light_geometry, "_fit", fit)
    samples = [{"key": "a"}, {"key": "b"}]
    for _ in range(2):
        body, points = light_geometry.distances_of(samples, tmp_path / "kept")
        np.testing.assert_allclose(body, [[0.1] * 3, [0.2] * 3])
        assert [len(p) for p in points] == [2, 2] and asked == ["a", "b"]


def test_who_is_not_found_touches_nothing(monkeypatch, tmp_path, capsys):
    def fit(sample):
        if sample["key"] == "b":
            return np.ones(3), np.ones(2)
        raise InputError(f"nobody in {sample['key']}")

    monkeypatch.setattr(light_geometry, "_fit", fit)
    samples = [{"key": key, "object_points": np.zeros((2, 3))} for key in "ab"]
    body, points = light_geometry.distances_of(samples, tmp_path / "one")
    assert body[0].shape == (light_geometry.VERTICES,) and not body[0].any() and not points[0].any() and body[1].all()
    assert "nobody in a" in capsys.readouterr().out
    for _ in range(2):  # who was not found is looked for again, so that a second run says the same
        with pytest.raises(InputError, match="no sample could be fitted.*nobody in d"):
            light_geometry.distances_of([s | {"key": k} for s, k in zip(samples, "cd")], tmp_path / "none")


def test_distances_are_those_after_the_fit_of_the_picture(monkeypatch):
    """The fit is told mask and picture, whose file it can read; body and labelled points are as far as it says."""
    points = np.array([[0.1, 0, 0], [0, 0.3, 0]])
    sample = {"key": "x", "category": "ball", "object_seed": 1, "image": np.zeros((9, 9, 3), np.uint8),
              "object_mask": np.eye(9, dtype=bool), "object_points": points}  # fmt: skip
    sdf = np.linspace(-1, 1, 33)
    told = {}
    pose = RigidPose(np.eye(3), np.array([0.0, 0, 2]), np.float64(1))
    found = SimpleNamespace(vertices=np.array([[0.1, 0, 2.01], [0, 0, 3.0]]), pose=pose)
    grid = SDFGrid(np.linalg.norm(np.stack(np.meshgrid(sdf, sdf, sdf, indexing="ij")), axis=0).astype(np.float32) - 0.1,
                   np.full(3, -1, np.float32), np.float32(1 / 16))  # fmt: skip
    asset = SimpleNamespace(template=SimpleNamespace(sdf=grid))
    monkeypatch.setattr(light_geometry.ObjectAsset, "read", lambda path, units: told.update(obj=path.name) or asset)
    monkeypatch.setattr(light_geometry, "make_fitter", lambda asset, config: told.update(upright=config.upright))

    def fit(fitter, picture):
        told.update(picture=picture)
        np.testing.assert_array_equal(PIL.Image.open(picture.path), sample["image"])
        assert choose_intrinsics((9, 9), path=picture.path).source != "given"
        return found

    monkeypatch.setattr(light_geometry, "fit_photograph", fit)
    body, obj = light_geometry._fit(sample)
    np.testing.assert_array_equal(told["picture"].object, sample["object_mask"])
    assert not told["picture"].human.any() and told["obj"] == "object.obj" and told["upright"] > 0
    assert body[0] > 0.5 > 0.1 > body[1] and obj[0] > 0.5 > 0.1 > obj[1]
