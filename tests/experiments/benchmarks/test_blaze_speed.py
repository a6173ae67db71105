"""The benchmark of the photograph networks runs and writes a table that its numbers are in."""

import json

from hoijax.experiments.benchmarks import one_core
from hoijax.experiments.benchmarks.blaze import Config, main


def test_it_writes_its_table(tmp_path):
    config = Config(out=tmp_path, networks=("chair",), batches=(1,), rounds=1, min_seconds=0.0, calls=0)
    (row,) = main(config)
    assert row["ms_per_picture"][1] > 0 and row["batch_gain"][1] == 1
    kept = json.loads((tmp_path / "blaze_speed.json").read_text())
    assert kept["rows"][0]["name"] == "chair" and kept["environment"]["versions"]["jax"]
    table = (tmp_path / "blaze_speed.md").read_text()
    assert f"| chair | {row['ms_per_picture'][1]:.1f} |" in table


def test_the_work_of_one_core_is_renewed_and_the_rest_stays(tmp_path, monkeypatch):
    asked = []

    def spent(*args):
        asked.append(args)
        parts = {"without filters per channel": 9.0, "without 1 x 1 products": 6.0}
        return {"hoijax": 12.0, "LiteRT": 6.0} | parts

    monkeypatch.setattr(one_core, "measure_one_core", spent)
    row = {"name": "hand", "ms_per_picture": {"1": 20.0}, "batch_gain": {"1": 1.0}, "compile_s": {"1": 3.0}}
    row |= {"probe_cores": [1.5]}
    where = {"cores": 2, "cpu": "a CPU", "device": "cpu", "date": "a day", "versions": {"jax": "0"}}
    (tmp_path / "blaze_speed.json").write_text(json.dumps({"environment": where, "rows": [row, row | {"name": "cup"}]}))
    rows = main(Config(out=tmp_path, networks=("hand",), renew=True, calls=7))
    assert asked == [("hand", "run_hand_network", 224, None, 7)]
    assert rows[0] == row | {"one_core": spent()} and "one_core" not in rows[1]
    table = (tmp_path / "blaze_speed.md").read_text()
    assert "| hand | 20.0 | 1.00 |" in table and "| hand | 6.0 | 12.0 | 0.50 | 25 % | 50 % |" in table
    assert "a CPU" in table and json.loads((tmp_path / "blaze_speed.json").read_text())["environment"]["one_core"]
