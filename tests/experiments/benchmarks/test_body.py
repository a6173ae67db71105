import json

import pytest

pytest.importorskip("torch", reason="extra [parity]")
pytest.importorskip("smplx", reason="extra [parity]")

from hoijax.experiments.benchmarks import body


@pytest.mark.slow
def test_both_sides_agree_and_the_rows_are_whole(tmp_path):
    config = body.Config(out=tmp_path, bodies=("free",), batches=(2,), rounds=1, min_seconds=0.0)
    body.main(config)
    result = json.loads((tmp_path / "body.json").read_text())
    assert [(row["body"], row["batch"], row["mode"]) for row in result["rows"]] == [
        ("free", 2, "forward"),
        ("free", 2, "gradient"),
    ]
    for row in result["rows"]:
        assert row["max_difference_m"] < 1e-5
        assert row["hoijax"]["compile_s"] > 0 and row["smplx"]["cpu_per_wall"] and row["probe_cores"]
        assert row["hoijax_joints"]["min_ms"] > 0 and row["hoijax_subset"]["min_ms"] > 0
    assert result["environment"]["versions"]["smplx"]
    assert (tmp_path / "body.md").read_text().count("| free | 2 |") == 2
