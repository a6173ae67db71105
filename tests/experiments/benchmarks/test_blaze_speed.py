"""The benchmark of the photograph networks runs and writes a table that its numbers are in."""

import json

from hoijax.experiments.benchmarks.blaze import Config, main


def test_it_writes_its_table(tmp_path):
    config = Config(out=tmp_path, networks=("chair",), batches=(1,), rounds=1, min_seconds=0.0)
    (row,) = main(config)
    assert row["ms_per_picture"][1] > 0 and row["batch_gain"][1] == 1
    kept = json.loads((tmp_path / "blaze_speed.json").read_text())
    assert kept["rows"][0]["name"] == "chair" and kept["environment"]["versions"]["jax"]
    table = (tmp_path / "blaze_speed.md").read_text()
    assert f"| chair | {row['ms_per_picture'][1]:.1f} |" in table
