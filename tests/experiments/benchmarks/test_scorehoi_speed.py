import json
import pathlib

import pytest

from hoijax.experiments.benchmarks.scorehoi import markdown

RESULTS = pathlib.Path(__file__).resolve().parents[3] / "docs" / "results"


def test_the_committed_table_is_that_of_the_committed_rows():
    result = json.loads((RESULTS / "scorehoi_speed.json").read_text())
    assert (RESULTS / "scorehoi_speed.md").read_text() == markdown(result)
    assert {(row["batch"], row["side"]) for row in result["denoiser"]} == {
        (batch, side) for batch in (1, 32) for side in ("hoijax", "hoijax_folded")
    }
    for row in result["denoiser"]:
        assert row["max_difference"] < 1e-4
    for row in result["images"]:
        assert row["images_per_second"] == pytest.approx(row["batch"] / row["seconds"])
