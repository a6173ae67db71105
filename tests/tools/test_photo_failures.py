"""What is said of pictures and masks that cannot be used, held to the page; what needs a fit is not run here."""

import importlib
import json
import pathlib
import sys

import numpy as np
import pytest
from PIL import Image, ImageOps

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "results"
PORTRAIT = ROOT / "tests" / "nets" / "blaze" / "astronaut.jpg"
AT_ONCE = {
    "mask of another size": "has 256 x 256 pixels, its picture 512 x 512",
    "mask on its side": "its picture 512 x 412 as seen when turned upright",
    "empty mask": "the mask of the object is empty",
    "no mask": "where is the object? Wanted --object-mask",
    "box outside": "holds no 4 x 4 pixels of the picture of 512 x 512",
    "no picture": "is no picture that can be read",
}
"""What is refused before networks are loaded, and what is said."""


@pytest.fixture(scope="module")
def tool():
    """The script, which is no part of the package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("tools.photo_failures")
    sys.modules.pop("tools.photo_failures", None)


@pytest.fixture(scope="module")
def portrait():
    return Image.open(PORTRAIT).convert("RGB").resize((512, 512))


@pytest.mark.parametrize("name", AT_ONCE)
def test_what_cannot_be_used_is_named_at_once(name, tool, portrait):
    code, told = tool.run_trial(tool.TRIALS[name], portrait)
    assert code == 2 and AT_ONCE[name] in " ".join(told)
    kept = json.loads((PAGES / "photo_failures.json").read_text())["trials"][name]
    assert kept["told"] == told and kept["code"] == code


def test_the_page_holds_every_case_and_what_was_printed(tool):
    record = json.loads((PAGES / "photo_failures.json").read_text())
    assert set(record["trials"]) == set(tool.TRIALS)
    told = {name: " ".join(row["told"]) for name, row in record["trials"].items()}
    assert (PAGES / "photo_failures.md").read_text() == tool.markdown(record)
    for name in ("plain", "turned by EXIF", "CMYK", "20 megapixels", "caption in the mask"):
        assert record["trials"][name]["code"] == 0 and "fits the picture" in told[name], name
    for name in ("grey", "truncated"):  # colours are what a mask is grown by
        assert record["trials"][name]["code"] == 0 and "photo: poor: the object covers" in told[name], name
    assert "legs are not seen: they rest" in told["truncated"]
    assert "2 people were found" in told["several people"]
    assert "no person is found" in told["nobody"] and "mask has 25 pixels" in told["mask of a speck"]


def test_cases_are_what_they_say(tool, portrait, tmp_path):
    options = tool.turned(portrait, tmp_path)
    stored = Image.open(tmp_path / "photo.jpg")
    upright = np.asarray(ImageOps.exif_transpose(stored), float)
    assert np.abs(upright - np.asarray(portrait, float)).mean() < 6 < np.abs(np.asarray(stored) - upright).mean()
    assert options[1] == f"--object-box={','.join(map(str, tool.BOX))}"
    tool.crowd(portrait, tmp_path)
    assert Image.open(tmp_path / "photo.png").size == (1024, 512)
    rows, columns = np.nonzero(tool.helmet())
    assert abs(columns.min() - tool.BOX[0]) < 12 and abs(rows.min() - tool.BOX[1]) < 12 and rows.max() == 511
