import json
import pathlib

from hoijax.experiments.benchmarks.render_tables import MEMORY, bound_mb, markdown, report

RESULTS = pathlib.Path(__file__).resolve().parents[3] / "docs" / "results"


def test_the_committed_table_is_that_of_the_committed_rows():
    rows = json.loads((RESULTS / "render.json").read_text())["rows"]
    assert (RESULTS / "render.md").read_text() == markdown(rows)
    assert {(row["size"], row["views"]) for row in rows} == {(256, 1), (256, 4), (1024, 1), (1024, 4)}
    for row in rows:
        assert f"{row['faces']} faces" in report(row)


def test_the_memory_formula_bounds_every_row():
    for row in json.loads((RESULTS / "render.json").read_text())["rows"]:
        for name in MEMORY:
            assert row["operations"][name]["temp_mb"] <= bound_mb(name, row), (name, row["faces"], row["size"])
