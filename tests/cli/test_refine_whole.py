"""`hoijax refine` with nothing taken out: the real refiner, distance field and pictures, on the test body."""

import json

import numpy as np
import pytest
from PIL import Image

from hoijax.cli import main


@pytest.fixture(scope="module")
def runs(tmp_path_factory, estimate, box):
    """Two interactions refined in one batch, and the second of them on its own."""
    folder = tmp_path_factory.mktemp("whole")
    both = estimate((2,))
    np.savez(folder / "both.npz", **both)
    np.savez(folder / "one.npz", **{name: value[1] for name, value in both.items()})
    shared = [f"--object={box}", "--lod=test", "--contact=left_hand", "--floor=auto", "--steps=30"]
    batch = main(["refine", f"--body={folder / 'both.npz'}", f"--out={folder / 'batch'}", "--pictures=1", *shared])
    single = main(["refine", f"--body={folder / 'one.npz'}", f"--out={folder / 'single'}", "--pictures=0", *shared])
    assert (batch, single) == (0, 0)
    return folder


def load(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


@pytest.mark.slow
def test_batch_equals_single(runs):
    """Vectorised sums round differently, and thirty steps carry that on: to a tenth of a millimetre at most."""
    together = load(runs / "batch" / "refined.npz")
    alone = load(runs / "single" / "refined.npz")
    assert alone.keys() == together.keys()
    for name, value in alone.items():
        assert value.shape == together[name][1].shape and value.dtype == together[name].dtype
        np.testing.assert_allclose(value, together[name][1], atol=1e-4 if "trans" in name else 1e-3, err_msg=name)


@pytest.mark.slow
def test_the_interaction_is_better_than_the_estimate(runs):
    summary = json.loads((runs / "batch" / "metrics.json").read_text())
    for name, item in summary["items"].items():
        before, after = item["before"], item["after"]
        assert before["max_penetration"] > 0.01, name
        assert after["max_penetration"] < 0.5 * before["max_penetration"], name
        assert after["contact"]["left_hand"] < 0.03, name
        assert abs(after["floor_distance"]) < 0.05, name
        assert 0 < item["moved"]["body_mean"] < 0.2, name


@pytest.mark.slow
def test_pictures_and_page(runs):
    with Image.open(runs / "batch" / "000000" / "before_after.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[0] > 500 and pixels.std() > 10
    assert not (runs / "batch" / "000001" / "before_after.png").exists()
    page = (runs / "batch" / "report.html").read_text()
    assert page.count("<section") == 1 and "data:image/png;base64" in page
